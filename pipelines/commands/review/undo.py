"""`avs-data review undo`."""

import click

from pipelines.commands.review.queue_options import LINK, QUEUE, REVIEWER
from shards.command_line import Command


@click.command(cls=Command)
@QUEUE
@REVIEWER
@click.option(
    "--decision", type=LINK, help="A decision to take back, also another reviewer's; `show` lists them."
)
def command(queue_path: str, reviewer: str, decision: int | None) -> None:
    """Take back your newest decision; repeat to go further back. The log keeps both.

    Example: avs-data review undo --decision 41
    """
    from pipelines.review.queue import Queue

    with Queue(queue_path) as queue:
        taken_back = queue.undo(reviewer, decision)
    click.echo(f"link {taken_back.item_id}: {taken_back.verdict} by {taken_back.reviewer} is taken back")
