"""CSV files of published datasets: read by their header, never by position."""

import csv
import io
from collections.abc import Iterator, Sequence

from pipelines.imports.planned import LayoutError
from shards import storage


def rows(folder: str, names: Sequence[str], columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """(file:line, row) of the first of `names` that is in the folder.

    Raises:
        LayoutError: no such file, or a column is missing.
    """
    there = [name for name in names if storage.exists(storage.join(folder, name))]
    if not there:
        raise LayoutError(f"{folder} has no {' or '.join(names)}: give the dataset's own folder, unpacked")
    text = storage.read_bytes(storage.join(folder, there[0])).decode("utf-8-sig")
    reader = csv.DictReader(io.StringIO(text))
    missing = [column for column in columns if column not in (reader.fieldnames or ())]
    if missing:
        raise LayoutError(f"{there[0]} has no column {', '.join(missing)}; its header is {reader.fieldnames}")
    for row in reader:
        yield (
            f"{there[0]}:{reader.line_num}",
            {name: (value or "").strip() for name, value in row.items() if name},
        )
