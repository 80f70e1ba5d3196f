"""Shards of a dataset in the making. A rerun writes only what is missing or has another plan.

Beside each shard, in the work folder, lies a part: the Parquet table of the shard's rows, written after the tar. In its
metadata are the digest of the plan that the shard was written from, the tar's size and hash, and the rejections.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shards import format, progress_file, records, storage, tables
from shards.claims import WORK
from shards.guard import guarded
from shards.records import ClipRecord, SampleRecord
from shards.rejections import Reason, Rejected, rejection
from shards.writer import Content, write_shard

Rejections = list[dict[str, str | None]]
Encoded = tuple[SampleRecord | ClipRecord, Mapping[str, Content]]  # and the members beside KEY.json


@dataclass(frozen=True)
class Part:
    """A written shard: its path below the dataset, size in bytes, sha256, and the rows of its samples or clips."""

    path: str
    bytes: int
    sha256: str
    rows: pa.Table


def load(out: str, path: str) -> Part:
    """The part of a written shard."""
    rows = tables.read(_part_url(out, path))
    meta = json.loads(rows.schema.metadata[b"part"])
    return Part(path, meta["bytes"], meta["sha256"], rows.replace_schema_metadata(None))


def write(
    plan: pa.Table,
    out: str,
    stage: str,
    encode: Callable[[dict[str, Any]], Encoded],
    code: Mapping[str, str],
    targets: Sequence[str] = (),
) -> tuple[pa.Table, Rejections]:
    """Write the one shard that the column `shard` names, unless it is there and its plan and code are the same.

    Args:
        plan: one row an item, with `key`, `sample_id` or `clip_id`, and `category` or `categories`.
        stage: what rejections call this step.
        encode: a planned row to its record and the other members; Rejected where it cannot be used.
        code: versions of everything that decides the bytes.
        targets: of a dataset of scenes.
    Returns:
        The shard's rows of samples.parquet or pool.parquet, and one rejection for each item that is not among them.
    """
    plan = plan.sort_by("key")
    (path,) = set(plan["shard"].to_pylist())
    digest = _digest(plan, code)
    if known := _reuse(out, path, digest):
        return known
    rejections: Rejections = []
    unit = "samples" if "sample_id" in plan.column_names else "clips"

    def encoded(row: dict[str, Any]) -> Encoded | None:
        item = row.get("sample_id") or row["clip_id"]
        made = guarded(item, lambda: encode(row))
        progress_file.item(stage, unit)
        if isinstance(made, Rejected):
            category = next(iter(row.get("categories") or ()), row.get("category")) or None
            rejections.append(rejection(stage, item, made.reason, made.detail, category))
            return None
        return made

    made = filter(None, storage.together(out, encoded, plan.to_pylist()))
    part = write_shard_of(out, path, made, targets)
    rejections.sort(key=lambda row: str(row["item"]))
    meta = {"plan": digest, "bytes": part.bytes, "sha256": part.sha256, "rejections": rejections}
    with storage.open_atomic(_part_url(out, path)) as file:
        pq.write_table(part.rows.replace_schema_metadata({"part": json.dumps(meta)}), file)
    return part.rows, rejections


def write_shard_of(out: str, path: str, made: Iterable[Encoded], targets: Sequence[str] = ()) -> Part:
    """Write records and their other members, keys ascending, as one shard; where there is none, there is no file."""
    written: list[SampleRecord | ClipRecord] = []

    def contents() -> Iterator[tuple[str, dict[str, Content]]]:
        for record, members in made:
            written.append(record)
            yield record.key, {**members, "json": Content.of(records.encode(record))}

    shard = write_shard(storage.join(out, path), contents())
    if not written:
        storage.remove(storage.join(out, path))
    rows = [records.row(record, path, shard.members[record.key]) for record in written]
    told = any("mask_source" in row for row in rows)
    schema = tables.POOL if path.startswith(f"{format.POOL}/") else tables.samples(targets, told)
    return Part(path, shard.bytes, shard.sha256, pa.Table.from_pylist(rows, schema=schema))


def _digest(plan: pa.Table, code: Mapping[str, str]) -> str:
    """What a shard would be written from: its plan, row by row, and the code that writes it."""
    found = hashlib.sha256(format.json_bytes({"version": format.FORMAT_VERSION, **code}))
    for row in plan.to_pylist():
        found.update(json.dumps(row, sort_keys=True, default=bytes.hex).encode())
    return found.hexdigest()


def _reuse(out: str, path: str, digest: str) -> tuple[pa.Table, Rejections] | None:
    if not storage.exists(_part_url(out, path)):
        return None
    try:
        rows = tables.read(_part_url(out, path))
    except tables.TableError:  # damaged, as by a power failure
        return None
    meta = json.loads(rows.schema.metadata[b"part"])
    shard = storage.join(out, path)
    there = storage.exists(shard) and storage.size(shard) == meta["bytes"] if rows.num_rows else True
    failed = any(row["reason"] == Reason.INTERNAL_ERROR for row in meta["rejections"])  # to be tried again
    if meta["plan"] != digest or not there or failed:
        return None
    return rows.replace_schema_metadata(None), meta["rejections"]


def _part_url(out: str, path: str) -> str:
    return storage.join(out, WORK, "parts", path.removesuffix(".tar") + ".parquet")


def sweep(out: str, keep: Iterable[str]) -> None:
    """Remove shards and parts of an earlier plan that the present one does not have."""
    keep = set(keep)
    for split in (*format.SPLITS, format.POOL):
        for folder, suffix in ((split, ".tar"), (f"{WORK}/parts/{split}", ".parquet")):
            for name in storage.names(storage.join(out, folder)):
                if f"{split}/{name.removesuffix(suffix)}.tar" not in keep:
                    storage.remove(storage.join(out, folder, name))
