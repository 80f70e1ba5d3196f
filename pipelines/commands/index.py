"""`avs-data index`: corpora to Parquet."""

from dataclasses import asdict

import click

from pipelines.commands import options
from shards.command_line import Command


@click.command(cls=Command, kept="tables of {out} may be missing; the same command writes them all")
@options.CORPORA
@options.OUT
@options.JSON
def command(corpora: str, out: str, as_json: bool) -> None:
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
    from shards import claims, terminal
    from shards.display import Display

    with Display(
        f"Read the corpora in {corpora} into {out}", {"Read the annotation files": "bytes"}
    ) as display:
        display.show("Read the annotation files")
        from pipelines.build.index import index

        claims.claim(out, {"command": "index"})
        result = index(
            corpora,
            out,
            lambda read: display.show(
                "Read the annotation files", read.bytes_done, read.bytes_total, part=read.source.path
            ),
        )
    for note in result.notes:
        terminal.warn(note)
    tables = (result.masks, result.clips, result.photos, result.unmarked, result.rejections)
    if as_json:
        counts = {corpus: asdict(count) for corpus, count in result.counts.items()}
        terminal.out_json({"corpora": counts, "tables": tables})
        return
    table = terminal.Table("corpus", "rows", "kept", "rejected")
    for corpus, count in result.counts.items():
        reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in count.rejected.items()) or "none"
        table.add_row(corpus, f"{count.rows:,}", f"{count.kept:,}", reasons)
    terminal.console(stderr=True).print(table)
    terminal.out(*tables)
