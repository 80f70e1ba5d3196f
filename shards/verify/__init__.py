"""Re-read all of a dataset and say what is wrong and where. Trusts nothing that it can compute again."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from shards import format, processes, storage
from shards.manifest import ShardEntry
from shards.reader import Dataset
from shards.verify import counts, files, leaks
from shards.verify.faults import Fault
from shards.verify.job import Job, ShardCheck
from shards.verify.shard import check_shard

__all__ = ["Fault", "verify"]


def verify(
    url: str,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    held_out: Mapping[str, frozenset[str]] | None = None,
    pool: processes.Pool = processes.pool,
) -> list[Fault]:
    """Every fault of a dataset; none: it is as the format asks.

    Args:
        workers: processes that read shards.
        progress: called with (shards read, shards in all).
        held_out: videos that training must not hear, by the name of the list that says so.
        pool: where the workers are.

    Raises:
        DatasetError: there is no manifest of this format, so nothing to verify.
    """
    dataset = Dataset(url)
    faults = [
        fault
        for name, entry in dataset.manifest.tables.items()
        for fault in files.check_table(dataset, name, entry)
    ]
    if faults:
        return faults  # the tables say where everything is: without them nothing below means anything
    samples, sounds = dataset.table(format.SAMPLES), dataset.table(format.POOL_TABLE)
    clips = {row["clip_id"]: row for row in sounds.to_pylist()}
    faults += (
        files.strange(dataset)
        + counts.check_samples(dataset, samples)
        + counts.check_funnel(dataset, samples)
    )
    faults += leaks.across_splits(samples, clips)
    for name, videos in (held_out or {}).items():
        faults += leaks.held_out(clips, name, videos)
    made = dataset.manifest
    entries = [*made.shards, *made.pool_shards]
    classes = {name: number for number, name in enumerate(made.classes, start=1)}
    jobs = []
    for entry in entries:
        rows = _rows_of(samples if entry.split != format.POOL else sounds, entry)
        heard = {name: clips[name] for row in rows for name in leaks.heard_clips(row) if name in clips}
        jobs.append(Job(storage.absolute(dataset.url), entry, rows, heard, made.seed, made.targets, classes))
    photos: dict[str, str] = {}
    for number, (entry, check) in enumerate(zip(entries, _run(jobs, workers, pool), strict=True), start=1):
        faults += check.faults
        for key in sorted(check.photo_keys):
            if photos.setdefault(key, entry.split) != entry.split:
                faults.append(
                    Fault(entry.path, f"photograph {key} is in {photos[key]} too: it leaks across splits")
                )
        if progress:
            progress(number, len(entries))
    return faults


def _run(jobs: list[Job], workers: int, pool: processes.Pool) -> Iterator[ShardCheck]:
    with pool(min(workers, len(jobs))) as each:
        yield from each(check_shard, jobs)


def _rows_of(table: pa.Table, entry: ShardEntry) -> list[dict[str, Any]]:
    return table.filter(pa.compute.equal(table["shard"], entry.path)).to_pylist()
