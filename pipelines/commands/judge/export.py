"""`avs-data judge export`."""

import click

from pipelines.commands import options
from pipelines.commands.judge.queue_options import QUEUE
from shards.command_line import Command


@click.command(cls=Command)
@QUEUE
@click.option(
    "--out",
    metavar="PARQUET",
    help="File or URL to write.  [default: DATASET.judgements.parquet; of a dataset at a URL QUEUE.judgements.parquet]",
)
@options.JSON
def command(queue_path: str, out: str | None, as_json: bool) -> None:
    """Write every judgement that counts to one Parquet file, where `publish` and `stats` find it: beside the dataset.
    That of a dataset at a URL stays on this machine: give it to `publish --judgements`, or name a URL as --out.

    It names the version that it is about, and is refused for any other. Judges' names are in it.

    Example: avs-data judge export
    """
    from pipelines.judge import results
    from pipelines.judge.queue import Queue
    from shards import storage, terminal

    with Queue(queue_path) as queue:
        found = results.of_queue(queue)
        url = out or results.place(queue.dataset, queue_path)
    storage.write_atomic(url, results.dump(found))
    if as_json:
        terminal.out_json({"out": url, "judgements": len(found.rows)})
        return
    terminal.out(f"{url}: {len(found.rows):,} judgements")
