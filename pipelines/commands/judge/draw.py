"""`avs-data judge draw`."""

from dataclasses import asdict
from typing import Any

import click

from pipelines.commands import options
from pipelines.commands.judge.queue_options import QUEUE, asked, draw_options
from shards.command_line import Command


@click.command(cls=Command)
@options.DATASET
@QUEUE
@draw_options
@options.JSON
def command(dataset: str, queue_path: str, as_json: bool, **given: Any) -> None:
    """Draw samples of DATASET (a folder or URL) into a queue, to be judged.

    A sample is drawn by a hash of the seed and its id: the same call draws the same ones, a larger --sample keeps those
    that were drawn, and a new version of the dataset moves none.

    Example: avs-data judge draw out/demo --sample 400 --judges 2
    """
    from shards import terminal
    from shards.display import Display

    with Display(f"Draw samples of {dataset}", {"Reading tables": "", "Drawing": ""}) as display:
        from pipelines.judge import intake
        from pipelines.judge.queue import Queue
        from shards.reader import Dataset

        found = Dataset(dataset)
        with Queue(queue_path, create=True) as queue:
            filled = intake.fill(queue, found, asked(given), display.show)
    if as_json:
        terminal.out_json(asdict(filled))
        return
    terminal.out(
        f"{queue_path}: {filled.drawn:,} of {filled.population:,} samples drawn, of {filled.strata:,} strata, "
        f"{filled.gold:,} gold among them; {filled.active:,} doubtful ones besides. {filled.judges} judge(s) a sample."
    )
