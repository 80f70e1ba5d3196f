"""`avs-data index`: corpora to Parquet."""

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from pipelines.build import index as indexing
from shards import claims
from shards.errors import AvsError


@click.command()
@click.option(
    "--corpora",
    required=True,
    metavar="DIR",
    help="Folder or URL that holds lvis/, open_images/ and vggsound/ (each optional) in official layouts.",
)
@click.option("--out", required=True, metavar="DIR", help="Folder or URL for the tables; made if missing.")
def command(corpora: str, out: str) -> None:
    """Read corpora into Parquet tables of masks, clips, photos and rejections.

    \b
    LVIS         lvis/*.json, lvis/images/{train2017,val2017}/*.jpg
    Open Images  open_images/*-annotations-object-segmentation.csv,
                 class-descriptions-boxable.csv, masks/, images/ and, for flags
                 and licences, *-annotations-bbox.csv and *-with-rotation.csv
    VGGSound     vggsound/vggsound.csv, vggsound/clips/<id>_<start>.* or
                 <id>_<start>_<end>.*, in folders or not

    Photos, masks and clips may be missing: their rows are kept, with no path. What is wrong
    with a row is in OUT/rejections.parquet, and the objects that such rows stood for are in
    OUT/unmarked.parquet; a file that is not what its name says stops the command, and nothing
    is written.

    Example: avs-data index --corpora corpora --out out/index
    """
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    tasks: dict[str, TaskID] = {}

    def show(done: indexing.Progress) -> None:
        path = done.source.path
        if path not in tasks:
            tasks[path] = bar.add_task(path, total=done.bytes_total)
        bar.update(tasks[path], completed=done.bytes_done)

    try:
        claims.claim(out, {"command": "index"})
        with bar:
            result = indexing.index(corpora, out, show)
    except (AvsError, OSError) as error:
        raise click.ClickException(str(error)) from error
    console.print(_counts(result))
    for note in result.notes:
        console.print(note, soft_wrap=True, markup=False, highlight=False)
    for path in (result.masks, result.clips, result.photos, result.unmarked, result.rejections):
        click.echo(path)


def _counts(result: indexing.IndexResult) -> Table:
    table = Table("corpus", "rows", "kept", "rejected")
    for corpus, count in result.counts.items():
        reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in count.rejected.items()) or "none"
        table.add_row(corpus, f"{count.rows:,}", f"{count.kept:,}", reasons)
    return table
