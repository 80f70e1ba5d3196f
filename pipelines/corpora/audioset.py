"""AudioSet: `audioset/{balanced_train,eval,unbalanced_train}_segments.csv`, clips in `audioset/clips/`.

Format: https://research.google.com/audioset/download.html. Lines of comment begin with `#`; a row is id, start, end
and the MIDs of its labels, quoted and with commas between, all separated by a comma and a space. Ids may begin with a
dash. `class_labels_indices.csv` names the 527 classes. Labels are of the whole 10 s and of several levels: `Animal`
beside `Dog`.

There are no official names of clips. Read are, with any extension but those of text and pictures and in folders
or not, in this order, each also with a `Y` in front:

    <id>_<start, 6 digits>      <id>_<start>            seconds; with three decimals, too
    <id>_<start>_<end>                                  seconds, or milliseconds where they are 1,000 or more apart
    <id>_<start>                                        milliseconds
    <id>                                                where the lists have one clip of that id

A file that its id alone names is the clip where it is no longer than that, or where the clip begins with the video.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from functools import partial
from itertools import islice
from typing import IO, Any

from pipelines.corpora import clip_lists, names
from pipelines.corpora.clip_files import ClipFiles, needs
from pipelines.corpora.corpus import Corpus, Fetching, NamedLabel, Vocabulary
from pipelines.corpora.source import Chunk, CorpusError, Source
from pipelines.matching.vocabularies import AudioLabel, csv_rows, ontology_labels, read_ontology
from shards import storage
from shards.rejections import Reason, Rejected

_FOLDER = "audioset"
_LISTS = {"balanced_train": "train", "eval": "test", "unbalanced_train": "train"}
_CLASSES = "class_labels_indices.csv"
_ROWS = 16_384  # in a part
_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
_NAME = re.compile(r"([A-Za-z0-9_-]{11})(?:_([0-9]{1,9})(\.0+)?)?(?:_([0-9]{1,9})(?:\.0+)?)?")


def sources(corpora: str) -> list[Source]:
    """The official lists that are there."""
    found = set(storage.names(storage.join(corpora, _FOLDER)))
    return [
        Source("audioset", f"{_FOLDER}/{name}_segments.csv", split)
        for name, split in _LISTS.items()
        if f"{name}_segments.csv" in found
    ]


def labels(corpora: str) -> Iterator[NamedLabel]:
    """Every class of the list of classes."""
    if sources(corpora):
        for mid, name in _classes(corpora).items():
            yield NamedLabel(f"{_FOLDER}/{_CLASSES}", "audioset", mid, name)


def read(source: Source, corpora: str) -> Iterator[Chunk]:
    """CLIPS of one list, a few thousand at a time, in its order."""
    known = _classes(corpora)
    files = names.tree(storage.join(corpora, _FOLDER, "clips"))
    every = _listed(corpora, set(_videos(files)))
    media = ClipFiles.find(
        corpora, f"{_FOLDER}/clips", every.keys(), lambda stem: _readings(stem, every), files
    )
    if source.path == sources(corpora)[0].path:  # told once, not for every list
        yield clip_lists.Clips(source.path).chunk(
            0, media.notes("any list", "<id>, <id>_<start> or <id>_<start>_<end>")
        )
    fitting = 0
    with storage.open_read(storage.join(corpora, source.path)) as file:
        lines = _lines(file)
        while stretch := list(islice(lines, _ROWS)):
            clips = clip_lists.Clips(source.path)
            for number, line in stretch:
                try:
                    clips.add(_row(line, source, known, media.files))
                except Rejected as error:
                    clips.reject(number, error)
            fitting += len(clips.rows)
            yield clips.chunk(file.tell())
    if not fitting:
        rule = 'no row is `id, start, end, "MID,MID"`'
        raise CorpusError(
            source.path, "every line", rule, f"Give the official {source.path.rpartition('/')[2]}"
        )


def _row(
    line: bytes | None, source: Source, known: Mapping[str, str], media: Mapping[str, str]
) -> dict[str, Any]:
    video, start_s, end_s, mids = _fields(line)
    if unknown := [mid for mid in mids if mid not in known]:
        raise Rejected(Reason.UNKNOWN_LABEL, f"{', '.join(unknown)[:200]} of {video} is not in {_CLASSES}")
    name = _name(video, start_s)
    file = media.get(name)
    may_be_all = bool(file and start_s and not tells_start(file.rpartition("/")[2].rpartition(".")[0]))
    return {
        "clip_id": f"audioset:{name}",
        "corpus": "audioset",
        "video_id": video,
        "start_s": start_s,
        "label_ids": mids,
        "labels": [known[mid] for mid in mids],
        "official_split": source.split,
        "split_is_final": False,
        "clip_path": file,
        "longest_s": end_s - start_s + clip_lists.SLACK_S if may_be_all else None,
        "is_padded": False,
        "url": f"https://www.youtube.com/watch?v={video}",
    }


def _fields(line: bytes | None) -> tuple[str, float, float, list[str]]:
    """Id, start and end in seconds, MIDs. Raises Rejected."""
    if line is None:
        raise Rejected(Reason.BAD_ROW, f"a line longer than {clip_lists.LONGEST_LINE} bytes")
    try:
        fields = [
            field.strip() for field in next(csv.reader([line.decode()], skipinitialspace=True, strict=True))
        ]
    except (UnicodeDecodeError, csv.Error, StopIteration) as error:
        raise Rejected(Reason.BAD_ROW, f"{line[:200]!r}: {error}") from error
    if len(fields) < 4:
        raise Rejected(Reason.BAD_ROW, f"{line[:200]!r}: id, start, end and labels are needed")
    video, start, end, *rest = fields
    mids = [mid.strip() for mid in ",".join(rest).split(",")]
    if not _ID.fullmatch(video):
        raise Rejected(Reason.BAD_ROW, f"id {video!r:.60}: the 11 characters of a YouTube id are needed")
    if not (_SECONDS.fullmatch(start) and _SECONDS.fullmatch(end) and float(start) < float(end)):
        raise Rejected(
            Reason.BAD_ROW, f"{start!r:.40} to {end!r:.40} of {video}: seconds, the first before the second"
        )
    if len(set(mids)) != len(mids) or not all(mids):
        raise Rejected(Reason.BAD_ROW, f"labels {','.join(mids)!r:.200} of {video}: each once, none empty")
    return video, float(start), float(end), mids


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Line number, from 1, and line; None for one longer than any row. Comments and empty lines are passed over."""
    for number, line, whole in clip_lists.lines(file):
        if not whole:
            yield number, None
        elif line.strip() and not line.startswith(b"#"):
            yield number, line


def _name(video: str, start_s: float) -> str:
    return f"{video}_{int(start_s):06d}"


def _videos(files: Iterable[str]) -> Iterator[str]:
    """The ids that names of files may begin with."""
    for file in files:
        name = file.rpartition("/")[2]
        yield name[:11]
        yield name[1:12]


def _listed(corpora: str, videos: Set[str]) -> dict[str, str]:
    """The name of each clip of some videos in all lists; and each id, with that of its only clip ("": several)."""
    found: dict[str, str] = {}
    for source in sources(corpora):
        with storage.open_read(storage.join(corpora, source.path)) as file:
            for _, line in _lines(file):
                head = (line or b"").split(b",", 2)[:2]  # a row that does not fit has no clip
                try:
                    video, name = head[0].decode().strip(), _name(head[0].decode().strip(), float(head[1]))
                except (ValueError, IndexError, OverflowError):
                    continue
                if video not in videos:
                    continue
                found[name] = name
                found[video] = name if found.get(video, name) == name else ""
    return found


def _readings(stem: str, listed: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    for bare in (stem, stem[1:] if stem.startswith("Y") else ""):
        if not (match := _NAME.fullmatch(bare)):
            continue
        video, start, decimals, end = match.groups()
        if start is None:
            if only := listed.get(video):
                yield 5, only
            continue
        seconds = int(start)
        if end is None:
            yield int(len(start) < 6 or bool(decimals)), _name(video, seconds)
            if seconds % 1000 == 0:
                yield 4, _name(video, seconds // 1000)
        elif 0 < int(end) - seconds < 1000:
            yield 2, _name(video, seconds)
        elif int(end) > seconds and seconds % 1000 == 0:
            yield 3, _name(video, seconds // 1000)


def tells_start(stem: str) -> bool:
    """Whether the name of a clip's file says where in its video it begins."""
    found = (_NAME.fullmatch(bare) for bare in (stem, stem.removeprefix("Y")))
    return all(match[2] is not None for match in found if match)


def _classes(corpora: str) -> dict[str, str]:
    """MID -> display name. CorpusError where the list of classes is not there, or is another file."""
    path = f"{_FOLDER}/{_CLASSES}"
    if not storage.exists(storage.join(corpora, path)):
        raise CorpusError(
            path, "file", "it is not there, so MIDs have no names", f"Put the official {_CLASSES} there"
        )
    found: dict[str, str] = {}
    for line, row in clip_lists.rows(corpora, path, ("mid", "display_name")):
        if (
            isinstance(row, Rejected)
            or found.setdefault(row["mid"], row["display_name"]) != row["display_name"]
        ):
            rule = row.detail if isinstance(row, Rejected) else f"{row['mid']} has two names"
            raise CorpusError(path, f"line {line}", rule, f"Give the official {_CLASSES}")
    return found


def _vocabulary(corpora: str) -> list[AudioLabel]:
    ontology = read_ontology(storage.join(corpora, _FOLDER))
    named = [(name, mid) for mid, name in _classes(corpora).items()]
    return ontology_labels("audioset", named, ontology)


def _of_files(folder: str) -> list[AudioLabel]:
    rows = csv_rows(folder, "audioset_class_labels_indices.csv", columns=3)[1:]
    return ontology_labels("audioset", [(name, mid) for _, mid, name, *_ in rows], read_ontology(folder))


CORPUS = Corpus(
    name="audioset",
    title="AudioSet",
    kind="sounds",
    layout="""\
audioset/{balanced_train,eval,unbalanced_train}_segments.csv  one of them, or all
audioset/class_labels_indices.csv                             names of the classes
audioset/clips/                                               <id>, <id>_<start> or <id>_<start>_<end>""",
    sources=sources,
    read=read,
    labels=labels,
    official=f"Give the official {_CLASSES} (527 classes)",
    vocabulary=Vocabulary(_of_files, _vocabulary),
    fetching=Fetching(
        {"audioset": "http://storage.googleapis.com/us_audioset/youtube_corpus/v1/csv"},
        partial(needs, folder=_FOLDER),
        item_bytes=4_000_000,  # the audio of a four-minute video at 130 kbit/s
        readings=lambda corpora, stems: partial(
            _readings, listed=_listed(corpora, {stem[:11] for stem in stems})
        ),
        tells_start=tells_start,
    ),
    annotation_licence="cc-by-4.0",
)
