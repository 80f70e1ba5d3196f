"""`avs-data review export`."""

import click

from pipelines.commands.review.queue_options import QUEUE
from shards.command_line import Command


@click.command(cls=Command)
@QUEUE
@click.option(
    "--out", default="-", show_default=True, metavar="CSV", help="A file or URL to write; - is the terminal."
)
def command(queue_path: str, out: str) -> None:
    """Write the whole log as CSV: every decision of everybody, undone ones too.

    A cell that a spreadsheet would take for a formula (it starts with =, +, -, @ or a tab) has an apostrophe before it;
    pipelines.review.spreadsheet.from_csv reads the file as it was.

    Example: avs-data review export --out decisions.csv
    """
    from pipelines.review import log_csv
    from pipelines.review.queue import Queue
    from shards import storage, terminal

    with Queue(queue_path) as queue:
        text = log_csv.to_csv(queue)
    if out == "-":
        terminal.out_file(text)
    else:
        storage.write_atomic(out, text.encode())
        terminal.say(f"{out} has the log of {queue_path}")
