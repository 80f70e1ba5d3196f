"""What a build remembers of a shard it has written, so that a rerun writes only what is missing or has changed.

A part is the Parquet table of a shard's rows, written after the tar; in its metadata are the digest of the plan that
the shard was written from, the tar's size and hash, and the rejections.
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.build.outcome import Outcome
from shards import format, storage
from shards.rejections import Reason
from shards.tables import column
from shards.writer import Content, Member, write_shard

WORK = ".work"  # below the dataset; nothing in it belongs to the dataset
Rejections = list[dict[str, str | None]]
Encoded = tuple[str, Mapping[str, Content]]


@dataclass(frozen=True)
class Part:
    """A written shard: its path below the dataset, size in bytes, sha256, and the rows of its samples or clips."""

    path: str
    bytes: int
    sha256: str
    rows: pa.Table


@cache
def code_versions() -> dict[str, str]:
    """Versions of everything that decides the bytes of a shard."""
    packages = ("av", "avs-data", "numpy", "pillow", "pyarrow", "pycocotools", "soundfile", "soxr")
    return {name: importlib.metadata.version(name) for name in packages}


def member_columns(members: Mapping[str, Member]) -> dict[str, Any]:
    """Offset, size and sha256 of a row's members, by the columns of its table."""
    return {
        f"{column(extension)}_{part}": getattr(member, part)
        for extension, member in members.items()
        for part in ("offset", "size", "sha256")
    }


def digest(table: pa.Table) -> str:
    """What a shard would be written from: its plan, row by row, and the code that writes it."""
    found = hashlib.sha256(format.json_bytes({"version": format.FORMAT_VERSION, **code_versions()}))
    for row in table.to_pylist():
        found.update(json.dumps(row, sort_keys=True, default=bytes.hex).encode())
    return found.hexdigest()


def load(out: str, path: str) -> Part:
    """The part of a written shard."""
    with storage.open_read(_part_url(out, path)) as file:
        rows = pq.read_table(file)
    meta = json.loads(rows.schema.metadata[b"part"])
    return Part(path, meta["bytes"], meta["sha256"], rows.replace_schema_metadata(None))


def write(
    table: pa.Table,
    out: str,
    schema: pa.Schema,
    encode: Callable[[dict[str, Any], Rejections], Encoded | None],
    describe: Callable[[dict[str, Any], Mapping[str, Member]], dict[str, Any]],
) -> Outcome:
    """Write the one shard that the table's column `shard` names, unless it is there and its plan is the same.

    Args:
        encode: a planned row to (key, extension -> content); or None, having added a rejection.
        describe: a planned row and its written members to the row of the part, in `schema`.
    """
    table = table.sort_by("key")
    (path,) = set(table["shard"].to_pylist())
    plan = digest(table)
    known = _reuse(out, path, plan)
    if known is not None:
        return known
    rejections: Rejections = []
    written: list[dict[str, Any]] = []

    def encoded() -> Iterator[Encoded]:
        rows = table.to_pylist()
        contents = storage.together(out, lambda row: encode(row, rejections), rows)
        for row, content in zip(rows, contents, strict=True):
            if content is not None:
                written.append(row)
                yield content

    shard = write_shard(storage.join(out, path), encoded())
    rejections.sort(key=lambda row: str(row["item"]))
    if not written:
        storage.remove(storage.join(out, path))
    rows = pa.Table.from_pylist([describe(row, shard.members[row["key"]]) for row in written], schema=schema)
    meta = {"plan": plan, "bytes": shard.bytes, "sha256": shard.sha256, "rejections": rejections}
    with storage.open_atomic(_part_url(out, path)) as file:
        pq.write_table(rows.replace_schema_metadata({"part": json.dumps(meta)}), file)
    return Outcome.of(rows, rejections)


def _reuse(out: str, path: str, plan: str) -> Outcome | None:
    if not storage.exists(_part_url(out, path)):
        return None
    with storage.open_read(_part_url(out, path)) as file:
        rows = pq.read_table(file)
    meta = json.loads(rows.schema.metadata[b"part"])
    shard = storage.join(out, path)
    there = storage.exists(shard) and storage.size(shard) == meta["bytes"] if rows.num_rows else True
    failed = any(row["reason"] == Reason.INTERNAL_ERROR.value for row in meta["rejections"])
    if meta["plan"] != plan or not there or failed:
        return None
    return Outcome.of(rows.replace_schema_metadata(None), meta["rejections"])


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
