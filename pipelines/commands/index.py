"""`avs-data index`: corpora to Parquet."""

import click

from pipelines.commands import options


@click.command()
@options.CORPORA
@options.OUT
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
    from rich.table import Table

    from pipelines.build.index import index
    from shards import claims, terminal

    claims.claim(out, {"command": "index"})
    with terminal.Bars("bytes") as bars:
        result = index(
            corpora, out, lambda read: bars.show(read.source.path, read.bytes_done, read.bytes_total)
        )
    table = Table("corpus", "rows", "kept", "rejected")
    for corpus, count in result.counts.items():
        reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in count.rejected.items()) or "none"
        table.add_row(corpus, f"{count.rows:,}", f"{count.kept:,}", reasons)
    terminal.console(stderr=True).print(table)
    for note in result.notes:
        click.echo(note, err=True)
    for path in (result.masks, result.clips, result.photos, result.unmarked, result.rejections):
        click.echo(path)
