"""`avs-data verify`."""

import sys
import tempfile
from dataclasses import asdict

import click

from pipelines.commands import options
from shards.command_line import FOUND_WRONG, NOTHING, Command

_CHECKED = {
    False: "every file has its hash, tables and records agree; --deep also decodes every photo, mask and sound",
    True: "every file has its hash, tables and records agree, every photo, mask and sound decodes and fits them",
}


@click.command(cls=Command, kept=NOTHING)
@options.DATASET
@options.WORKERS
@options.SCHEDULER
@click.option("--deep", is_flag=True, help="Also decode every photo, mask and sound.")
@click.option(
    "--rebuild", is_flag=True, help="Build it again from its recipe and --corpora, and compare every byte."
)
@click.option("--corpora", metavar="DIR", help="For --rebuild: what it was built from.")
@options.HELD_OUT
@options.JSON
def command(
    dataset: str,
    workers: int,
    scheduler: str,
    deep: bool,
    rebuild: bool,
    corpora: str | None,
    held_out: tuple[str, ...],
    as_json: bool,
) -> None:
    """Re-read all of DATASET (a folder or URL) and check it against its manifest.

    Reads and hashes every byte: no file is missing, damaged or left over; tables, tar headers, offsets and records
    agree; counts and funnel add up; no photograph or video leaks across splits or out of a --held-out list. Whatever
    has changed since the dataset was made is found so. What was wrong then, only --deep tells: it decodes every
    photo, mask and sound, compares it with its record, and makes the sounds and targets of scenes again. That takes
    six times as long; `publish` does it before it sends. A disk, a copy or a download is checked without.

    Prints each fault with its place; exit code 1 if there is any. Where a list has one video in two of its own splits,
    it says so. With --rebuild, the lists are also what the build was given.

    \b
    Examples:
      avs-data verify out/avs --held-out s4_meta_data.csv
      avs-data verify out/avs --deep --workers 4
      avs-data verify s3://bucket/avs/1.0.0 --rebuild --corpora corpora
    """
    from pipelines.commands import sharing
    from shards import processes, terminal
    from shards.display import Display

    if rebuild and not corpora:
        raise click.UsageError("--rebuild needs --corpora: the folder that the dataset was built from")
    with Display(f"Check {dataset}", {"Check the tables": "", "Read the shards": "shards"}) as display:
        display.show("Check the tables")
        from pipelines.build.split import leaks_within, read_held_out
        from shards.verify import REMEDY, verify

        lists = {url: read_held_out(url) for url in held_out}
        leaks = [(url, split, *found) for url in held_out for split, found in leaks_within(url).items()]
        faults = verify(
            dataset,
            workers,
            lambda done, total: display.show("Read the shards", done, total),
            lists,
            sharing.pool(scheduler, dataset, processes.pool if deep else processes.threads),
            deep,
        )
    for url, split, shared, listed in leaks:
        terminal.warn(
            f"{url}: {shared} of its {listed} rows of {split} are of a video that its own train has: a model trained "
            "on that knows them"
        )
    differ = _rebuild(dataset, corpora, held_out, workers) if rebuild and corpora and not faults else []
    if as_json:
        terminal.out_json(
            {"faults": [asdict(fault) for fault in faults], "rebuilt_otherwise": differ, "deep": deep}
        )
    else:
        terminal.out(*(f"{fault.where}: {fault.what}" for fault in faults), *differ)
    if faults:
        terminal.warn(f"{dataset}: {len(faults)} fault(s); to mend it, {REMEDY}")
        sys.exit(FOUND_WRONG)
    if differ:
        terminal.warn(f"{dataset}: rebuilt otherwise, {len(differ)} difference(s)")
        sys.exit(FOUND_WRONG)
    if not as_json:
        terminal.out(f"{dataset}: OK: {_CHECKED[deep]}")
        if rebuild:
            terminal.out(f"{dataset}: rebuilt, every byte the same")


def _rebuild(dataset: str, corpora: str, held_out: tuple[str, ...], workers: int) -> list[str]:
    from pipelines.commands.progress import BuildProgress
    from shards import storage

    with tempfile.TemporaryDirectory(prefix="avs-rebuild-") as folder:
        out = storage.join(folder, "dataset")
        with BuildProgress(f"Build {dataset} again from {corpora}", out) as progress:
            from pipelines.publish.rebuild import rebuild

            return rebuild(dataset, corpora, held_out, workers, out, progress.indexing, progress.building)
