"""`avs-data verify`."""

import sys
import tempfile

import click
from rich.console import Console
from rich.progress import Progress

from pipelines.build.split import read_held_out
from shards import storage
from shards.manifest import DatasetError
from shards.verify import verify


@click.command()
@click.argument("dataset")
@click.option(
    "--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes that read shards."
)
@click.option(
    "--rebuild", is_flag=True, help="Build it again from its recipe and --corpora, and compare every byte."
)
@click.option("--corpora", help="For --rebuild: what it was built from.")
@click.option(
    "--held-out",
    multiple=True,
    metavar="CSV",
    help="A list of videos: one that is heard in train is a fault. With --rebuild also what the build is given.",
)
def command(
    dataset: str, workers: int, rebuild: bool, corpora: str | None, held_out: tuple[str, ...]
) -> None:
    """Re-read all of DATASET (a folder or URL) and check it against its manifest.

    Hashes, counts, tar headers, offsets, that every photo, mask, sound and record decodes and fits the others, and that
    no photograph or video leaks across splits or out of a --held-out list. Prints each fault with its place; exit code
    1 if there is any, 2 if there is no dataset.
    """
    console = Console(stderr=True)
    if rebuild and not corpora:
        raise click.UsageError("--rebuild needs --corpora: the folder that the dataset was built from")
    try:
        with Progress(console=console, transient=True) as bar:
            task = bar.add_task("Reading shards", total=None)
            faults = verify(
                dataset,
                workers,
                lambda done, total: bar.update(task, completed=done, total=total),
                {url: read_held_out(url) for url in held_out},
            )
    except DatasetError as error:
        raise click.UsageError(str(error)) from error
    for fault in faults:
        click.echo(f"{fault.where}: {fault.what}")
    if faults:
        click.echo(f"{dataset}: {len(faults)} fault(s)", err=True)
        sys.exit(1)
    click.echo(f"{dataset}: whole")
    if rebuild and corpora:
        _rebuild(dataset, corpora, held_out, workers, console)


def _rebuild(dataset: str, corpora: str, held_out: tuple[str, ...], workers: int, console: Console) -> None:
    from pipelines.build import run  # Beam, which a plain check does not need
    from pipelines.commands.progress import BuildProgress
    from pipelines.publish.rebuild import RebuildError, rebuild

    with tempfile.TemporaryDirectory(prefix="avs-rebuild-") as folder:
        out = storage.join(folder, "dataset")
        try:
            with BuildProgress(console, out) as progress:
                differ = rebuild(dataset, corpora, held_out, workers, out, progress.indexing)
        except (RebuildError, run.BuildError, run.BuildStopped) as error:
            raise click.ClickException(str(error)) from error
    for line in differ:
        click.echo(line)
    if differ:
        raise click.ClickException(f"{dataset}: rebuilt otherwise, {len(differ)} difference(s)")
    click.echo(f"{dataset}: rebuilt, every byte the same")
