"""Whole rows of a table beside the shards, by number, without the table in memory."""

from bisect import bisect_right
from itertools import accumulate
from typing import Any

import pyarrow as pa

from pipelines.pages.kept import Kept
from shards import storage, tables
from shards.manifest import DatasetError
from shards.reader import Dataset

_GROUPS_KEPT = 6  # of some 8 MB


class Rows:
    """Rows of one table of a dataset that was read before, and so was held against the format. Thread-safe."""

    def __init__(self, dataset: Dataset, name: str) -> None:
        self._url = storage.join(dataset.url, name)
        self._footer = tables.metadata(self._url)
        counts = (self._footer.row_group(group).num_rows for group in range(self._footer.num_row_groups))
        self._ends = list(accumulate(counts))
        self._groups: Kept[int, pa.Table] = Kept(_GROUPS_KEPT)

    def row(self, number: int, key: str) -> dict[str, Any]:
        """The row of a number, which has this key.

        Raises:
            DatasetError: it has another: the table was written anew. TableError, OSError: it cannot be read.
        """
        group = bisect_right(self._ends, number)
        rows = self._groups.get(group, lambda: self._read(group)) if group < len(self._ends) else None
        start = self._ends[group - 1] if group else 0
        row: dict[str, Any] = rows.slice(number - start, 1).to_pylist()[0] if rows else {}
        if row.get("key") != key:
            raise DatasetError(
                f"{self._url} is not what it was when this page started: start `avs-data browse` again"
            )
        return row

    def _read(self, group: int) -> pa.Table:
        return tables.row_group(self._url, self._footer, group)
