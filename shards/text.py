"""Text files that people give, in UTF-8; what is wrong with one is told by file and place."""

import csv
import io
import json
import tomllib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from shards import storage
from shards.errors import AvsError

TOML_BYTES = 4 << 20  # at most, of a recipe, a configuration, the page of a label map


class TextError(AvsError, ValueError):
    """A file that is not the text it should be; the message says which, where, and what to do."""


def read_text(url: str, most: int = storage.WHOLE) -> str:
    """The text of a file of at most so many bytes at a path or URL.

    Raises:
        TextError: not UTF-8, or binary. TooLarge: it has more bytes. OSError: no such file.
    """
    return decoded(storage.read_small(url, most), url)


def decoded(data: bytes, name: str) -> str:
    """Bytes as text; `name` is what errors call them.

    Raises:
        TextError: not UTF-8, or binary.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise TextError(f"{name} is not UTF-8 but UTF-16; save the file as UTF-8")
    if (nul := data.find(b"\0")) >= 0:
        raise TextError(f"{name}, {_place(data, nul)}: a zero byte, so this is no text file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        bad = data[error.start]
        raise TextError(
            f"{name}, {_place(data, error.start)}: 0x{bad:02x} is not UTF-8 (in Latin-1 it is {chr(bad)!r}); "
            "save the file as UTF-8"
        ) from error


def _place(data: bytes, at: int) -> str:
    line = data.count(b"\n", 0, at) + 1
    return f"line {line}, byte {at}"


def read_rows(
    url: str, columns: Sequence[str] = (), bad_row: Callable[[int, str], None] | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number, from 1, and row of a CSV file with a header; values come without spaces at their ends.

    Args:
        columns: those that must be there.
        bad_row: told the line, and what is wrong, of a row that has more or fewer values than the header, which is
            then left out; without it, such a row is an error.

    Raises:
        TextError: not text, no header, a column is missing or stands twice, a quote is not closed, a row does not fit.
        OSError: no such file.
    """
    text = read_text(url)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [each.strip() for each in next(reader, [])]
        wanted = f"a CSV with the columns {', '.join(columns)}" if columns else "a CSV with a header"
        if not any(header):
            raise TextError(f"{url} is empty or its first line is: it must be {wanted}")
        if missing := [each for each in columns if each not in header]:
            raise TextError(
                f"{url} has no column {', '.join(missing)}: it must be {wanted}; its header is {','.join(header)[:200]}"
            )
        if twice := sorted({each for each in header if header.count(each) > 1}):
            raise TextError(f"{url}: the column {', '.join(twice)} stands twice in the header; keep one")
        for values in reader:
            if len(values) == len(header):
                yield reader.line_num, {key: value.strip() for key, value in zip(header, values, strict=True)}
            elif any(values):
                fault = (
                    f"{len(values)} values where the header has {len(header)}; quote values that hold a comma"
                )
                if bad_row is None:
                    raise TextError(f"{url}:{reader.line_num}: {fault}")
                bad_row(reader.line_num, fault)
    except csv.Error as error:
        raise TextError(
            f"{url}:{reader.line_num}: not CSV ({error}); close the quote, or restore what was cut off"
        ) from error


def read_toml(url: str) -> dict[str, Any]:
    """
    Raises:
        TextError: no TOML in UTF-8. TooLarge: more than TOML_BYTES. OSError: no such file.
    """
    try:
        return tomllib.loads(read_text(url, TOML_BYTES))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise TextError(f"{url} is not TOML: {error}") from error


def read_json(url: str) -> Any:
    """
    Raises:
        TextError: no JSON in UTF-8. OSError: no such file.
    """
    try:
        return json.loads(read_text(url))
    except json.JSONDecodeError as error:
        raise TextError(
            f"{url}, line {error.lineno}, column {error.colno}: not JSON ({error.msg})"
        ) from error
    except RecursionError as error:
        raise TextError(f"{url} is nested too deeply") from error
