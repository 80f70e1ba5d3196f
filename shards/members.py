"""Read the members of a shard, each where it must lie and with the hash that the table has."""

from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

from shards import format
from shards.manifest import DatasetError
from shards.tables import column
from shards.writer import Content


def read(file: IO[bytes], row: Mapping[str, Any], extension: str, at: int | None = None) -> Content:
    """One member of a row, from its open shard.

    Args:
        at: where its content begins, where that is not what the row says.

    Raises:
        DatasetError: another header or other bytes lie there.
    """
    name, place = column(extension), f"{row['shard']} is damaged: {row['key']}.{extension}"
    start, size = row[f"{name}_offset"] if at is None else at, row[f"{name}_size"]
    file.seek(start - format.BLOCK)
    if file.read(format.BLOCK) != format.tar_header(f"{row['key']}.{extension}", size):
        raise DatasetError(f"{place} has no header of {size} bytes at byte {start - format.BLOCK}")
    content = Content.of(file.read(size))
    if content.sha256 != row[f"{name}_sha256"]:
        raise DatasetError(
            f"{place} has sha256 {content.sha256}; the table says {row[f'{name}_sha256']}; `avs-data verify` says what "
            "else is"
        )
    return content


def without(
    file: IO[bytes], rows: Iterable[Mapping[str, Any]], left: str, extensions: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, Content]]]:
    """(key, extension -> content) of every row of a shard that was written without the member `left`.

    Raises:
        DatasetError: as `read`.
    """
    at = 0
    for row in rows:
        contents = {}
        for extension in extensions:
            if extension != left:
                contents[extension] = read(file, row, extension, at + format.BLOCK)
                at += (
                    format.BLOCK
                    + len(contents[extension].data)
                    + len(format.padding(len(contents[extension].data)))
                )
        yield row["key"], contents
