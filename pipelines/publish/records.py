"""KEY.json of every sample or clip of a dataset, each shard opened once and read in order."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from shards import members, storage
from shards.reader import Dataset, as_told, by_shard


def records(dataset: Dataset, table: pa.Table) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """(row, KEY.json) of every row of samples.parquet or pool.parquet, all columns read.

    Raises:
        DatasetError, RecordError: what lies there is not what the row says.
    """
    for shard, rows in by_shard(table):
        with storage.open_read(storage.join(dataset.url, shard)) as file:
            for row in rows:
                yield row, as_told(row, members.read(file, row, "json").data)
