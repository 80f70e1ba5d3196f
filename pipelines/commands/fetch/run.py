"""`avs-data fetch run`."""

import time
from typing import TYPE_CHECKING

import click

from pipelines.commands import options
from shards.command_line import Command
from shards.errors import AvsError

if TYPE_CHECKING:
    from pipelines.fetch.ledger import Attempt


@click.command(cls=Command, kept="all that is downloaded stays, and the ledger; the same command goes on")
@options.RECIPE
@options.CORPORA
@options.ONLY
@options.MEDIA
@options.COOKIES
@options.WORKERS
@options.JSON
@click.option(
    "--accept-drift", is_flag=True, help="Take annotation files that changed since they were pinned."
)
def command(
    recipe_name: str,
    corpora: str,
    only: tuple[str, ...],
    media: tuple[str, ...],
    cookies: tuple[str, ...],
    workers: int,
    as_json: bool,
    accept_drift: bool,
) -> None:
    """Download what the categories of RECIPE need: annotation files, photos, masks, clips.

    A stopped fetch resumes where it was; a finished one fetches nothing. Another category fetches only what
    is new. Each attempt is a row of the ledger (avs-data fetch ledger). What failed for good is never tried
    again; what failed for now waits its turn, in this run or the next.

    \b
    CORPORA/lvis/         annotations, images/train2017, images/val2017
    CORPORA/open_images/  annotations, images/, masks/
    CORPORA/vggsound/     vggsound.csv, clips/<id>_<start %06d>.flac
    CORPORA/_fetch/       ledger, items, pins, near duplicates

    What you have already is taken from there: --media vggsound=/data/vggsound --media vggsound=web looks into the files
    and archives of a folder first and asks YouTube for the rest. Archives are read once; only what is needed is kept.

    YouTube lets a guest see about 300 videos an hour: [fetch.youtube] of the recipe holds the budget,
    --cookies adds sessions. Proxies come from the environment variable AVS_DATA_PROXIES, one address after
    another with spaces between.

    With --workers 4 four processes download photos and decode what archives hold; how many requests a host gets at once
    is its concurrency in [fetch.hosts], whatever their number.

    Example: avs-data fetch run avs_synthetic --corpora corpora
    """
    from pipelines.fetch.display import FetchDisplay
    from pipelines.recipes import recipe
    from shards import guard, terminal

    loaded = recipe.load(recipe_name)
    with FetchDisplay(f"Fetch what {loaded.name} needs into {corpora}") as display:
        from pipelines.build.categorize import label_map_of
        from pipelines.commands.fetch.ledger import ledger_json, print_ledger
        from pipelines.fetch import access, places
        from pipelines.fetch import options as fetch_options
        from pipelines.fetch.causes import Cause
        from pipelines.fetch.ledger import Ledger
        from pipelines.fetch.run import Fetch, locked

        settings = fetch_options.with_media(fetch_options.of_recipe(loaded, recipe_name), media)
        for corpus in settings.corpora:  # a place that is not there is told before anything is read
            places.named(settings, corpus, corpora)
        label_map_of(loaded.labels)  # a name that it does not have is told before anything is read
        sessions = access.sessions(cookies)
        with Ledger(corpora) as ledger, locked(ledger):
            fetch = Fetch(
                corpora, settings, ledger, access=sessions, accept_drift=accept_drift, workers=workers,
                watch=display.watch,
            )  # fmt: skip
            fetch.annotations()
            if only == ("annotations",):
                return
            display.show("Index")
            found = fetch.plan(label_map_of(loaded.labels, corpora, loaded.corpora), loaded)
            chosen = [item for item in found.items if not only or f"{item.kind.value}s" in only]
            fetch.items(chosen)
            display.show("Near duplicates")
            near = fetch.near_duplicates(found.items)
            latest = ledger.latest()
    terminal.say(f"Near duplicates: {near[0]} pairs of photos, {near[1]} pairs of clips")
    if as_json:
        terminal.out_json(ledger_json(latest, found.items))
    else:
        print_ledger([], latest, found.items)
    _print_rest([latest.get(item.name) for item in chosen])
    failed = [row for item in chosen if (row := latest.get(item.name)) and row.cause == Cause.INTERNAL_ERROR]
    if said := guard.say([f"{row.item}: {row.detail}" for row in failed], "the ledger has them"):
        raise AvsError(said)


def _print_rest(rows: "list[Attempt | None]") -> None:
    from shards import terminal

    later = [row.next_at for row in rows if row is not None and not row.ok and not row.permanent]
    if unasked := sum(row is None for row in rows):
        terminal.say(
            f"{unasked:,} item(s) were not asked for: their source wants to rest for longer than patience_s of "
            "[fetch]. Run the same command again, later"
        )
    if later:
        minutes = max(0.0, min(later) - time.time()) / 60
        terminal.say(
            f"{len(later):,} item(s) may come later, the first in {minutes:,.0f} min: run the same command again, "
            "or avs-data fetch retry to try some causes at once"
        )
