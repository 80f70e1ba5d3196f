"""`avs-train`: one command a module under `avs_train/commands/`, imported only when it is called."""

from functools import partial
from typing import NoReturn

import click

from shards import program
from shards.command_line import DISTRIBUTION, CommandGroup


@click.group(
    cls=CommandGroup,
    package="avs_train.commands",
    about={
        "convert": "Convert official SAM, SAMA-AVS and VGGish checkpoints, both ways.",
        "embed": "Compute the audio embedding of every clip once, into a table.",
        "eval": "Measure a trained model on a split: mJ, mF, per category, under other sounds.",
        "fit": "Train, alone or under torchrun; the same command again resumes where it stopped.",
        "plan-experiments": "Print every run behind the paper's tables, in order.",
        "predict": "Mark what sounds in a photo, a video or a folder of frames.",
        "segment": "Draw masks where Open Images has boxes alone, by SAM.",
        "report": "Put measured results beside the paper's tables.",
    },
)
@click.version_option(package_name=DISTRIBUTION)
def main() -> None:
    """Train and measure audio-visual segmentation on streamed shards.

    \b
    Example:
      avs-train fit tiny --data out/train-data --out out/runs/tiny
      avs-train eval out/runs/tiny --data out/train-data

    Exit codes: 0 done; 1 refused, or something wrong was found; 2 a call that --help does not
    describe; 130 interrupted; 143 asked to end.
    """


def run() -> NoReturn:
    """The command, as a process of its own."""
    program.run(partial(main, prog_name="avs-train"))
