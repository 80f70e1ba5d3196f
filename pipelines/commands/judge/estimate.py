"""`avs-data judge estimate`."""

import click

from pipelines.commands import options
from pipelines.commands.judge.queue_options import QUEUE
from shards.command_line import Command


@click.command(cls=Command)
@QUEUE
@options.JSON
def command(queue_path: str, as_json: bool) -> None:
    """How many samples of the dataset are right, from those that were drawn by chance and judged so far.

    Intervals are Wilson's, of 95 %; all categories together are weighted by what they have. What was judged in the
    active order, and gold, count for nothing.

    Example: avs-data judge estimate --json
    """
    from pipelines.judge import quality, results
    from pipelines.judge.queue import Queue
    from shards import terminal
    from shards.terminal import Table

    with Queue(queue_path) as queue:
        found = quality.quality(results.of_queue(queue))
    if as_json:
        terminal.out_json(found.plain())
        return
    table = Table(box=None, header_style="bold")
    for name in ("stratum", "samples", "judged", "right", "bad", "differ", "cannot tell", "right, 95 %"):
        table.add_column(name, justify="left" if name == "stratum" else "right", overflow="fold")
    for name, (counts, told) in found.strata.items():
        cells = (counts.population, counts.told + counts.cannot_tell, counts.right, counts.bad)
        more = (counts.disputed, counts.cannot_tell)
        share = quality.interval(told) if told else "not judged"
        table.add_row(name, *(f"{number:,}" for number in (*cells, *more)), share)
    terminal.console().print(table)
    terminal.out(*quality.sentences(found))
    if found.overall:
        terminal.out(
            f"For +-1 %, judge {found.more:,} more." if found.more else "The interval is within +-1 %."
        )
    if found.active:
        terminal.out(
            f"{found.active:,} samples of the active order were judged; they count for nothing here."
        )
