"""VGGSound: `vggsound/vggsound.csv` and clips in `clips/`, in folders below it or not.

Format: https://www.robots.ox.ac.uk/~vgg/data/vggsound/: video id, start second, label, split; no header (one
is passed over). Spaces around a value do not count; labels hold commas, quoted or not. `clip_licences.csv` (file,
category, licence, origin) may lie beside it.

A clip's file is named by its video and start, in one of these ways. Of several files for one row the first is read, in
this order, then the one in the fewest folders, then by name; a file is read for one row at most:

    <video id>_<start, 6 digits>.<extension>
    <video id>_<start>.<extension>                  the start may end in .0
    <video id>_<start>_<end>.<extension>            seconds
    <video id>_<start>_<end>.<extension>            milliseconds, where the two are 1,000 or more apart
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import IO

import pyarrow as pa

from pipelines.corpora import clip_lists, licences, names
from pipelines.corpora.clip_files import ClipFiles, needs
from pipelines.corpora.corpus import Corpus, Fetching, Vocabulary
from pipelines.corpora.records import CLIPS
from pipelines.corpora.source import Chunk, CorpusError, Source, batch, joined, rejections
from pipelines.matching.vocabularies import AudioLabel, VocabularyError, csv_rows
from shards import storage
from shards.rejections import Reason
from shards.text import decoded

_FOLDER = "vggsound"
_FILE = "vggsound.csv"
_LICENCES = "clip_licences.csv"
_LICENCES_COLUMNS = ["file", "category", "licence", "origin"]
_ROWS = 16_384  # in a part
_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_START = re.compile(r"[0-9]{1,6}")
_STARTING = re.compile(r"(.+)_([0-9]{1,6})(?:\.0+)?", re.DOTALL)
_FROM_TO = re.compile(r"(.+)_([0-9]{1,9})(?:\.0+)?_([0-9]{1,9})(?:\.0+)?", re.DOTALL)
_SPLITS = ("train", "test")


def sources(corpora: str) -> list[Source]:
    """The one list of clips, where there is one."""
    path = f"{_FOLDER}/{_FILE}"
    return [Source("vggsound", path, None)] if storage.exists(storage.join(corpora, path)) else []


def read(source: Source, corpora: str) -> Iterator[Chunk]:
    """CLIPS of the list, a few thousand at a time, in the file's order.

    `author` is the origin that the clip's row in `clip_licences.csv` names: whom to credit.
    """
    folder, url = storage.join(corpora, _FOLDER), storage.join(corpora, source.path)
    media = ClipFiles.find(corpora, f"{_FOLDER}/clips", _listed(url), _readings)
    terms = _Terms(folder)
    notes = media.notes(_FILE, "<video id>_<start>, or <video id>_<start>_<end>,")
    if terms.faults or notes:
        yield Chunk(batch({}, CLIPS), joined(terms.faults), sum(map(len, terms.faults)), 0, notes=notes)
    with storage.open_read(url) as file:
        fitting = 0
        for lines in _stretches(file):
            part = _part(lines, source.path, media.files, terms, file.tell())
            fitting += len(part.kept)
            yield part
    if not fitting:
        raise CorpusError(
            source.path,
            "every line",
            "no row is `video id,start,label,split`",
            "Give the official vggsound.csv",
        )


def _name(video: str, start: int) -> str:
    return f"{video}_{start:06d}"


def _listed(url: str) -> set[str]:
    """The name of every clip in the list."""
    found = set()
    with storage.open_read(url) as file:
        for lines in _stretches(file):
            for _, line in lines:
                if not isinstance(fields := _fields(line), str):
                    found.add(_name(fields[0], int(fields[1])))
    return found


def _readings(stem: str) -> Iterator[tuple[int, str]]:
    """What clips a file's name may mean, the likeliest first: how likely (0: most), and the clip's name."""
    if match := _STARTING.fullmatch(stem):
        yield int(len(match[2]) < 6), _name(match[1], int(match[2]))
    if match := _FROM_TO.fullmatch(stem):
        start, end = int(match[2]), int(match[3])
        if 0 < end - start < 1000:
            yield 2, _name(match[1], start)
        elif end > start and start % 1000 == 0:
            yield 3, _name(match[1], start // 1000)


class _Terms:
    """Licence and origin of each clip file, from the optional table beside the list."""

    def __init__(self, folder: str) -> None:
        self.faults: list[pa.RecordBatch] = []
        self._rows: dict[str, tuple[str, str]] = {}
        path, url = f"{_FOLDER}/{_LICENCES}", storage.join(folder, _LICENCES)
        if not storage.exists(url):
            return
        lines = csv.reader(io.StringIO(decoded(storage.read_bytes(url), path), newline=""))
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
        file = (file or "").removeprefix(f"{_FOLDER}/clips/")
        licence, origin = self._rows.get(file) or self._rows.get(file.rpartition("/")[2]) or (None, None)
        return licences.normalise(licence), origin or None


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Line number, from 1, and line; None for one longer than any row. Empty lines are passed over."""
    for number, line, whole in clip_lists.lines(file):
        if line.strip():
            yield number, line if whole else None


def _fields(line: bytes | None) -> list[str] | str:
    """Video id, start, label, split; or what is wrong."""
    if line is None:
        return f"a line longer than {clip_lists.LONGEST_LINE} bytes"
    try:
        text = line.decode()
        fields = next(csv.reader([text], strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        return f"{line[:200]!r}: {error}"
    if "\0" in text:
        return f"{line[:200]!r}: holds NUL"
    if len(fields) < 4:
        return f"{line[:200]!r}: video id, start, label, split are needed"
    video, start, label, split = map(_value, (fields[0], fields[1], ",".join(fields[2:-1]), fields[-1]))
    if not _START.fullmatch(start):
        return f"start {start!r} of {video}: a whole number of seconds below 1,000,000 is needed"
    if split not in _SPLITS:
        return f"split {split!r} of {video}: {' or '.join(_SPLITS)} is needed"
    if not label:
        return f"the label of {video} is empty"
    return [video, start, label, split]


def _value(text: str) -> str:
    """A value without the spaces around it, and without quotes that a space kept the csv module from seeing."""
    bare = text.strip()
    quoted = bare != text and len(bare) > 1 and bare[0] == bare[-1] == '"'
    return bare[1:-1].replace('""', '"').strip() if quoted else bare


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
) -> Chunk:
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
        name = _name(video, int(start))
        file = media.get(name)
        licence, origin = terms.of(file)
        rows.append(
            {
                "clip_id": f"vggsound:{name}",
                "corpus": "vggsound",
                "video_id": video,
                "start_s": float(start),
                "label_ids": [label],
                "labels": [label],
                "official_split": split,
                "split_is_final": False,
                "clip_path": file,
                "is_padded": False,
                "licence": licence,
                "author": origin,
                "url": f"https://www.youtube.com/watch?v={video}" if _YOUTUBE_ID.fullmatch(video) else None,
            }
        )
    return Chunk(pa.RecordBatch.from_pylist(rows, schema=CLIPS), joined(rejected), len(lines), position)


def vggsound_labels(rows: Iterable[list[str]]) -> list[AudioLabel]:
    """Labels of `stat.csv` (label, clips, group), whose commas may be unquoted."""
    return [AudioLabel(",".join(row[:-2]), "vggsound", group=row[-1]) for row in rows]


def _vocabulary(corpora: str) -> list[AudioLabel]:
    """The labels that the list names, sorted."""
    url = storage.join(corpora, _FOLDER, _FILE)
    if not storage.exists(url):
        raise VocabularyError(
            f"{url} is not there: it lists VGGSound's labels. Put it there, or leave vggsound out of --audio"
        )
    found = set()
    with storage.open_read(url) as file:
        for lines in _stretches(file):
            found |= {fields[2] for _, line in lines if not isinstance(fields := _fields(line), str)}
    return [AudioLabel(label, "vggsound") for label in sorted(found)]


CORPUS = Corpus(
    name="vggsound",
    title="VGGSound",
    kind="sounds",
    layout="""\
vggsound/vggsound.csv        id,start,label,split
vggsound/clips/              <id>_<start>.<any audio or video> or <id>_<start>_<end>, in folders or not
vggsound/clip_licences.csv   optional: file,category,licence,origin""",
    sources=sources,
    read=read,
    official="Give the official vggsound.csv",
    vocabulary=Vocabulary(
        lambda folder: vggsound_labels(csv_rows(folder, "vggsound_stat.csv", columns=3)), _vocabulary
    ),
    fetching=Fetching(
        {"vggsound": "https://www.robots.ox.ac.uk/~vgg/data/vggsound"},
        partial(needs, folder=_FOLDER),
        item_bytes=4_000_000,  # the audio of a four-minute video at 130 kbit/s
        readings=lambda corpora, stems: _readings,
    ),
    usual=True,
)
