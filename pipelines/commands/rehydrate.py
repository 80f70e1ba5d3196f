"""`avs-data rehydrate`."""

import sys
from dataclasses import asdict

import click

from pipelines.commands import options
from shards.command_line import FOUND_WRONG, Command


@click.command(
    cls=Command, kept="the shards that are complete stay in {out}; the same command goes on from them"
)
@click.argument("edition")
@options.CORPORA
@options.OUT
@options.JSON
def command(edition: str, corpora: str, out: str, as_json: bool) -> None:
    """Rebuild the full dataset from EDITION (published with --reference-only audio) and your own clips.

    The clips are those of CORPORA/vggsound/. The result is byte-identical to the original: every sound, shard and table
    is checked against its hash. Clips that are missing or differ are listed, exit code 1; fetch them and run the same
    command again, which resumes where it was.

    Example: avs-data rehydrate s3://bucket/avs-audio-free/1.0.0 --corpora corpora --out out/avs
    """
    from shards import terminal
    from shards.display import Display

    with Display(f"Rebuild {edition} into {out}", {"Write shards": "shards"}) as display:
        from pipelines.publish.rehydrate import rehydrate

        missing = rehydrate(
            edition, corpora, out, lambda done, total: display.show("Write shards", done, total)
        )
    if as_json:
        terminal.out_json({"out": out, "missing": [asdict(clip) for clip in missing]})
    else:
        terminal.out(*(f"{clip.clip_id}: {clip.reason}: {clip.detail}" for clip in missing))
    if missing:
        terminal.warn(f"{len(missing)} clip(s) missing: {out} is no dataset yet")
        sys.exit(FOUND_WRONG)
    if not as_json:
        terminal.out(f"{out}: OK, every byte as in the original")
