"""`avs-data retry`."""

import time

import click
from rich.console import Console

from pipelines.commands.fetch import COOKIES
from pipelines.commands.ledger import print_ledger
from pipelines.fetch import access, options, report
from pipelines.fetch.display import FetchDisplay
from pipelines.fetch.items import Kind
from pipelines.fetch.ledger import Ledger
from pipelines.fetch.run import Fetch, FetchError, locked, read_items
from pipelines.recipes import recipe


@click.command()
@click.argument("corpora", metavar="DIR")
@click.option("--cause", required=True, help="Causes with commas between them, as throttled,timeout.")
@click.option(
    "--recipe", "recipe_file", help="Take [fetch] options from this recipe; else the defaults hold."
)
@COOKIES
def command(corpora: str, cause: str, recipe_file: str | None, cookies: tuple[str, ...]) -> None:
    """Try the items of DIR again, now, whose last attempt failed for one of these causes - and no others.

    The backoff is passed over, the limits per host and the budget are not. What failed for good stays as it
    is.
    """
    try:
        wanted = report.parse_causes(cause)
        settings = options.parse(
            recipe.load(recipe_file).fetch if recipe_file else {}, recipe_file or "defaults"
        )
        items = read_items(corpora)
        sessions = access.sessions(cookies)
        with Ledger(corpora) as ledger, locked(ledger), FetchDisplay(Console(stderr=True)) as display:
            latest = ledger.latest()
            failed = {name for name, row in latest.items() if row.cause in wanted}
            again = {name for name in failed if not latest[name].permanent}
            chosen = [
                item
                for item in items
                if item.name in again
                or (item.kind is Kind.MASK and f"archive:{item.url.rpartition('/')[2]}" in again)
            ]
            ledger.reopen(again, time.time())
            fetch = Fetch(corpora, settings, ledger, access=sessions, watch=display.watch)
            fetch.items(chosen)
            fetch.near_duplicates(items)
            latest = ledger.latest()
    except (recipe.RecipeError, FetchError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    console = Console()
    now_there = sum(latest[name].ok for name in again)
    console.print(
        f"{len(again):,} item(s) tried again, {now_there:,} now there; "
        f"{len(failed) - len(again):,} failed for good and were left alone"
    )
    print_ledger(console, [], latest, items)
