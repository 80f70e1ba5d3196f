"""`avs-data`: one command a module under `pipelines/commands/`, imported only when it is called."""

import logging
from typing import NoReturn

import click

from shards import program
from shards.command_line import DISTRIBUTION, CommandGroup


@click.group(
    cls=CommandGroup,
    package="pipelines.commands",
    about={
        "build": "Build a dataset from corpora: index, categorize, select, split, pair, shard.",
        "browse": "Look at samples in a browser: photo, mask and sound, and what was dropped.",
        "corpora": "List the corpora that can be built from, and where their files go.",
        "demo-corpora": "Write small generated corpora in the official layouts.",
        "diff": "Say what changed between two datasets, by record and with the cause.",
        "explain": "Tell one sample's whole story, or why an item was dropped.",
        "export": "Write a dataset in COCO's or FiftyOne's format.",
        "fetch": "Download what a recipe's categories need: annotations, photos, masks, clips.",
        "import": "Turn AVSBench or AVS-Synthetic in its official folders into shards.",
        "index": "Read corpora into Parquet tables of masks and clips.",
        "judge": "Look at samples drawn by chance, and say how many of a dataset are right.",
        "match": "Propose which things that can be seen make which sounds.",
        "plan": "Say what a build will take: samples, bytes, hours, and the step that limits.",
        "publish": "Publish an immutable version to a folder, S3, GCS or the Hugging Face Hub.",
        "rehydrate": "Rebuild full shards from a reference-only edition and your own clips.",
        "review": "Review proposed links in a browser; write the accepted into the label map.",
        "stats": "Write a self-contained HTML page and plots about a dataset.",
        "takedown": "Write a dataset without a photo or video, with the reason recorded.",
        "verify": "Re-read all of a dataset and say what is wrong and where.",
    },
    moved={name: f"avs-data fetch {name}" for name in ("doctor", "ledger", "retry")},
)
@click.version_option(package_name=DISTRIBUTION)
def main() -> None:
    """Build, review, version and publish annotation-free audio-visual segmentation datasets.

    \b
    Example, on generated photos and sounds:
      avs-data demo-corpora --out out/demo-corpora
      avs-data build demo --corpora out/demo-corpora --out out/demo
      avs-data verify out/demo

    Exit codes: 0 done; 1 refused, or something wrong was found; 2 a call that --help does not
    describe; 130 interrupted; 143 asked to end.
    """
    logging.getLogger().setLevel(logging.ERROR)  # Beam warns of cloud clients that are not needed


def run() -> NoReturn:
    """The command, as a process of its own."""
    program.run(main)
