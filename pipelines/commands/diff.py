"""`avs-data diff`."""

from typing import TYPE_CHECKING

import click

from pipelines.commands import options
from shards.command_line import NOTHING, Command

if TYPE_CHECKING:
    from pipelines.publish.diff import Diff


@click.command(cls=Command, kept=NOTHING)
@click.argument("a")
@click.argument("b")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown"]),
    default="text",
    show_default=True,
    help="text: counts per cause and class, then every change.",
)
@options.JSON
def command(a: str, b: str, form: str, as_json: bool) -> None:
    """Say what changed from dataset A to dataset B (folders or URLs), sample by sample.

    Added, removed, relabelled, moved between splits, re-masked, re-paired, and changed media or records; each with its
    cause: source gone, new category, rule changed, label map changed, review decision, takedown.

    Example: avs-data diff s3://bucket/avs/1.0.0 out/avs --format markdown
    """
    from shards import terminal
    from shards.display import Display

    stages = {"Read the tables": "", "Compare": "samples"}
    with Display(f"Compare {a} with {b}", stages) as display:
        display.show("Read the tables")
        from pipelines.publish import changelog
        from pipelines.publish.diff import diff
        from shards.reader import Dataset

        found = diff(
            Dataset(a), Dataset(b), progress=lambda done, total: display.show("Compare", done, total)
        )
    if as_json:
        terminal.out_json(found.plain())
    elif form == "markdown":
        terminal.out_file(changelog.markdown(found))
    else:
        _print(found)


def _print(found: "Diff") -> None:
    from shards import terminal
    from shards.terminal import Table

    terminal.out(
        f"{found.samples_a:,} samples in A, {found.samples_b:,} in B, {found.unchanged:,} unchanged; "
        f"{found.shards_same:,} shards the same ({found.bytes_same:,} bytes), {found.shards_changed:,} not "
        f"({found.bytes_changed:,} bytes)"
    )
    causes = Table("change", "cause", "samples")
    for (kind, cause), number in found.causes().items():
        causes.add_row(kind, cause, f"{number:,}")
    classes = Table("category", *found.counts())
    for name in sorted({name for counts in found.counts().values() for name in counts}):
        classes.add_row(name, *(f"{counts.get(name, 0):,}" for counts in found.counts().values()))
    if found.changes:
        console = terminal.console()
        console.print(causes)
        console.print(classes)
    for clip, cause, detail in found.clips_removed:
        terminal.out(f"clip removed: {clip} ({cause}: {detail})")
    for change in found.changes:
        arrow = f" {change.before} -> {change.after}" if change.before and change.after else ""
        terminal.out(f"{change.kind}: {change.sample_id}{arrow} ({change.cause}: {change.detail})")
