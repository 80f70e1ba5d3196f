"""CSV files of published datasets: read by their header, never by position."""

from collections.abc import Iterator, Sequence

from pipelines.imports.planned import Found, LayoutError
from shards import storage
from shards.text import read_rows


def rows(
    found: Found, folder: str, names: Sequence[str], columns: Sequence[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """(file:line, row) of the first of `names` that is in the folder; a row that does not fit is one of `found`'s.

    Raises:
        LayoutError: no such file. TextError: not CSV in UTF-8, or a column is missing.
    """
    there = [name for name in names if storage.exists(storage.join(folder, name))]
    if not there:
        raise LayoutError(f"{folder} has no {' or '.join(names)}: give the dataset's own folder, unpacked")
    name = there[0]
    for line, row in read_rows(
        storage.join(folder, name), columns, lambda line, what: found.bad_row(f"{name}:{line}", what)
    ):
        yield f"{name}:{line}", row
