"""`avs-data fetch retry`."""

import time

import click

from pipelines.commands import options
from shards.command_line import Command


@click.command(cls=Command, kept="all that is downloaded stays, and the ledger; the same command goes on")
@options.RECIPE
@options.CORPORA
@click.option("--cause", required=True, help="Causes with commas between them, as throttled,timeout.")
@options.MEDIA
@options.COOKIES
@options.WORKERS
@options.JSON
def command(
    recipe_name: str,
    corpora: str,
    cause: str,
    media: tuple[str, ...],
    cookies: tuple[str, ...],
    workers: int,
    as_json: bool,
) -> None:
    """Try the items of CORPORA again, now, whose last attempt failed for one of these causes - and no others.

    The backoff is passed over; the limits per host and the budget that RECIPE sets are not. What failed for good stays
    as it is.

    Example: avs-data fetch retry avs_synthetic --corpora corpora --cause throttled,timeout
    """
    from pipelines.fetch.display import FetchDisplay
    from pipelines.recipes import recipe
    from shards import terminal

    loaded = recipe.load(recipe_name)
    with FetchDisplay(f"Try again what failed for {cause} in {corpora}") as display:
        from pipelines.commands.fetch.ledger import ledger_json, print_ledger
        from pipelines.fetch import access, report
        from pipelines.fetch import options as fetch_options
        from pipelines.fetch.items import Kind
        from pipelines.fetch.ledger import Ledger
        from pipelines.fetch.run import Fetch, locked, read_items

        wanted = report.parse_causes(cause)
        settings = fetch_options.with_media(fetch_options.of_recipe(loaded, recipe_name), media)
        items = read_items(corpora)
        sessions = access.sessions(cookies)
        with Ledger(corpora) as ledger, locked(ledger):
            latest = ledger.latest()
            failed = {name for name, row in latest.items() if row.cause in wanted}
            again = {name for name in failed if not latest[name].permanent}
            searched = {name.removeprefix("archive:").partition(" ")[0] for name in again if " " in name}
            chosen = [
                item
                for item in items
                if item.name in again
                or item.name.partition(":")[0] in searched
                or (item.kind is Kind.MASK and f"archive:{item.url.rpartition('/')[2]}" in again)
            ]
            ledger.reopen(again, time.time())
            fetch = Fetch(corpora, settings, ledger, access=sessions, workers=workers, watch=display.watch)
            fetch.items(chosen)
            fetch.near_duplicates(items)
            latest = ledger.latest()
    now_there = sum(latest[name].ok for name in again)
    if as_json:
        told = {
            "tried_again": len(again),
            "now_there": now_there,
            "failed_for_good": len(failed) - len(again),
        }
        terminal.out_json({**told, **ledger_json(latest, items)})
        return
    terminal.out(
        f"{len(again):,} item(s) tried again, {now_there:,} now there; "
        f"{len(failed) - len(again):,} failed for good and were left alone"
    )
    print_ledger([], latest, items)
