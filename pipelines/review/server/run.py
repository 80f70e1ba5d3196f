"""Start the review page."""

from pathlib import Path

from pipelines.pages import serving
from pipelines.review.server.app import Settings, build_app


def serve(
    queue_path: str,
    map_path: Path,
    corpora: str,
    host: str,
    port: int,
    allow_hosts: tuple[str, ...] = (),
    with_token: bool = True,
) -> None:
    """Serve the page of a queue until interrupted. Raises PageError: the address cannot be listened on."""
    serving.serve(
        lambda: build_app(Settings(queue_path, map_path, corpora)),
        name="Review page",
        may="read everything here, and decide in any name",
        host=host,
        port=port,
        allow_hosts=allow_hosts,
        with_token=with_token,
    )
