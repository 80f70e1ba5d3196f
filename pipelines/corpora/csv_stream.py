"""CSV files with a header, streamed as Arrow batches of text columns by `pyarrow.csv`.

Every column is read as bytes, so that one odd value costs its row and not the file. Spaces around a value do not count.
"""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from pipelines.corpora.source import CorpusError, rejections
from shards import storage
from shards.rejections import Reason

BLOCK_BYTES = 4 << 20
_LONGEST_HEADER = 64 << 10
_LONGEST_LINE = 4 << 10  # of which the values of a faulty line are taken


@dataclass(frozen=True)
class BadLine:
    """One line that is not a row of its table."""

    row: int | None  # counted from 1, the header included; None where only the block is known
    message: str
    texts: list[str]  # what stands in it, in columns that are not certain


@dataclass(frozen=True)
class Rows:
    """A stretch of a table: the columns asked for, as text, and what could not be read."""

    columns: pa.RecordBatch  # string columns without nulls
    faults: list[BadLine]
    position: int  # bytes of the file read so far


def header(url: str, name: str) -> tuple[list[str], bool]:
    """The first line's fields, and whether it quotes them. CorpusError where there is no such line."""
    with storage.open_read(url) as file:
        line = file.readline(_LONGEST_HEADER)
    remedy = "Give the official file, unpacked"
    if not line.strip():
        raise CorpusError(
            name, "line 1", "the file is empty" if not line else "the first line is empty", remedy
        )
    try:
        text = line.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError as error:
        raise CorpusError(name, f"line 1, byte {error.start}", "not UTF-8 text", remedy) from error
    if "\0" in text or len(line) == _LONGEST_HEADER:
        raise CorpusError(name, "line 1", "not a line of text", remedy)
    return next(csv.reader([text])), '"' in text


def read(url: str, name: str, columns: Sequence[str], always_quoted: bool = False) -> Iterator[Rows]:
    """The named columns of a CSV file with a header, in the file's order.

    Args:
        name: how errors call the file.
        columns: those that must be there; others are passed over.
        always_quoted: values may be quoted and hold line breaks (free text). Otherwise a quote is a mere
            character unless the header is quoted, so that a stray one cannot swallow the lines after it.
    """
    names, quoted = header(url, name)
    found = [column.strip() for column in names]
    missing = [column for column in columns if column not in found]
    if missing:
        raise CorpusError(
            name,
            "line 1",
            f"missing columns {', '.join(missing)}; expected {', '.join(columns)}; "
            f"found {', '.join(found)[:500]}",
            "Give the official file, with its header",
        )
    faults: list[BadLine] = []

    def wrong_length(row: pa_csv.InvalidRow) -> str:
        text = f"{row.actual_columns} values where the header has {row.expected_columns}: {row.text[:200]!r}"
        faults.append(BadLine(row.number, text, row.text[:_LONGEST_LINE].split(",")))
        return "skip"

    with storage.open_read(url) as file:
        try:
            wanted = [names[found.index(column)] for column in columns]
            for batch in _open(file, wanted, quoted or always_quoted, always_quoted, wrong_length):
                rows = _text(batch.rename_columns(list(columns)), faults.copy(), file.tell())
                faults.clear()
                yield rows
        except pa.ArrowInvalid as error:
            raise CorpusError(
                name, f"before byte {file.tell()}", str(error), "Download the file again"
            ) from error
        if faults:
            yield Rows(
                pa.record_batch([pa.array([], pa.string())] * len(columns), list(columns)),
                faults,
                file.tell(),
            )


def rejected(rows: Rows, path: str) -> list[pa.RecordBatch]:
    """The faults as rejections; an empty list where there are none."""
    if not rows.faults:
        return []
    items = [
        f"{path}:before byte {rows.position}" if fault.row is None else f"{path}:{fault.row}"
        for fault in rows.faults
    ]
    return [rejections(items, Reason.BAD_ROW, [fault.message for fault in rows.faults])]


def numbers(column: pa.StringArray) -> np.ndarray:
    """(n,) float64; NaN where a text is no number."""
    try:
        return pc.cast(column, pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        return np.array([_number(text) for text in column.to_pylist()])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _nul(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "\0" * (error.end - error.start), error.end


codecs.register_error("avs-nul", _nul)


class _Utf8(io.RawIOBase):
    """A file with NUL, which no row may hold, for each byte that is no UTF-8: pyarrow gives up a file for some."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")("avs-nul")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        text = b""
        while not text:
            block = self._file.read(size)
            text = self._decoder.decode(block, final=not block).encode()
            if not block:
                break
        return text


def _open(
    file: IO[bytes], columns: Sequence[str], quoted: bool, breaks: bool, handler: Any
) -> Iterator[pa.RecordBatch]:
    file.readline(_LONGEST_HEADER)
    if not file.read(4096).strip():  # pyarrow calls a header alone an empty file
        return iter(())
    file.seek(0)
    return pa_csv.open_csv(
        _Utf8(file),
        read_options=pa_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
        parse_options=pa_csv.ParseOptions(
            quote_char='"' if quoted else False, newlines_in_values=breaks, invalid_row_handler=handler
        ),
        convert_options=pa_csv.ConvertOptions(
            include_columns=list(columns), column_types={column: pa.binary() for column in columns}
        ),
    )


def _text(batch: pa.RecordBatch, faults: list[BadLine], position: int) -> Rows:
    """The batch as text; rows with NUL, or bytes that were not UTF-8, become faults."""
    if any(map(_has_nul, batch.columns)):
        rows = list(zip(*(column.to_pylist() for column in batch.columns), strict=True))
        good = [not any(b"\0" in value for value in values) for values in rows]
        for values in (values for values, fine in zip(rows, good, strict=True) if not fine):
            text = f"not UTF-8 text, or holds NUL: {b','.join(values)[:200]!r}"
            faults.append(BadLine(None, text, [value.decode() for value in values]))
        batch = batch.filter(pa.array(good))
    texts = [pc.utf8_trim_whitespace(pc.cast(column, pa.string())) for column in batch.columns]
    return Rows(pa.record_batch(texts, batch.schema.names), faults, position)


def _has_nul(column: pa.BinaryArray) -> bool:
    data = column.buffers()[2]
    return data is not None and not np.frombuffer(data, dtype=np.uint8).all()
