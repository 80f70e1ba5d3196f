"""`avs-data judge`: how good a dataset is, by people who look at samples of it."""

import click

from shards.command_line import CommandGroup


@click.group(
    cls=CommandGroup,
    package="pipelines.commands.judge",
    about={
        "draw": "Draw samples to judge into a queue; again with a larger number, more of them.",
        "estimate": "How many samples are right, per category and of all, and how far judges agree.",
        "export": "Write the judgements beside the dataset, where publish and stats find them.",
        "flags": "Write what the next version leaves out, and links to review again.",
        "list": "List samples of the queue, and what was said of them.",
        "serve": "Serve the judging page.",
    },
)
def command() -> None:
    """Judge samples of a dataset: look at the photo and its mask, hear the sound, and say with one key whether they
    are right.

    \b
    avs-data judge draw out/demo --sample 400
    avs-data judge serve
    avs-data judge estimate
    avs-data judge export
    avs-data judge flags --out flags.csv
    """
