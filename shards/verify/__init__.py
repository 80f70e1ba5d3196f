"""Re-read all of a dataset and say what is wrong and where. Trusts nothing that it can compute again."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from shards import format, processes, storage
from shards.manifest import Manifest
from shards.reader import Dataset
from shards.verify import counts, files, leaks
from shards.verify.faults import Fault
from shards.verify.job import Job, ShardCheck
from shards.verify.shard import check_shard

__all__ = ["REMEDY", "Fault", "verify"]

REMEDY = "remove the shards that are named and run the command that made the dataset again: it writes what is missing"


def verify(
    url: str,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    held_out: Mapping[str, frozenset[str]] | None = None,
    pool: processes.Pool = processes.pool,
    deep: bool = True,
) -> list[Fault]:
    """Every fault of a dataset; none: it is as the format asks.

    Args:
        workers: how many read shards at the same time.
        progress: called with (shards read, shards in all).
        held_out: videos that training must not hear, by the name of the list that says so.
        pool: where the workers are.
        deep: decode every photo, mask and sound, too. Without, all bytes are read and hashed, and each record is held
            against its row, which finds all damage, but no media that were wrong already when they were hashed.

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
    jobs = _jobs(storage.absolute(dataset.url), made, samples, sounds, clips, deep)
    photos: dict[str, str] = {}
    with pool(min(workers, len(entries))) as each:
        checks: Iterator[ShardCheck] = each(check_shard, jobs)
        for number, (entry, check) in enumerate(zip(entries, checks, strict=True), start=1):
            faults += check.faults
            for key in sorted(check.photo_keys):
                if photos.setdefault(key, entry.split) != entry.split:
                    faults.append(
                        Fault(entry.path, f"photograph {key} is in {photos[key]} too: it leaks across splits")
                    )
            if progress:
                progress(number, len(entries))
    return faults


def _jobs(
    url: str,
    made: Manifest,
    samples: pa.Table,
    sounds: pa.Table,
    clips: Mapping[str, dict[str, Any]],
    deep: bool,
) -> Iterator[Job]:
    """One a shard, in the manifest's order, which is that of the tables' rows."""
    classes = {name: number for number, name in enumerate(made.classes, start=1)}
    for table, entries in ((samples, made.shards), (sounds, made.pool_shards)):
        start = 0
        for entry in entries:
            rows = table.slice(start, entry.samples).to_pylist()
            start += entry.samples
            heard = {name: clips[name] for row in rows for name in leaks.heard_clips(row) if name in clips}
            yield Job(url, entry, rows, heard, made.seed, made.targets, classes, deep)
