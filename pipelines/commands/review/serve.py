"""`avs-data review serve`."""

import click

from pipelines.commands import options
from pipelines.commands.review.queue_options import MAP, QUEUE, map_path
from shards.command_line import Command


@click.command(cls=Command)
@QUEUE
@MAP
@click.option(
    "--corpora", metavar="DIR", help="Folder or URL of corpora.  [default: the one given at import]"
)
@click.option(
    "--dataset",
    metavar="DATASET",
    help="Folder or URL of a dataset, to look at its samples beside the links.",
)
@options.served("read everything here, and decide in any name")
def command(
    queue_path: str,
    map_name: str | None,
    corpora: str | None,
    dataset: str | None,
    host: str,
    port: int,
    allow_host: tuple[str, ...],
    no_token: bool,
) -> None:
    """Serve the review page: photos and sounds side by side, decided by keyboard or by touch.

    Prints a link with a token: open it in a browser of this machine. Whoever has the link can decide, nobody else.

    Example: avs-data review serve --port 0
    """
    from pipelines.review.queue import Queue
    from pipelines.review.server.run import serve

    with Queue(queue_path) as queue:
        corpora = corpora or queue.meta("corpora")
        path = map_path(queue, map_name)
    serve(queue_path, path, corpora, host, port, allow_host, not no_token, dataset)
