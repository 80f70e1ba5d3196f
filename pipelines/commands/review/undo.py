"""`avs-data review undo`."""

from dataclasses import asdict

import click

from pipelines.commands import options
from pipelines.commands.review.queue_options import LINK, QUEUE, REVIEWER
from shards.command_line import Command


@click.command(cls=Command)
@QUEUE
@REVIEWER
@click.option(
    "--decision", type=LINK, help="A decision to take back, also another reviewer's; `show` lists them."
)
@options.JSON
def command(queue_path: str, reviewer: str, decision: int | None, as_json: bool) -> None:
    """Take back your newest decision; repeat to go further back. The log keeps both.

    Example: avs-data review undo --decision 41
    """
    from pipelines.review.queue import Queue
    from shards import terminal

    with Queue(queue_path) as queue:
        taken_back = queue.undo(reviewer, decision)
    if as_json:
        terminal.out_json(asdict(taken_back))
        return
    terminal.out(f"link {taken_back.item_id}: {taken_back.verdict} by {taken_back.reviewer} is taken back")
