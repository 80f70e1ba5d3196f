"""`avs-data import`."""

import click
from rich.console import Console
from rich.progress import Progress

from pipelines.imports import avs_synthetic, avsbench, dataset
from pipelines.imports.planned import LayoutError
from shards import guard

_READERS = {"avsbench": avsbench.read, "avs-synthetic": avs_synthetic.read}


@click.command()
@click.argument("kind", type=click.Choice(sorted(_READERS)))
@click.argument("folder")
@click.option("--out", required=True, metavar="DATASET", help="Folder or URL of the dataset to write.")
@click.option(
    "--workers", default=2, show_default=True, type=click.IntRange(1), help="Threads that write shards."
)
def command(kind: str, folder: str, out: str, workers: int) -> None:
    """Turn the published dataset in FOLDER into shards, so that training and evaluation read one format.

    \b
    avsbench       the folder of S4 (s4_meta_data.csv, s4_data/) or of MS3 (ms3_meta_data.csv, ms3_data/)
    avs-synthetic  the release folder (annotations.csv, images/, masks/, audios/)

    AVSBench's PNG frames become JPEGs of quality 98; masks and sound lose nothing. Each frame hears its own second. The
    same command again goes on where it was stopped.
    """
    console = Console(stderr=True)
    try:
        found = _READERS[kind](folder)
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("Shards", total=None)
            counts = dataset.write(
                found, folder, out, workers=workers,
                progress=lambda done, of: progress.update(task, completed=done, total=of),
            )  # fmt: skip
    except LayoutError as error:
        raise click.ClickException(str(error)) from error
    dropped = ", ".join(f"{reason} {number}" for reason, number in sorted(counts.items()) if reason != "kept")
    console.print(
        f"{out}: {found.name}, {counts['kept']} samples; dropped: {dropped or 'none'}", soft_wrap=True
    )
    if said := guard.report(out):
        raise click.ClickException(said)
