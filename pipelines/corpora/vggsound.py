"""VGGSound: `vggsound/vggsound.csv` and clips named `clips/<video id>_<start, 6 digits>.<extension>`.

Format: https://www.robots.ox.ac.uk/~vgg/data/vggsound/: video id, start second, label, split; no header (one
is passed over). Labels hold commas, quoted or not. `clip_licences.csv` (file, category, licence, origin) may
lie beside it.
"""

import csv
import io
import re
from collections.abc import Iterator
from typing import IO

import pyarrow as pa

from pipelines.corpora import licences, names
from pipelines.corpora.records import CLIPS
from pipelines.corpora.source import CorpusError, Part, Source, batch, joined, rejections
from shards import storage
from shards.rejections import Reason

LAYOUT = "vggsound/vggsound.csv"
_FOLDER = "vggsound"
_FILE = "vggsound.csv"
_LICENCES = "clip_licences.csv"
_LICENCES_COLUMNS = ["file", "category", "licence", "origin"]
_ROWS = 16_384  # in a part
_LONGEST_LINE = 4096  # bytes
_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_START = re.compile(r"[0-9]{1,6}")
_SPLITS = ("train", "test")
_AUDIO = {"aac", "aif", "aiff", "flac", "m4a", "mka", "mp3", "oga", "ogg", "opus", "wav", "weba", "wma"}
_VIDEO = {"3gp", "avi", "flv", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "ogv", "ts", "webm", "wmv"}


def sources(corpora: str) -> list[Source]:
    """The one list of clips, where there is one."""
    path = f"{_FOLDER}/{_FILE}"
    return [Source("vggsound", path, None)] if storage.exists(storage.join(corpora, path)) else []


def read(source: Source, corpora: str) -> Iterator[Part]:
    """CLIPS of the list, a few thousand at a time, in the file's order.

    `author` is the origin that the clip's row in `clip_licences.csv` names: whom to credit.
    """
    folder = storage.join(corpora, _FOLDER)
    media = _media(storage.listing(storage.join(folder, "clips"))[0])
    terms = _Terms(folder)
    with storage.open_read(storage.join(corpora, source.path)) as file:
        for rejected in terms.faults:
            yield Part(batch({}, CLIPS), rejected, len(rejected), 0)
        fitting = 0
        for lines in _stretches(file):
            part = _part(lines, source.path, media, terms, file.tell())
            fitting += len(part.kept)
            yield part
    if not fitting:
        raise CorpusError(
            source.path,
            "every line",
            "no row is `video id,start,label,split`",
            "Give the official vggsound.csv",
        )


def _media(files: list[str]) -> dict[str, str]:
    """Clip name without extension -> file; of several, the first by name."""
    media: dict[str, str] = {}
    for file in files:
        stem, _, extension = file.rpartition(".")
        if extension.lower() in _AUDIO | _VIDEO:
            media.setdefault(stem, file)
    return media


class _Terms:
    """Licence and origin of each clip file, from the optional table beside the list."""

    def __init__(self, folder: str) -> None:
        self.faults: list[pa.RecordBatch] = []
        self._rows: dict[str, tuple[str, str]] = {}
        path, url = f"{_FOLDER}/{_LICENCES}", storage.join(folder, _LICENCES)
        if not storage.exists(url):
            return
        try:
            text = storage.read_bytes(url).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise CorpusError(path, f"byte {error.start}", "not UTF-8 text", "Save it as UTF-8") from error
        lines = csv.reader(io.StringIO(text, newline=""))
        header = next(lines, [])
        if header != _LICENCES_COLUMNS:
            rule = f"expected the columns {', '.join(_LICENCES_COLUMNS)}; found {', '.join(header) or 'none'}"
            raise CorpusError(path, "line 1", rule, "Write these columns, or remove the file")
        for number, fields in enumerate(lines, start=2):
            if len(fields) == len(_LICENCES_COLUMNS):
                self._rows.setdefault(fields[0], (fields[2], fields[3]))
            elif fields:
                text = f"{fields!r}: {len(_LICENCES_COLUMNS)} values are needed"
                self.faults.append(rejections([f"{path}:{number}"], Reason.BAD_ROW, [text]))

    def of(self, file: str | None) -> tuple[str | None, str | None]:
        licence, origin = self._rows.get(file or "", (None, None))
        return licences.normalise(licence), origin or None


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Line number, from 1, and line; None for one longer than any row. Empty lines are passed over."""
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        whole = line.endswith(b"\n") or len(line) < _LONGEST_LINE
        while not line.endswith(b"\n") and (more := file.readline(_LONGEST_LINE)):
            line, whole = more, False
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            yield number, line.rstrip(b"\r\n") if whole else None


def _fields(line: bytes | None) -> list[str] | str:
    """Video id, start, label, split; or what is wrong."""
    if line is None:
        return f"a line longer than {_LONGEST_LINE} bytes"
    try:
        text = line.decode()
        fields = next(csv.reader([text], strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        return f"{line[:200]!r}: {error}"
    if "\0" in text:
        return f"{line[:200]!r}: holds NUL"
    if len(fields) < 4:
        return f"{line[:200]!r}: video id, start, label, split are needed"
    video, start, label, split = fields[0], fields[1].strip(), ",".join(fields[2:-1]), fields[-1].strip()
    if not _START.fullmatch(start):
        return f"start {start!r} of {video}: a whole number of seconds below 1,000,000 is needed"
    if split not in _SPLITS:
        return f"split {split!r} of {video}: {' or '.join(_SPLITS)} is needed"
    if not label.strip():
        return f"the label of {video} is empty"
    return [video, start, label, split]


def _is_header(line: bytes | None) -> bool:
    fields = (line or b"").decode("utf-8", "replace").lower().split(",")
    return len(fields) >= 4 and fields[1].strip().startswith("start")


def _stretches(file: IO[bytes]) -> Iterator[list[tuple[int, bytes | None]]]:
    stretch: list[tuple[int, bytes | None]] = []
    for number, line in _lines(file):
        if number == 1 and _is_header(line):
            continue
        stretch.append((number, line))
        if len(stretch) == _ROWS:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


def _part(
    lines: list[tuple[int, bytes | None]], path: str, media: dict[str, str], terms: _Terms, position: int
) -> Part:
    rows: list[dict[str, object]] = []
    rejected: list[pa.RecordBatch] = []
    for number, line in lines:
        fields = _fields(line)
        if isinstance(fields, str):
            rejected.append(rejections([f"{path}:{number}"], Reason.BAD_ROW, [fields]))
            continue
        video, start, label, split = fields
        if not names.is_safe(video):
            rejected.append(
                rejections([f"{path}:{number}"], Reason.HOSTILE_NAME, [f"video id {video!r}: {names.RULE}"])
            )
            continue
        name = f"{video}_{int(start):06d}"
        file = media.get(name)
        licence, origin = terms.of(file)
        rows.append(
            {
                "clip_id": f"vggsound:{name}",
                "corpus": "vggsound",
                "video_id": video,
                "start_s": float(start),
                "label": label,
                "official_split": split,
                "clip_path": f"{_FOLDER}/clips/{file}" if file else None,
                "licence": licence,
                "author": origin,
                "url": f"https://www.youtube.com/watch?v={video}" if _YOUTUBE_ID.fullmatch(video) else None,
            }
        )
    return Part(pa.RecordBatch.from_pylist(rows, schema=CLIPS), joined(rejected), len(lines), position)
