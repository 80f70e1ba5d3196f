"""`avs-data fetch ledger`."""

import time
from collections.abc import Sequence
from dataclasses import asdict, astuple, fields
from typing import TYPE_CHECKING

import click

from pipelines.commands import options
from shards.command_line import NOTHING, Command

if TYPE_CHECKING:
    from pipelines.fetch.items import Item
    from pipelines.fetch.ledger import Attempt


@click.command(cls=Command, kept=NOTHING)
@options.CORPORA
@click.option(
    "--cause", help="List the items whose last attempt has one of these causes (separated by commas)."
)
@click.option(
    "--csv",
    "as_csv",
    is_flag=True,
    help="Print every attempt as CSV; what a spreadsheet takes for a formula begins with an apostrophe.",
)
@options.JSON
def command(corpora: str, cause: str | None, as_csv: bool, as_json: bool) -> None:
    """Say what became of each item of CORPORA: counts per cause, survival per category, what waits.

    Permanent causes are never tried again. The others are, after a wait that doubles: by the next fetch, or
    at once with avs-data fetch retry.

    Example: avs-data fetch ledger --corpora corpora --cause removed,private
    """
    from pipelines.fetch import report
    from pipelines.fetch.ledger import Attempt, Ledger
    from pipelines.fetch.run import read_items
    from pipelines.review import spreadsheet
    from shards import terminal

    wanted = report.parse_causes(cause) if cause is not None else None
    items = read_items(corpora)
    with Ledger(corpora) as ledger:
        rows, latest = ledger.rows(), ledger.latest()
    if as_csv:
        header = [field.name for field in fields(Attempt)]
        terminal.out_file(spreadsheet.to_csv([header, *map(astuple, rows)]))
        return
    if as_json:
        terminal.out_json([asdict(row) for row in latest.values() if wanted is None or row.cause in wanted])
        return
    if wanted is None:
        print_ledger(rows, latest, items)
        return
    for row in sorted(latest.values(), key=lambda row: (row.cause, row.item)):
        if row.cause in wanted:
            again = "never again" if row.permanent else _clock(row.next_at)
            terminal.out(f"{row.item}  {row.cause}  attempt {row.attempt}  {again}  {row.detail}")


def ledger_json(latest: "dict[str, Attempt]", items: "Sequence[Item]") -> dict[str, object]:
    """What `print_ledger` shows, for other programs."""
    from pipelines.fetch import report

    return {
        "causes": [asdict(line) for line in report.causes(latest.values(), latest, items)],
        "survival": [asdict(one) for one in report.survival(latest, items)],
        "ranges": dict(zip(("read_bytes", "archive_bytes"), report.ranges(latest), strict=True)),
    }


def print_ledger(rows: "Sequence[Attempt]", latest: "dict[str, Attempt]", items: "Sequence[Item]") -> None:
    """Causes and survival. Without `rows` the column of attempts is left out."""
    from pipelines.fetch import report
    from shards import terminal
    from shards.terminal import Table

    causes = Table(title="Causes")
    for name in ("kind", "cause"):
        causes.add_column(name)
    numbers = ("attempts", "items", "never again") if rows else ("items", "never again")
    for name in numbers:
        causes.add_column(name, justify="right")
    for line in report.causes(rows or latest.values(), latest, items):
        counts = (line.attempts, line.items, line.permanent) if rows else (line.items, line.permanent)
        causes.add_row(line.kind, line.cause, *(f"{count:,}" for count in counts))
    survival = Table(title="Survival")
    for name in ("category", "kind"):
        survival.add_column(name)
    for name in ("needed", "there", "lost", "share there"):
        survival.add_column(name, justify="right")
    for one in report.survival(latest, items):
        share = f"{one.there / one.needed:.1%}"
        survival.add_row(one.category, one.kind, f"{one.needed:,}", f"{one.there:,}", f"{one.lost:,}", share)
    console = terminal.console()
    console.print(causes)
    console.print(survival)
    read, size = report.ranges(latest)
    if size > read:
        terminal.out(
            f"Archives of masks: {terminal.size(read)} of {terminal.size(size)} read, "
            f"{terminal.size(size - read)} saved"
        )
    for cause, waiting in report.waiting(latest).items():
        terminal.out(
            f"{len(waiting):,} wait after {cause}, the first until {_clock(waiting[0].next_at)}: {waiting[0].detail}"
        )


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
