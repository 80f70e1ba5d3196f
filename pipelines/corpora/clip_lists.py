"""Small CSV lists of clips: rows by column name, each with its line, and the parts that come of them."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import pyarrow as pa

from pipelines.corpora.records import CLIPS
from pipelines.corpora.source import Chunk, CorpusError, joined, rejections
from shards import storage
from shards.rejections import Reason, Rejected
from shards.text import TextError, decoded

SLACK_S = 0.5  # that a file may be longer than its clip: what fills the last frame up
MAY_BE_ALL = "its name tells no start, so that it may be all of the video (name a clip <id>_<start>)"
LONGEST_LINE = 4096  # bytes, of lists without a header
_LONGEST_FIELD = 64 << 20  # characters: outlines may be long, and the mask's own limit says so row by row


@dataclass
class Clips:
    """Rows of a list as they are judged: kept, or rejected with their line.

    Args:
        path: of the list, as errors and rejections call it.
    """

    path: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[pa.RecordBatch] = field(default_factory=list)
    lines: int = 0

    def add(self, row: Mapping[str, Any]) -> None:
        self.lines += 1
        self.rows.append({name: row.get(name) for name in CLIPS.names})

    def reject(self, line: int, error: Rejected) -> None:
        self.lines += 1
        self.rejected.append(rejections([f"{self.path}:{line}"], error.reason, [error.detail]))

    def chunk(self, position: int, notes: tuple[str, ...] = ()) -> Chunk:
        """What came since the last part."""
        kept = pa.RecordBatch.from_pylist(self.rows, schema=CLIPS)
        part = Chunk(kept, joined(self.rejected), self.lines, position, notes=notes)
        self.rows, self.rejected, self.lines = [], [], 0
        return part


def rows(corpora: str, path: str, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str] | Rejected]]:
    """Line and named values of each row of a CSV with a header; a row of another length or form is Rejected.

    Raises:
        CorpusError: not UTF-8, no such columns, or a quote that never ends.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    remedy = "Give the official file, as it was downloaded"
    try:
        text = decoded(storage.read_bytes(storage.join(corpora, path)), path)
    except TextError as error:
        raise CorpusError(path, "text", str(error), remedy) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = [name.strip() for name in next(reader, [])]
    if missing := [name for name in columns if name not in header]:
        found = ", ".join(header)[:500] or "none"
        rule = f"no column {', '.join(missing)}; expected {', '.join(columns)}; found {found}"
        raise CorpusError(path, "line 1", rule, remedy)
    while True:
        line = reader.line_num + 1
        try:
            values = next(reader, None)
        except csv.Error as error:
            if "end of data" in str(error):
                raise CorpusError(
                    path, f"line {line}", "a quote begins here and never ends", remedy
                ) from error
            yield line, Rejected(Reason.BAD_ROW, f"no CSV: {error}")
            continue
        if values is None:
            return
        if values and "\0" in "".join(values):
            yield line, Rejected(Reason.BAD_ROW, f"{values!r:.200}: holds NUL")
        elif values and len(values) != len(header):
            yield line, Rejected(Reason.BAD_ROW, f"{values!r:.200}: {len(header)} values are needed")
        elif values:
            yield line, {name: value.strip() for name, value in zip(header, values, strict=True)}


def lines(file: IO[bytes]) -> Iterator[tuple[int, bytes, bool]]:
    """Number, from 1, and text of each line, and whether that is all of it; of a longer one it is the last part."""
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        whole = line.endswith(b"\n") or len(line) < LONGEST_LINE
        while not line.endswith(b"\n") and (more := file.readline(LONGEST_LINE)):
            line, whole = more, False
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        yield number, line.rstrip(b"\r\n"), whole
