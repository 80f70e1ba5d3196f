"""`avs-data`: one command a module under `pipelines/commands/`, imported only when it is called."""

import importlib
import logging
from typing import Any

import click

from shards.errors import AvsError

# name -> (module under pipelines.commands, one line of help shown without importing it)
COMMANDS = {
    "build": "Build a dataset from corpora: index, match, select, pair, split, shard.",
    "demo-corpora": "Write small generated corpora in the official layouts.",
    "diff": "Say what changed between two datasets, by record and with the cause.",
    "doctor": "Check that this machine can fetch: DNS, disk, decoders, yt-dlp, cookies, write access.",
    "explain": "Tell one sample's whole story, or why an item was dropped.",
    "export": "Write a dataset in COCO's or FiftyOne's format.",
    "fetch": "Download what a recipe's categories need: annotations, photos, masks, clips.",
    "import": "Turn AVSBench or AVS-Synthetic in its official folders into shards.",
    "index": "Read corpora into Parquet tables of masks and clips.",
    "ledger": "Say what became of every item of a fetch: counts per cause, survival per category.",
    "match": "Propose which things that can be seen make which sounds.",
    "plan": "Say what a build will take: hours, bytes, money by step, and the step that limits.",
    "publish": "Publish an immutable version to a folder, S3, GCS or the Hugging Face Hub.",
    "rehydrate": "Rebuild full shards from a reference-only edition and your own clips.",
    "retry": "Try again, now, the items of a fetch that failed for given causes.",
    "review": "Review proposed links in a browser; write the accepted into the label map.",
    "stats": "Write a self-contained HTML page and plots about a dataset.",
    "takedown": "Write a dataset without a photo or video, with the reason recorded.",
    "verify": "Re-read a whole dataset and say what is wrong and where.",
}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is named, so that `--help` stays instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        logging.getLogger().setLevel(
            logging.ERROR
        )  # Beam warns at import of cloud clients that are not needed
        module = importlib.import_module("pipelines.commands." + name.replace("-", "_"))
        return module.command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AvsError as error:
            raise click.ClickException(str(error)) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="avs-data")
def main() -> None:
    """Build, review, version and publish annotation-free audio-visual segmentation datasets."""
