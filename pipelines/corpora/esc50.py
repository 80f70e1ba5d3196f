"""ESC-50: `esc50/meta/esc50.csv`, `esc50/audio/<fold>-<Freesound number>-<take>-<target>.wav`, `esc50/LICENSE`.

Format: https://github.com/karolpiczak/ESC-50. 2,000 clips of 5 s in 50 classes, numbered from 0. All takes of a sound
are in one of five folds, and each fold is in one split: 1 to 3 in train, 4 in val, 5 in test. Clips that were shorter
are filled up with zeros. LICENSE names author and licence of each clip (without the target, and as .ogg); one that is
not in it has the licence of the whole.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.corpora import clip_lists, licences
from pipelines.corpora.corpus import Corpus, Fetching, NamedLabel, Need, Row, Vocabulary
from pipelines.corpora.source import Chunk, Source
from pipelines.matching.vocabularies import AudioLabel, VocabularyError, csv_rows
from shards import storage
from shards.rejections import Reason, Rejected

_FOLDER = "esc50"
_LIST = f"{_FOLDER}/meta/esc50.csv"
_COLUMNS = ("filename", "fold", "target", "category", "src_file", "take")
_NAME = re.compile(r"(?P<fold>[1-5])-(?P<src_file>[0-9]{1,9})-(?P<take>[A-Z])-(?P<target>[0-9]{1,2})\.wav")
_SPLITS = {"1": "train", "2": "train", "3": "train", "4": "val", "5": "test"}  # by fold
_TERMS = re.compile(
    r"- \[(?P<clip>[^\]]+)\.ogg\]:.*\((?P<url>https?://\S+)\) by (?P<author>.+) \[(?P<licence>[^\]]+)\]\s*"
)
_WHOLE = "cc-by-nc-3.0"


def sources(corpora: str) -> list[Source]:
    """The one list of clips, where there is one."""
    return [Source("esc50", _LIST, None)] if storage.exists(storage.join(corpora, _LIST)) else []


def labels(corpora: str) -> Iterator[NamedLabel]:
    """Every target with every category that the list gives it."""
    if sources(corpora):
        rows = [row for _, row in clip_lists.rows(corpora, _LIST, _COLUMNS) if not isinstance(row, Rejected)]
        for target, category in sorted({(row["target"], row["category"]) for row in rows}):
            yield NamedLabel(_LIST, "esc50", target, category)


def read(source: Source, corpora: str) -> Iterator[Chunk]:
    """CLIPS of the list, in its order."""
    there = set(storage.listing(storage.join(corpora, _FOLDER, "audio"))[0])
    terms = _terms(corpora)
    clips = clip_lists.Clips(source.path)
    for line, row in clip_lists.rows(corpora, source.path, _COLUMNS):
        try:
            if isinstance(row, Rejected):
                raise row
            clips.add(_clip(row, there, terms))
        except Rejected as error:
            clips.reject(line, error)
    yield clips.chunk(storage.size(storage.join(corpora, source.path)))


def _clip(row: Mapping[str, str], there: set[str], terms: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """A row of CLIPS. Raises Rejected."""
    name = _NAME.fullmatch(row["filename"])
    if not name or any(row[column] != value for column, value in name.groupdict().items()):
        detail = f"{row['filename']!r:.100} is not <fold>-<src_file>-<take>-<target>.wav of its row"
        raise Rejected(Reason.BAD_ROW, detail)
    if not row["category"]:
        raise Rejected(Reason.BAD_ROW, f"{row['filename']} has no category")
    term = terms.get(row["filename"].rpartition("-")[0], {})
    return {
        "clip_id": f"esc50:{row['filename'].removesuffix('.wav')}",
        "corpus": "esc50",
        "video_id": f"freesound:{row['src_file']}",
        "start_s": 0.0,
        "label_ids": [row["target"]],
        "labels": [row["category"]],
        "official_split": _SPLITS[row["fold"]],
        "split_is_final": True,
        "clip_path": next(
            (f"{_FOLDER}/audio/{file}" for file in _files(row["filename"]) if file in there), None
        ),
        "is_padded": True,
        "licence": licences.normalise(term.get("licence")) if term else _WHOLE,
        "author": term.get("author"),
        "url": term.get("url") or f"https://freesound.org/s/{row['src_file']}/",
    }


def _files(filename: str) -> tuple[str, str]:
    """As it is published, and as it is fetched."""
    return filename, f"{filename.removesuffix('.wav')}.flac"


def _terms(corpora: str) -> dict[str, dict[str, str]]:
    """Address, author and licence by clip, from LICENSE; none where it is not there. Other lines are prose."""
    url = storage.join(corpora, _FOLDER, "LICENSE")
    text = storage.read_bytes(url).decode(errors="replace") if storage.exists(url) else ""
    found = [match.groupdict() for line in text.splitlines() if (match := _TERMS.fullmatch(line))]
    return {row["clip"]: row for row in found}


def _of(named: Mapping[str, str]) -> list[AudioLabel]:
    return [
        AudioLabel(name, "esc50", target, synonyms=(name.replace("_", " "),))
        for target, name in sorted(named.items(), key=lambda one: int(one[0]))
    ]


def _of_corpora(corpora: str) -> list[AudioLabel]:
    named = {label.source_id: label.name for label in labels(corpora) if label.source_id.isdecimal()}
    if not named:
        raise VocabularyError(
            f"{_LIST} is not there: it lists ESC-50's labels. Put it there, or leave esc50 out of --audio"
        )
    return _of(named)


def _of_files(folder: str) -> list[AudioLabel]:
    rows = csv_rows(folder, "esc50.csv", columns=4)
    at = {name: place for place, name in enumerate(rows[0])}
    if not {"target", "category"} <= at.keys():
        raise VocabularyError(
            f"{folder}/esc50.csv has no columns target and category: give the official file"
        )
    return _of({row[at["target"]]: row[at["category"]] for row in rows[1:]})


def _needs(row: Row, addresses: Mapping[str, str]) -> Iterator[Need]:
    name = row["clip_id"].partition(":")[2]
    yield Need(row["clip_id"], "clip", "", f"{_FOLDER}/audio/{name}.flac", row["clip_path"])


CORPUS = Corpus(
    name="esc50",
    title="ESC-50",
    kind="sounds",
    layout="""\
esc50/meta/esc50.csv  clips with their folds and labels
esc50/audio/          <fold>-<number>-<take>-<target>.wav, or .flac as fetched
esc50/LICENSE         optional: author and licence of each clip""",
    sources=sources,
    read=read,
    labels=labels,
    official="Give the official meta/esc50.csv (50 classes)",
    numbered=True,
    vocabulary=Vocabulary(_of_files, _of_corpora),
    fetching=Fetching(
        {
            "esc50": "https://github.com/karolpiczak/ESC-50",
            "esc50_lists": "https://raw.githubusercontent.com/karolpiczak/ESC-50/master",
        },
        _needs,
        item_bytes=300_000,  # 600 MB for 2,000 clips
        media=("{esc50}/archive/master.zip",),
    ),
    annotation_licence=_WHOLE,
)
