"""`avs-data plan`."""

from typing import TYPE_CHECKING

import click

from pipelines.commands import options
from shards.command_line import NOTHING, Command

if TYPE_CHECKING:
    from pipelines.planning.forecast import Forecast
    from pipelines.planning.workload import Workload


@click.command(cls=Command, kept=NOTHING)
@options.RECIPE
@click.option(
    "--corpora",
    metavar="DIR",
    help="Folder or URL of corpora to count.  [default: the published corpora, from an object store]",
)
@options.WORKERS
@click.option(
    "--categories",
    "by_category",
    is_flag=True,
    help="Also what each category has: photos, and clips by corpus.",
)
@options.JSON
def command(recipe_name: str, corpora: str | None, workers: int, by_category: bool, as_json: bool) -> None:
    """Say what `avs-data build` with the same RECIPE will take: samples, bytes, hours, and the step that limits.

    The last column says why a step takes as long as it does:

    \b
    one process   more workers change nothing
    tasks         there are fewer tasks than workers
    network       workers wait for bytes and answers: more workers, a nearer store
    store         as many requests as the store answers: more workers change nothing
    processor     more workers, faster ones

    Hours are estimates from measured rates; a machine that is twice as fast takes half. `avs-data fetch plan` says
    what downloading takes.

    \b
    Examples:
      avs-data plan avs_synthetic --workers 16
      avs-data plan avs_synthetic --corpora corpora
      avs-data plan avs_wide --categories
    """
    from pipelines.build.categorize import label_map_of
    from pipelines.planning import forecast, workload
    from pipelines.recipes import recipe
    from shards import storage, terminal
    from shards.display import Display
    from shards.errors import AvsError

    loaded = recipe.load(recipe_name)
    label_map = label_map_of(loaded.labels, corpora or "", loaded.corpora)
    if corpora:
        with Display(f"Count the corpora in {corpora}", {"Read the annotation files": "bytes"}) as display:
            display.show("Read the annotation files")
            work = workload.counted(
                corpora,
                label_map,
                lambda read: display.show(
                    "Read the annotation files", read.bytes_done, read.bytes_total, part=read.source.path
                ),
                loaded.corpora,
                loaded.select.mask_sources,
            )
    else:
        work = workload.published(label_map, loaded.corpora)
    if not sum(work.candidates.values()):
        raise AvsError(
            f"nothing to build: no label of {recipe_name}'s categories is in {corpora or 'the published corpora'}"
        )
    local = corpora is not None and storage.is_local(corpora)
    place = forecast.Place(workers) if local else forecast.Place.object_store(workers)
    made = forecast.forecast(work, loaded, forecast.load_rates(), place)
    if as_json:
        terminal.out_json(made.plain() | {"categories": work.by_category()})
    else:
        _print(made, workers)
        if by_category:
            _print_categories(work)
        if loaded.about:
            terminal.out(f"{loaded.name}: {loaded.about}.")


def _print(made: "Forecast", workers: int) -> None:
    from shards import terminal
    from shards.terminal import Table

    table = Table(title="Plan")
    table.add_column("step")
    for name in ("items", "bytes", "time"):
        table.add_column(name, justify="right")
    table.add_column("limited by")
    for step, seconds, bound in made.steps:
        items = f"{step.items:,.0f} {step.unit}{'' if round(step.items) == 1 else 's'}"
        moved = terminal.size(step.bytes) if step.bytes else ""
        style = "bold" if step is made.limit[0] else ""
        table.add_row(step.name, items, moved, terminal.spoken(seconds), bound, style=style)
    terminal.console().print(table)
    step, seconds, bound = made.limit
    terminal.out(
        f"{made.samples:,.0f} samples and {made.clips:,.0f} clips in {made.shards:,} shards of "
        f"{terminal.size(made.dataset_bytes)}; {terminal.spoken(made.seconds)} with {workers} worker(s)."
    )
    terminal.out(f"{step.name} limits: {seconds / made.seconds:.0%} of the time, limited by {bound}.")


def _print_categories(work: "Workload") -> None:
    """Categories with few clips first: what a further corpus would bring most to."""
    from shards import terminal
    from shards.terminal import Table

    sounds = sorted(work.clips_in)
    table = Table("category", "photos", *sounds, "all clips", title="Photos, and clips by corpus")
    table.columns[0].no_wrap = True
    found = work.by_category().items()
    for category, has in sorted(found, key=lambda one: (sum(one[1]["clips"].values()), one[0])):
        clips = [has["clips"].get(name, 0) for name in sounds]
        table.add_row(category, *(f"{count:,}" for count in (has["photos"], *clips, sum(clips))))
    terminal.console().print(table)
