"""Read a dataset: its manifest, its tables, and any member by offset, locally or from a URL."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from shards import format, records, storage, tables
from shards.manifest import DatasetError, Manifest
from shards.manifest import load as load_manifest
from shards.records import ClipRecord
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

    Raises:
        DatasetError: no manifest, or one of another format.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.manifest: Manifest = load_manifest(self.url)

    def table(self, name: str = format.SAMPLES, columns: list[str] | None = None) -> pa.Table:
        """A table beside the shards (`samples.parquet`, `pool.parquet`, `rejections.parquet`).

        Raises:
            TableError: it is damaged.
        """
        return tables.read(storage.join(self.url, name), columns)

    def read_member(self, row: dict[str, Any], extension: str) -> bytes:
        """The content of one member of a row of samples.parquet or pool.parquet, by one range read.

        Raises:
            DatasetError: the shard is shorter than the table says.
        """
        name, size = column(extension), row[f"{column(extension)}_size"]
        content = storage.read_range(storage.join(self.url, row["shard"]), row[f"{name}_offset"], size)
        if len(content) != size:
            raise DatasetError(
                f"{row['shard']} is truncated: {row['key']}.{extension} has {len(content)} of {size} bytes"
            )
        return content

    def samples(self, split: str | None = None) -> Iterator[Sample]:
        """Every sample of a split (or of all) in the order of samples.parquet, each shard opened once."""
        current, file = None, None
        try:
            for batch in self.table().to_batches(max_chunksize=1024):
                for row in batch.to_pylist():
                    if split is not None and row["split"] != split:
                        continue
                    if row["shard"] != current:
                        if file is not None:
                            file.close()
                        current, file = row["shard"], storage.open_read(storage.join(self.url, row["shard"]))
                    assert file is not None
                    contents = {}
                    for extension in self.manifest.sample_members:
                        file.seek(row[f"{column(extension)}_offset"])
                        contents[extension] = file.read(row[f"{column(extension)}_size"])
                    record = json.loads(contents["json"])
                    yield Sample(
                        row["key"],
                        contents["flac"],
                        contents["jpg"],
                        contents["mask.png"],
                        record,
                        contents.get(format.CLASSES, b""),
                    )
        finally:
            if file is not None:
                file.close()
