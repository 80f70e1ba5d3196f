"""`avs-data stats`: a dataset at a glance."""

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from pipelines.stats import StatsError, write_stats
from shards.manifest import DatasetError


@click.command()
@click.argument("dataset")
@click.option(
    "--out", metavar="DIR", help="Folder or URL to write to, not inside DATASET.  [default: DATASET.stats]"
)
@click.option(
    "--samples",
    type=click.IntRange(0, 500),
    default=24,
    show_default=True,
    help="Samples on the contact sheet.",
)
def command(dataset: str, out: str | None, samples: int) -> None:
    """Write a page and plots about DATASET, a folder or URL that `avs-data build` has finished.

    \b
    OUT/index.html            one self-contained page: samples per class and split,
                              mask areas, clip lengths, the funnel, and samples to
                              look at and listen to
    OUT/contact_sheet.png     the same samples as one picture
    OUT/samples_per_class.png, mask_area.png, duration.png, funnel.png

    Media are read for the samples on the contact sheet only.

    Example: avs-data stats out/demo
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    tasks: dict[str, TaskID] = {}
    try:
        with Progress(*columns, console=console, transient=True) as bar:

            def show(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    tasks[what] = bar.add_task(what, total=total)
                bar.update(tasks[what], completed=done)

            page = write_stats(dataset, out, samples, show)
    except (DatasetError, StatsError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(page)
