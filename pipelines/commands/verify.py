"""`avs-data verify`."""

import sys
import tempfile

import click

from pipelines.commands import options
from shards.command_line import FOUND_WRONG


@click.command()
@options.DATASET
@options.WORKERS
@click.option(
    "--rebuild", is_flag=True, help="Build it again from its recipe and --corpora, and compare every byte."
)
@click.option("--corpora", metavar="DIR", help="For --rebuild: what it was built from.")
@options.HELD_OUT
def command(
    dataset: str, workers: int, rebuild: bool, corpora: str | None, held_out: tuple[str, ...]
) -> None:
    """Re-read all of DATASET (a folder or URL) and check it against its manifest.

    Hashes, counts, tar headers, offsets, that every photo, mask, sound and record decodes and fits the others, and that
    no photograph or video leaks across splits or out of a --held-out list; of scenes, that each sound and target is
    what its record gives, made again. Prints each fault with its place; exit code 1 if there is any. Where a list has
    one video in two of its own splits, it says so. With --rebuild, the lists are also what the build was given.

    \b
    Examples:
      avs-data verify out/avs --workers 4 --held-out s4_meta_data.csv
      avs-data verify s3://bucket/avs/1.0.0 --rebuild --corpora corpora
    """
    from pipelines.build.split import leaks_within, read_held_out
    from shards.terminal import Bars
    from shards.verify import verify

    if rebuild and not corpora:
        raise click.UsageError("--rebuild needs --corpora: the folder that the dataset was built from")
    lists = {url: read_held_out(url) for url in held_out}
    for url in held_out:
        for split, (shared, rows) in leaks_within(url).items():
            click.echo(
                f"{url}: {shared} of its {rows} rows of {split} are of a video that its own train has: a model "
                "trained on that knows them",
                err=True,
            )
    with Bars() as bars:
        faults = verify(dataset, workers, lambda done, total: bars.show("Reading shards", done, total), lists)
    for fault in faults:
        click.echo(f"{fault.where}: {fault.what}")
    if faults:
        click.echo(f"{dataset}: {len(faults)} fault(s)", err=True)
        sys.exit(FOUND_WRONG)
    click.echo(f"{dataset}: OK")
    if rebuild and corpora:
        _rebuild(dataset, corpora, held_out, workers)


def _rebuild(dataset: str, corpora: str, held_out: tuple[str, ...], workers: int) -> None:
    from pipelines.commands.progress import BuildProgress
    from pipelines.publish.rebuild import rebuild
    from shards import storage

    with tempfile.TemporaryDirectory(prefix="avs-rebuild-") as folder:
        out = storage.join(folder, "dataset")
        with BuildProgress(out) as progress:
            differ = rebuild(dataset, corpora, held_out, workers, out, progress.indexing)
    for line in differ:
        click.echo(line)
    if differ:
        click.echo(f"{dataset}: rebuilt otherwise, {len(differ)} difference(s)", err=True)
        sys.exit(FOUND_WRONG)
    click.echo(f"{dataset}: rebuilt, every byte the same")
