"""`avs-data review serve`."""

import click

from pipelines.commands.review.queue_options import MAP, QUEUE, map_path
from shards.command_line import Command


@click.command(cls=Command)
@QUEUE
@MAP
@click.option(
    "--corpora", metavar="DIR", help="Folder or URL of corpora.  [default: the one given at import]"
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; 0.0.0.0 is every network of this machine.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8710, show_default=True, help="0 takes a free one."
)
@click.option(
    "--allow-host",
    multiple=True,
    help="A further name under which browsers reach this machine; may be repeated.",
)
@click.option(
    "--no-token",
    is_flag=True,
    help="Let everybody in who reaches the address: all users and programs of this machine, and with another --host "
    "the whole network. They can read everything shown, and decide in any name.",
)
def command(
    queue_path: str,
    map_name: str | None,
    corpora: str | None,
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
    serve(queue_path, path, corpora, host, port, allow_host, not no_token)
