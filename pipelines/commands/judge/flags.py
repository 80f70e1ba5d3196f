"""`avs-data judge flags`."""

import click

from pipelines.commands import options
from pipelines.commands.judge.queue_options import QUEUE
from shards.command_line import Command


@click.command(cls=Command)
@QUEUE
@click.option("--out", default="flags.csv", show_default=True, metavar="CSV", help="File or URL to write.")
@click.option(
    "--proposals",
    metavar="CSV",
    help="Also write links of the label map with many bad samples here, for `avs-data review import`.",
)
@click.option(
    "--least", type=click.IntRange(1), default=3, show_default=True, help="Bad samples that such a link has."
)
@click.option(
    "--share",
    type=click.FloatRange(0, 1),
    default=0.2,
    show_default=True,
    help="And their share of its judged samples.",
)
@options.JSON
def command(
    queue_path: str, out: str, proposals: str | None, least: int, share: float, as_json: bool
) -> None:
    """Write what was judged bad: samples, and clips whose sound is not their category, with the reason.

    A recipe beside which the file lies leaves them out of the next version:

    \b
      [select]
      exclude = ["flags.csv"]

    Their reason is then in that version's rejections.parquet and CHANGELOG.md. What two judges differ on is not
    certain, and is left out, too.

    Example: avs-data judge flags --proposals bad_links.csv
    """
    from pipelines.judge import flags, results
    from pipelines.judge.queue import Queue
    from pipelines.matching import proposals as files
    from shards import storage, terminal
    from shards.reader import Dataset

    with Queue(queue_path) as queue:
        found = results.of_queue(queue)
        dataset = queue.dataset
    bad = flags.flags(found)
    links = flags.proposals(found, Dataset(dataset), least, share) if proposals else []
    storage.write_atomic(out, flags.to_csv(bad).encode())
    if proposals:
        files.write(proposals, links)
    units = {unit: sum(flag.unit == unit for flag in bad) for unit in ("samples", "clips")}
    if as_json:
        terminal.out_json({"out": out, **units, "proposals": proposals, "links": len(links)})
        return
    terminal.out(f"{out}: {units['samples']:,} samples and {units['clips']:,} clips to leave out")
    if proposals:
        terminal.out(
            f"{proposals}: {len(links):,} links; ask them again with `avs-data review import {proposals}`"
        )
