"""`avs-data fetch plan`."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from pipelines.commands import options
from shards.command_line import NOTHING, Command

if TYPE_CHECKING:
    from pipelines.fetch.estimate import Forecast


@click.command(cls=Command, kept=NOTHING)
@options.RECIPE
@click.option(
    "--corpora",
    metavar="DIR",
    help="Folder or URL that `fetch run` is to fill; what it holds already is counted.  [default: nothing is there]",
)
@options.ONLY
@options.MEDIA
@options.COOKIES
@click.option(
    "--bandwidth",
    type=click.FloatRange(0, min_open=True),
    default=100.0,
    show_default=True,
    help="Mbit/s of this machine's connection.",
)
@options.JSON
def command(
    recipe_name: str,
    corpora: str | None,
    only: tuple[str, ...],
    media: tuple[str, ...],
    cookies: tuple[str, ...],
    bandwidth: float,
    as_json: bool,
) -> None:
    """Say what `avs-data fetch run` with the same RECIPE would take: items, bytes, time, disk. Downloads and writes
    nothing.

    Before anything is fetched, the plan follows from the published sizes of the corpora; once DIR holds the annotation
    files (`fetch run --only annotations`), from those, item by item. Each --cookies file is another session at
    YouTube, so less time. `avs-data plan` says what the build then takes.

    \b
    Examples:
      avs-data fetch plan avs_synthetic
      avs-data fetch plan avs_synthetic --corpora corpora --bandwidth 500
    """
    from pipelines.recipes import recipe
    from shards import terminal
    from shards.display import Display

    loaded = recipe.load(recipe_name)
    with Display(f"Plan what {loaded.name} needs", {"Read the annotation files": "bytes"}) as display:
        from pipelines.build.categorize import label_map_of
        from pipelines.fetch import access, estimate
        from pipelines.fetch import options as fetch_options
        from pipelines.fetch.run import missing_annotations

        settings = fetch_options.with_media(fetch_options.of_recipe(loaded, recipe_name), media)
        label_map = label_map_of(loaded.labels)
        machine = estimate.Machine(len(access.sessions(cookies)), bandwidth)
        if corpora is None or missing_annotations(corpora, settings):
            made = estimate.published(label_map, settings, machine, only, corpora or ".")
        else:
            label_map = label_map_of(loaded.labels, corpora, loaded.corpora)
            made = estimate.counted(
                corpora, label_map, settings, loaded.select, machine, only,
                lambda read: display.show(
                    "Read the annotation files", read.bytes_done, read.bytes_total, part=read.source.path
                ),
            )  # fmt: skip
    if as_json:
        terminal.out_json(asdict(made))
    else:
        _print(made, machine.sessions)
        if loaded.about:
            terminal.out(f"{loaded.name}: {loaded.about}.")


def _print(made: "Forecast", sessions: int) -> None:
    from rich import box

    from shards import terminal

    begun = any(line.there or line.lost for line in made.lines)
    table = terminal.Table(title="Plan", box=box.SIMPLE_HEAD)
    table.add_column("what", no_wrap=True)
    for name in ("needed", *(("there", "lost") if begun else ()), "to fetch", "bytes", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("limited by")
    for line in made.lines:
        counts = (line.needed, *((line.there, line.lost) if begun else ()), line.to_fetch)
        size, time = terminal.size(line.bytes), terminal.spoken(line.seconds)
        table.add_row(line.what, *(f"{count:,}" for count in counts), size, time, line.limited_by)
    terminal.console().print(table)
    exact = "the annotation files" if made.exact else "the published sizes of the corpora"
    terminal.out(
        f"From {exact}, for {made.categories} categories; {sessions} session(s) at YouTube. Kinds are fetched at the "
        "same time; bytes and time are estimates."
    )
    if limit := max(
        (line for line in made.lines if line.to_fetch), key=lambda line: line.seconds, default=None
    ):
        terminal.out(f"{limit.what} limit: {terminal.spoken(limit.seconds)}, limited by {limit.limited_by}.")
    for line in made.lines:
        if line.places:
            web = (
                f"; what they lack, from the web, {terminal.spoken(line.web_seconds)} at most"
                if line.web_seconds
                else ""
            )
            terminal.out(
                f"{line.what}: out of {line.places} place(s) of [fetch.media], "
                f"{terminal.size(line.archive_bytes)} of archives{web}."
            )
        elif line.archive_bytes > line.bytes:
            terminal.out(
                f"{line.what}: {terminal.size(line.bytes)} by range out of {terminal.size(line.archive_bytes)} of "
                f"archives: {terminal.size(line.archive_bytes - line.bytes)} saved."
            )
    if made.copied_seconds and not any(line.places for line in made.lines):
        terminal.out(
            "Clips that you have already need no YouTube (--media CORPUS=PLACE): "
            f"{terminal.size(made.copied_bytes)} of audio, {terminal.spoken(made.copied_seconds)} at this bandwidth."
        )
    terminal.out(
        f"Disk: {terminal.size(made.kept_bytes)} when all is there; archives are read as they come and not kept."
    )
    if not made.exact:
        terminal.out(
            "Sharper once the annotation files are there: avs-data fetch run RECIPE --only annotations."
        )
