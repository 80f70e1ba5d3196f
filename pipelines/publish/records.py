"""KEY.json of every sample or clip of a dataset, each shard opened once and read in order."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from shards import members, storage
from shards.reader import Dataset, as_told, by_shard


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
    """(row, KEY.json) of every row of samples.parquet or pool.parquet, all columns read.

    Raises:
        DatasetError, RecordError: what lies there is not what the row says.
    """
    for shard, rows in by_shard(table):
        with storage.open_read(storage.join(dataset.url, shard)) as file:
            for row in rows:
                yield row, as_told(row, members.read(file, row, "json").data)
