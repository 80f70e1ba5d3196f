"""Start the review page."""

from pathlib import Path

from pipelines.browse.catalogue import Catalogue
from pipelines.pages import serving
from pipelines.review.server.app import Settings, build_app
from shards.reader import Dataset


def serve(
    queue_path: str,
    map_path: Path,
    corpora: str,
    host: str,
    port: int,
    allow_hosts: tuple[str, ...] = (),
    with_token: bool = True,
    dataset: str | None = None,
) -> None:
    """Serve the page of a queue until interrupted.

    Args:
        dataset: a folder or URL whose samples are shown, too.

    Raises:
        PageError: the address cannot be listened on. DatasetError, TableError: no dataset, or a damaged one.
    """
    samples = Catalogue(Dataset(dataset)) if dataset else None
    serving.serve(
        lambda: build_app(Settings(queue_path, map_path, corpora, samples)),
        name="Review page",
        may="read everything here, and decide in any name",
        host=host,
        port=port,
        allow_hosts=allow_hosts,
        with_token=with_token,
    )
