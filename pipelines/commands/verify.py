"""`avs-data verify`."""

import sys

import click
from rich.console import Console
from rich.progress import Progress

from shards.manifest import DatasetError
from shards.verify import verify


@click.command()
@click.argument("dataset")
@click.option(
    "--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes that read shards."
)
def command(dataset: str, workers: int) -> None:
    """Re-read all of DATASET (a folder or URL) and check it against its manifest.

    Hashes, counts, tar headers, offsets, that every photo, mask, sound and record decodes and fits the others, and that
    no photograph, video or held-out clip leaks across splits. Prints each fault with its place; exit code 1 if there is
    any, 2 if there is no dataset.
    """
    console = Console(stderr=True)
    try:
        with Progress(console=console, transient=True) as bar:
            task = bar.add_task("Reading shards", total=None)
            faults = verify(
                dataset, workers, lambda done, total: bar.update(task, completed=done, total=total)
            )
    except DatasetError as error:
        raise click.UsageError(str(error)) from error
    for fault in faults:
        click.echo(f"{fault.where}: {fault.what}")
    if faults:
        click.echo(f"{dataset}: {len(faults)} fault(s)", err=True)
        sys.exit(1)
    click.echo(f"{dataset}: whole")
