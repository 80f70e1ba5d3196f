"""KEY.json of every sample or clip of a dataset, each shard opened once and read in order."""

import json
from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa

from shards import storage
from shards.manifest import DatasetError
from shards.reader import Dataset
from shards.tables import column
from shards.writer import Content


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


def read(file: IO[bytes], row: dict[str, Any], extension: str) -> Content:
    """One member of a row from its open shard.

    Raises:
        DatasetError: its bytes are not those that the table tells.
    """
    name = column(extension)
    file.seek(row[f"{name}_offset"])
    content = Content.of(file.read(row[f"{name}_size"]))
    if content.sha256 != row[f"{name}_sha256"]:
        raise DatasetError(
            f"{row['shard']} is damaged: {row['key']}.{extension} has sha256 {content.sha256}, not "
            f"{row[f'{name}_sha256']}; `avs-data verify` says what else is"
        )
    return content


def sources(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Everything that a KEY.json hears, as `sources` of a scene has it."""
    if "sources" in record:
        found: list[dict[str, Any]] = record["sources"]
        return found
    mask = record["mask"]
    seen = {"mask_ids": mask["ids"], "area_px": mask["area_px"], "bbox": mask["bbox"]}
    return [{"category": record["category"], **seen, "audio": record["audio"]}]


def clips(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The clips of a KEY.json, in the order of its sources."""
    return [source["audio"] for source in sources(record) if source["audio"]]


def clip_ids(row: dict[str, Any]) -> list[str]:
    """The clips of a row of samples.parquet."""
    return row["clip_ids"] if "clip_ids" in row else [row["clip_id"]]


def records(dataset: Dataset, table: pa.Table) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """(row, KEY.json) of every row of samples.parquet or pool.parquet."""
    for shard, rows in by_shard(table):
        with storage.open_read(storage.join(dataset.url, shard)) as file:
            for row in rows:
                yield row, json.loads(read(file, row, "json").data)
