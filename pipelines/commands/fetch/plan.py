"""`avs-data fetch plan`."""

import json
from dataclasses import asdict

import click

from pipelines.commands import options


@click.command()
@options.RECIPE
@options.CORPORA
@options.ONLY
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
    corpora: str,
    only: tuple[str, ...],
    cookies: tuple[str, ...],
    bandwidth: float,
    as_json: bool,
) -> None:
    """Say what `avs-data fetch run` with the same RECIPE would take: items, bytes, time. Downloads nothing.

    The plan follows from the annotation files, which are fetched first (`fetch run --only annotations`). Each
    --cookies file is another session at YouTube, so less time. What the build then takes says `avs-data plan`.

    Example: avs-data fetch plan avs_synthetic --corpora corpora
    """
    from rich.table import Table

    from pipelines.build.categorize import label_map_of
    from pipelines.fetch import access, estimate
    from pipelines.fetch import options as fetch_options
    from pipelines.fetch.ledger import Ledger
    from pipelines.fetch.run import Fetch, FetchError, due, locked, missing_annotations
    from pipelines.recipes import recipe
    from shards import terminal

    loaded = recipe.load(recipe_name)
    settings = fetch_options.parse(loaded.fetch, recipe_name)
    label_map_of(loaded.labels)  # a name that it does not have is told before anything is read
    sessions = len(access.sessions(cookies))
    if missing := missing_annotations(corpora, settings):
        raise FetchError(
            f"the plan follows from annotation files that are not there yet: {', '.join(missing)}; "
            f"fetch them with: avs-data fetch run {recipe_name} --corpora {corpora} --only annotations"
        )
    with Ledger(corpora) as ledger, locked(ledger):
        fetch = Fetch(corpora, settings, ledger)
        found = fetch.plan(label_map_of(loaded.labels, corpora, loaded.corpora), loaded)
        chosen = [item for item in found.items if not only or f"{item.kind.value}s" in only]
        todo = due(chosen, fetch.store, ledger.latest())
    lines = estimate.estimate(chosen, todo, settings, sessions, bandwidth)
    if as_json:
        click.echo(json.dumps([asdict(line) for line in lines], indent=1))
        return
    table = Table(title="Plan")
    table.add_column("what", no_wrap=True)
    for name in ("needed", "there", "lost", "to fetch", "bytes", "time"):
        table.add_column(name, justify="right")
    table.add_column("limited by")
    for line in lines:
        counts = (line.needed, line.there, line.lost, line.to_fetch)
        size, time = terminal.size(line.bytes), terminal.spoken(line.seconds)
        table.add_row(line.what, *(f"{count:,}" for count in counts), size, time, line.limited_by)
    terminal.console().print(table)
    click.echo(
        f"{len(estimate.archives(todo))} mask archive(s); {sessions} session(s) at YouTube. Kinds are fetched at the "
        "same time; bytes and time are estimates."
    )
    if limit := max((line for line in lines if line.to_fetch), key=lambda line: line.seconds, default=None):
        click.echo(f"{limit.what} limit: {terminal.spoken(limit.seconds)}, limited by {limit.limited_by}.")
