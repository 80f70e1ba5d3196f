"""`avs-data review show`."""

import click

from pipelines.commands import options
from pipelines.commands.review.queue_options import LINK, MAP, QUEUE, map_path
from shards.command_line import Command


@click.command(cls=Command)
@click.argument("link", type=LINK)
@QUEUE
@MAP
@options.JSON
def command(link: int, queue_path: str, map_name: str | None, as_json: bool) -> None:
    """Show LINK: what the matcher says, what it would add, why it was refused before, and every decision about it.

    Example: avs-data review show 17
    """
    from pipelines.review import describe
    from pipelines.review.queue import Queue
    from shards import terminal

    with Queue(queue_path) as queue:
        found = describe.link(queue, map_path(queue, map_name), queue.item(link))
    if as_json:
        terminal.out_json(found)
    else:
        terminal.out(*describe.lines(found))
