"""`avs-data rehydrate`."""

import sys

import click

from pipelines.commands import options
from shards.command_line import FOUND_WRONG


@click.command()
@click.argument("edition")
@options.CORPORA
@options.OUT
def command(edition: str, corpora: str, out: str) -> None:
    """Rebuild the full dataset from EDITION (published with --reference-only audio) and your own clips.

    The clips are those of CORPORA/vggsound/. The result is byte-identical to the original: every sound, shard and table
    is checked against its hash. Clips that are missing or differ are listed, exit code 1; fetch them and run the same
    command again, which resumes where it was.

    Example: avs-data rehydrate s3://bucket/avs-audio-free/1.0.0 --corpora corpora --out out/avs
    """
    from pipelines.publish.rehydrate import rehydrate
    from shards.terminal import Bars

    with Bars() as bars:
        missing = rehydrate(
            edition, corpora, out, lambda done, total: bars.show("Writing shards", done, total)
        )
    for clip in missing:
        click.echo(f"{clip.clip_id}: {clip.reason}: {clip.detail}")
    if missing:
        click.echo(f"{len(missing)} clip(s) missing: {out} is no dataset yet", err=True)
        sys.exit(FOUND_WRONG)
    click.echo(f"{out}: OK, every byte as in the original")
