"""`avs-data rehydrate`."""

import sys

import click
from rich.console import Console
from rich.progress import Progress

from pipelines.corpora.source import CorpusError
from pipelines.publish.rehydrate import rehydrate
from shards.manifest import DatasetError


@click.command()
@click.argument("edition")
@click.option(
    "--corpora", required=True, help="Folder or URL with vggsound/vggsound.csv and vggsound/clips/."
)
@click.option("--out", required=True, help="Folder of the full dataset. A stopped run goes on where it was.")
def command(edition: str, corpora: str, out: str) -> None:
    """Rebuild the full dataset from EDITION (published with --reference-only audio) and your own clips.

    The result is byte-identical to the original: every sound, shard and table is checked against its hash. Clips that
    are missing or differ are listed, exit code 1; fetch them and run the same command again.
    """
    try:
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("Writing shards", total=None)
            missing = rehydrate(
                edition, corpora, out, lambda done, total: bar.update(task, completed=done, total=total)
            )
    except (DatasetError, CorpusError) as error:
        raise click.ClickException(str(error)) from error
    for clip in missing:
        click.echo(f"{clip.clip_id}: {clip.reason}: {clip.detail}")
    if missing:
        click.echo(f"{len(missing)} clip(s) missing: {out} is no dataset yet", err=True)
        sys.exit(1)
    click.echo(f"{out}: whole, every byte as in the original")
