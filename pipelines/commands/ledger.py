"""`avs-data ledger`."""

import csv
import sys
import time
from collections.abc import Sequence
from dataclasses import astuple, fields

import click
from rich.console import Console
from rich.table import Table

from pipelines.fetch import report
from pipelines.fetch.items import Item
from pipelines.fetch.ledger import Attempt, Ledger
from pipelines.fetch.run import FetchError, read_items


@click.command()
@click.argument("corpora", metavar="DIR")
@click.option(
    "--cause", help="List the items whose last attempt has one of these causes (a comma between them)."
)
@click.option("--csv", "as_csv", is_flag=True, help="Print every attempt as CSV.")
def command(corpora: str, cause: str | None, as_csv: bool) -> None:
    """What became of each item of the corpora folder DIR: counts per cause, survival per category, what waits.

    Permanent causes are never tried again. The others are, after a wait that doubles: by the next fetch, or
    at once with avs-data retry.
    """
    try:
        wanted = report.parse_causes(cause) if cause else None
        items = read_items(corpora)
        with Ledger(corpora) as ledger:
            rows, latest = ledger.rows(), ledger.latest()
    except (FetchError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    if as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(field.name for field in fields(Attempt))
        writer.writerows(astuple(row) for row in rows)
        return
    console = Console()
    if wanted is not None:
        chosen = sorted(
            (row for row in latest.values() if row.cause in wanted), key=lambda row: (row.cause, row.item)
        )
        for row in chosen:
            again = (
                "never again"
                if row.permanent
                else time.strftime("%Y-%m-%d %H:%M", time.localtime(row.next_at))
            )
            console.print(
                f"{row.item}  {row.cause}  attempt {row.attempt}  {again}  {row.detail}", highlight=False
            )
        return
    print_ledger(console, rows, latest, items)


def print_ledger(
    console: Console, rows: Sequence[Attempt], latest: dict[str, Attempt], items: Sequence[Item]
) -> None:
    """Causes and survival. Without `rows` the column of attempts is left out."""
    causes = Table(title="Causes")
    for name in ("kind", "cause"):
        causes.add_column(name)
    numbers = ("attempts", "items", "never again") if rows else ("items", "never again")
    for name in numbers:
        causes.add_column(name, justify="right")
    for line in report.causes(rows or latest.values(), latest, items):
        counts = (line.attempts, line.items, line.permanent) if rows else (line.items, line.permanent)
        causes.add_row(line.kind, line.cause, *(f"{count:,}" for count in counts))
    console.print(causes)
    survival = Table(title="Survival")
    for name in ("category", "kind"):
        survival.add_column(name)
    for name in ("needed", "there", "lost", "share there"):
        survival.add_column(name, justify="right")
    for one in report.survival(latest, items):
        share = f"{one.there / one.needed:.1%}"
        survival.add_row(one.category, one.kind, f"{one.needed:,}", f"{one.there:,}", f"{one.lost:,}", share)
    console.print(survival)
    waits = report.waiting(latest)
    for cause, waiting in waits.items():
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(waiting[0].next_at))
        console.print(
            f"{len(waiting):,} wait after {cause}, the first until {when}: {waiting[0].detail}",
            highlight=False,
        )
