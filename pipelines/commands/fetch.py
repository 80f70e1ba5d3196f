"""`avs-data fetch`."""

import time

import click
from rich.console import Console
from rich.table import Table

from label_maps import LabelMapError
from pipelines.build.match import label_map_of
from pipelines.commands.ledger import print_ledger
from pipelines.corpora.source import CorpusError
from pipelines.fetch import access, estimate, options
from pipelines.fetch.annotations import DriftError
from pipelines.fetch.causes import Cause
from pipelines.fetch.display import FetchDisplay
from pipelines.fetch.ledger import Attempt, Ledger
from pipelines.fetch.run import Fetch, FetchError, due, locked
from pipelines.recipes import recipe
from shards import guard

KINDS = ("annotations", "photos", "masks", "clips")
COOKIES = click.option(
    "--cookies",
    multiple=True,
    metavar="FILE",
    help="Cookie file in Netscape's format; give it several times for several sessions.",
)


@click.command()
@click.argument("recipe_file", metavar="RECIPE")
@click.option("--corpora", required=True, help="Folder or URL (s3://, gs://) that the corpora go to.")
@click.option(
    "--only", type=click.Choice(KINDS), multiple=True, help="Fetch these kinds alone; may be repeated."
)
@click.option(
    "--plan", "plan_only", is_flag=True, help="Print what would be fetched - items, bytes, hours - and stop."
)
@click.option("--bandwidth", default=100.0, show_default=True, help="Mbit/s, for the hours of --plan.")
@COOKIES
@click.option(
    "--accept-drift", is_flag=True, help="Take annotation files that changed since they were pinned."
)
def command(
    recipe_file: str,
    corpora: str,
    only: tuple[str, ...],
    plan_only: bool,
    bandwidth: float,
    cookies: tuple[str, ...],
    accept_drift: bool,
) -> None:
    """Download what the categories of RECIPE need: annotation files, photos, masks, clips.

    A stopped fetch goes on where it was; a finished one fetches nothing. Another category fetches only what
    is new. Each attempt is a row of the ledger (avs-data ledger CORPORA). What failed for good is never tried
    again; what failed for now waits its turn, in this run or the next.

    \b
    CORPORA/lvis/         annotations, images/train2017, images/val2017
    CORPORA/open_images/  annotations, images/, masks/
    CORPORA/vggsound/     vggsound.csv, clips/<id>_<start %06d>.flac
    CORPORA/_fetch/       ledger, plan, pins, near duplicates

    YouTube lets a guest see about 300 videos an hour: [fetch.youtube] of the recipe holds the budget,
    --cookies adds sessions. Proxies come from the environment variable AVS_DATA_PROXIES, one address after
    another with spaces between.
    """
    console = Console(stderr=True)
    try:
        loaded = recipe.load(recipe_file)
        settings = options.parse(loaded.fetch, recipe_file)
        label_map_of(loaded.labels)  # a name that it does not have is told before anything is fetched
        sessions = access.sessions(cookies)
        with Ledger(corpora) as ledger, locked(ledger), FetchDisplay(console) as display:
            fetch = Fetch(
                corpora, settings, ledger, access=sessions, accept_drift=accept_drift, watch=display.watch
            )
            if plan_only:
                missing = fetch.missing_annotations()
                if missing:
                    raise FetchError(
                        "the plan follows from annotation files that are not there yet: "
                        + ", ".join(missing)
                        + f"; fetch them with: avs-data fetch {recipe_file} --corpora {corpora} --only annotations"
                    )
            else:
                fetch.annotations()
                if only == ("annotations",):
                    return
            found = fetch.plan(label_map_of(loaded.labels, corpora), loaded)
            chosen = [item for item in found.items if not only or f"{item.kind.value}s" in only]
            if plan_only:
                todo = due(chosen, fetch.store, ledger.latest())
                lines = estimate.estimate(chosen, todo, settings, len(sessions), bandwidth)
            else:
                fetch.items(chosen)
                near = fetch.near_duplicates(found.items)
            latest = ledger.latest()
    except (recipe.RecipeError, LabelMapError, CorpusError, FetchError, DriftError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(
            f"{error}; what is stored stays good: make room and run the same command"
        ) from error
    if plan_only:
        _print_plan(lines, estimate.archives(todo), len(sessions))
        return
    console.print(f"Near duplicates: {near[0]} pairs of photos, {near[1]} pairs of clips")
    print_ledger(Console(), [], latest, found.items)
    _print_rest(console, [latest.get(item.name) for item in chosen])
    failed = [row for item in chosen if (row := latest.get(item.name)) and row.cause == Cause.INTERNAL_ERROR]
    if said := guard.say([f"{row.item}: {row.detail}" for row in failed], "the ledger has them"):
        raise click.ClickException(said)


def _print_plan(lines: list[estimate.Estimate], archives: list[str], sessions: int) -> None:
    table = Table(title="Plan")
    table.add_column("what")
    for name in ("needed", "there", "lost for good", "to fetch", "GB", "hours"):
        table.add_column(name, justify="right")
    for line in lines:
        counts = (line.needed, line.there, line.lost, line.to_fetch)
        table.add_row(
            line.what, *(f"{count:,}" for count in counts), f"{line.bytes / 1e9:,.2f}", f"{line.hours:,.1f}"
        )
    console = Console()
    console.print(table)
    console.print(
        f"{len(archives)} mask archive(s); {sessions} session(s) at YouTube. GB and hours are estimates."
    )


def _print_rest(console: Console, rows: list[Attempt | None]) -> None:
    later = [row.next_at for row in rows if row is not None and not row.ok and not row.permanent]
    if later:
        minutes = max(0.0, min(later) - time.time()) / 60
        console.print(
            f"{len(later):,} item(s) may come later, the first in {minutes:,.0f} min: run the same command again, "
            "or avs-data retry to try some causes at once"
        )
