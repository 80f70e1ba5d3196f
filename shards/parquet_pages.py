"""What the pages of a Parquet file claim, before a reader believes it.

A reader makes room for as many bytes as a page's header says that it unpacks to, up to 2 GiB each, and unpacks them,
whatever the file's footer says of the column. The header is a struct of Thrift's compact protocol, of which only
numbers are wanted here:
https://parquet.apache.org/docs/file-format/data-pages/
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import pyarrow.parquet as pq

_HEADER = (
    1 << 16
)  # bytes that one may have: with the lowest and the highest value of a page, which writers cut short
_UNPACKED, _PACKED, _OF_DATA, _OF_DICTIONARY, _OF_DATA_2, _VALUES = 2, 3, 5, 7, 8, 1  # fields, by their ids
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12  # types
_DEEPEST = 8


class FalsePage(ValueError):
    """A header that is none, or says other than the footer."""


@dataclass(frozen=True)
class _Page:
    values: int  # 0 in a dictionary
    unpacked: int  # bytes


def check(
    file: IO[bytes], metadata: pq.FileMetaData, most: int, groups: Iterable[int], names: Sequence[str]
) -> None:
    """Hold the pages of some row groups and columns against a file's footer.

    Args:
        most: bytes that they may unpack to, all together.
        names: of columns of the table, which may have several in the file.

    Raises:
        FalsePage: a column lies outside the file, its pages have other values than the footer says, or too many bytes.
    """
    end = file.seek(0, 2)
    for group in map(metadata.row_group, groups):
        for column in map(group.column, range(group.num_columns)):
            path = column.path_in_schema
            wanted = any(path == name or path.startswith(f"{name}.") for name in names)
            if wanted and column.num_values:  # of others no page is read
                most -= _check_column(file, column, end, most)


def _check_column(file: IO[bytes], column: pq.ColumnChunkMetaData, end: int, most: int) -> int:
    """The bytes that its pages unpack to."""
    starts = [column.data_page_offset]
    if column.has_dictionary_page:
        starts.append(column.dictionary_page_offset)
    start, size = min(starts), column.total_compressed_size
    if start < 0 or size < 0 or start + size > end:
        raise FalsePage(f"column {column.path_in_schema} lies outside the file")
    values = unpacked = 0
    for page in _pages(file, start, start + size):
        values += page.values
        unpacked += page.unpacked
        if unpacked > most:
            raise FalsePage(
                f"column {column.path_in_schema} has pages that unpack to more than such a file holds"
            )
    if values != column.num_values:
        raise FalsePage(
            f"the pages of column {column.path_in_schema} have {values:,} values, and the footer says "
            f"{column.num_values:,}"
        )
    return unpacked


def _pages(file: IO[bytes], start: int, end: int) -> Iterator[_Page]:
    while start < end:
        file.seek(start)
        reader = _Reader(file.read(min(_HEADER, end - start)))
        try:
            header = reader.struct()
        except (IndexError, RecursionError) as error:
            raise FalsePage(f"there is no page's header at byte {start}") from error
        kinds = [header[kind] for kind in (_OF_DATA, _OF_DATA_2, _OF_DICTIONARY) if kind in header]
        numbers = [header.get(_UNPACKED), header.get(_PACKED), *(kind.get(_VALUES) for kind in kinds)]
        if len(kinds) > 1 or not all(isinstance(each, int) and each >= 0 for each in numbers):
            raise FalsePage(f"there is no page's header at byte {start}")
        unpacked, packed, *values = numbers
        yield _Page(0 if _OF_DICTIONARY in header else sum(values), unpacked)
        start += reader.place + packed
    if start > end:
        raise FalsePage(f"a page ends at byte {start}, after its column")


class _Reader:
    """Thrift's compact protocol, as far as numbers go; what ends too early is an IndexError."""

    def __init__(self, content: bytes) -> None:
        self._content, self.place, self._depth = content, 0, 0

    def struct(self) -> dict[int, Any]:
        """Field id -> int, struct, or None of what is none."""
        found: dict[int, Any] = {}
        field = 0
        self._depth += 1
        if self._depth > _DEEPEST:
            raise RecursionError
        while (head := self._byte()) != 0:
            field = field + (head >> 4) if head >> 4 else self._signed()
            found[field] = self._value(head & 15)
        self._depth -= 1
        return found

    def _value(self, kind: int) -> Any:
        if kind in (_TRUE, _FALSE):
            return None
        if kind == _STRUCT:
            return self.struct()
        if kind in (_LIST, _SET):
            head = self._byte()
            for _ in range(head >> 4 if head >> 4 < 15 else self._number()):
                self._skip(1) if head & 15 in (_TRUE, _FALSE) else self._value(head & 15)
            return None
        if kind in (_BYTE, _DOUBLE, _BINARY):
            self._skip({_BYTE: 1, _DOUBLE: 8}.get(kind) or self._number())
            return None
        if not _BYTE < kind < _DOUBLE:
            raise IndexError(kind)
        return self._signed()

    def _byte(self) -> int:
        byte = self._content[self.place]
        self.place += 1
        return byte

    def _skip(self, size: int) -> None:
        self.place += size
        if self.place > len(self._content):
            raise IndexError(size)

    def _number(self) -> int:
        found = shift = 0
        while True:
            byte = self._byte()
            found |= (byte & 127) << shift
            if byte < 128:
                return found
            if (shift := shift + 7) > 63:
                raise IndexError(shift)

    def _signed(self) -> int:
        number = self._number()
        return (number >> 1) ^ -(number & 1)
