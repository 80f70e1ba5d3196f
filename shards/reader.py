"""Read a dataset: its manifest, its tables, and any member by offset, locally or from a URL."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from shards import format, members, places, records, storage, tables
from shards.manifest import DatasetError, Manifest
from shards.manifest import load as load_manifest
from shards.records import ClipRecord, RecordError, SampleRecord
from shards.tables import column
from shards.writer import Content


@dataclass(frozen=True)
class Sample:
    """One sample as stored: encoded bytes and its record (`KEY.json`).

    classes_png: empty where the dataset has no such target.
    """

    key: str
    flac: bytes
    jpg: bytes
    mask_png: bytes
    record: dict[str, Any]
    classes_png: bytes = b""


def read_clip(url: str, row: Mapping[str, Any]) -> tuple[Content, ClipRecord]:
    """Sound and record of a clip of the pool, by one read: they are neighbours.

    Args:
        row: of pool.parquet; of its columns `shard` and the offsets and sizes.

    Raises:
        RecordError: another record, or none, lies there.
    """
    start, end = row["flac_offset"], row["json_offset"] + row["json_size"]
    content = storage.read_range(storage.join(url, row["shard"]), start, end - start)
    record = records.decode(content[row["json_offset"] - start :], ClipRecord)
    return Content(content[: row["flac_size"]], record.sha256), record


class Dataset:
    """A finished dataset at a path or URL.

    Nothing of it is believed: the manifest and the tables are held against the format and against each other before
    they are used, and what is read of a shard against its hash.

    Raises:
        DatasetError: no manifest, one of another format, or a damaged one.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.manifest: Manifest = load_manifest(self.url)

    def table(self, name: str = format.SAMPLES, columns: list[str] | None = None) -> pa.Table:
        """A table beside the shards (`samples.parquet`, `pool.parquet`, `rejections.parquet`).

        Raises:
            TableError: it is damaged, of other columns, or says what cannot be; `avs-data verify` tells all of it.
        """
        url, entry = storage.join(self.url, name), self.manifest.tables[name]
        needed = places.columns(name, self.manifest) if name != format.REJECTIONS else []
        wanted = None if columns is None else list(dict.fromkeys([*columns, *needed]))
        table = tables.read(url, wanted, self.manifest.schemas[name])
        if table.num_rows != entry.rows:
            raise tables.TableError(f"{url} has {table.num_rows} rows; the manifest says {entry.rows}")
        if needed and (fault := next(places.faults(name, table, self.manifest), "")):
            raise tables.TableError(f"{url} has {fault}; make the dataset again, or get it again")
        return table if columns is None else table.select(columns)

    def read_member(self, row: Mapping[str, Any], extension: str) -> bytes:
        """The content of one member of a row of samples.parquet or pool.parquet, by one range read.

        Raises:
            DatasetError: the shard is shorter than the table says, or holds other bytes. FileNotFoundError: it is gone.
        """
        return self.read_members(row, (extension,))[extension]

    def read_members(self, row: Mapping[str, Any], extensions: Sequence[str]) -> dict[str, bytes]:
        """Some members of a row, by one range read from the first of them to the last; raises as `read_member`."""
        places = {each: (row[f"{column(each)}_offset"], row[f"{column(each)}_size"]) for each in extensions}
        first = min(start for start, _ in places.values())
        last = max(start + size for start, size in places.values())
        content = storage.read_range(storage.join(self.url, row["shard"]), first, last - first)
        found = {each: content[start - first :][:size] for each, (start, size) in places.items()}
        for each, (_, size) in places.items():
            if len(found[each]) != size:
                raise DatasetError(
                    f"{row['shard']} is truncated: {row['key']}.{each} has {len(found[each])} of {size} bytes"
                )
            if (sha256 := hashlib.sha256(found[each]).hexdigest()) != row[f"{column(each)}_sha256"]:
                raise DatasetError(
                    f"{row['shard']} is damaged: {row['key']}.{each} has sha256 {sha256}, the table says "
                    f"{row[f'{column(each)}_sha256']}; `avs-data verify` says what else is"
                )
        return found

    def samples(self, split: str | None = None) -> Iterator[Sample]:
        """Every sample of a split (or of all) in the order of samples.parquet, each shard opened once.

        Raises:
            DatasetError, RecordError: a member is not what the table says.
        """
        for shard, rows in by_shard(self.table()):
            if split is not None and shard.partition("/")[0] != split:
                continue
            with storage.open_read(storage.join(self.url, shard)) as file:
                for row in rows:
                    found = {
                        name: members.read(file, row, name).data for name in self.manifest.sample_members
                    }
                    record = as_told(row, found["json"])
                    yield Sample(
                        row["key"],
                        found["flac"],
                        found["jpg"],
                        found["mask.png"],
                        record,
                        found.get(format.CLASSES, b""),
                    )


def by_shard(table: pa.Table) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A table's rows, the rows of one shard together, shards in the table's order."""
    shard = ""
    rows: list[dict[str, Any]] = []
    for batch in table.to_batches(max_chunksize=1024):
        for row in batch.to_pylist():
            if row["shard"] != shard and rows:
                yield rows[0]["shard"], rows
                rows = []
            shard = row["shard"]
            rows.append(row)
    if rows:
        yield rows[0]["shard"], rows


def as_told(row: Mapping[str, Any], content: bytes) -> dict[str, Any]:
    """KEY.json of a row of samples.parquet or pool.parquet, as plain values.

    Args:
        row: all of its columns.

    Raises:
        RecordError: it is none, or says otherwise than the row.
    """
    is_clip = row["shard"].startswith(f"{format.POOL}/")
    extensions = tuple(
        each for each in (format.CLASSES, *format.SAMPLE_MEMBERS) if f"{column(each)}_size" in row
    )
    try:
        record = records.decode(content, ClipRecord) if is_clip else records.decode(content, SampleRecord)
        told = records.row(record, row["shard"], records.members_of(row, extensions))
        if differ := [name for name in row if row[name] != told[name]]:
            raise RecordError(f"json: {differ[0]} {told[differ[0]]!r}; the table says {row[differ[0]]!r}")
    except RecordError as error:
        raise RecordError(f"{row['shard']}: {row['key']}: {error}") from error
    found: dict[str, Any] = json.loads(content)
    return found
