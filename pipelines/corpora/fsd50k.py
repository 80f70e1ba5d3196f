"""FSD50K as it lies at Zenodo, or with the folders of its copy at the Hugging Face Hub.

Format: https://zenodo.org/records/4060432. `{dev,eval}.csv` list clips with all their labels, the wider ones too; the
collection's lists have what people heard, finer and without the wider ones, some of it without a MID: these are read
where they are there. `vocabulary.csv` names the 200 classes. A clip is named by its number at Freesound; its licence
and author are in the clips' info. Ratings say of a label whether it is present and predominant (1) or only present
(0.5).
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from pipelines.corpora import clip_lists, licences, names
from pipelines.corpora.corpus import Corpus, Fetching, NamedLabel, Need, Row, Vocabulary
from pipelines.corpora.source import Chunk, CorpusError, Source
from pipelines.matching.vocabularies import AudioLabel, csv_rows, ontology_labels, read_ontology
from shards import storage
from shards.rejections import Reason, Rejected
from shards.text import TextError, decoded

_FOLDER = "fsd50k"
_LISTS = {"dev": "train", "eval": "test"}
_TRUTH = ("FSD50K.ground_truth", "labels")  # at Zenodo, in the copy
_METADATA = ("FSD50K.metadata", "metadata")
_AUDIO = {name: (f"FSD50K.{name}_audio", f"clips/{name}") for name in _LISTS}
_ENDS = (".wav", ".flac")
_VOCABULARY = "vocabulary.csv"
_COLUMNS = ("fname", "labels", "mids")
_NUMBER = re.compile(r"[0-9]{1,12}")
_ROWS = 16_384  # in a part
_PREDOMINANT, _PRESENT = 1.0, 0.5
_REMEDY = "Give the official file, as it was downloaded"


class _Info(msgspec.Struct):
    license: str | None = None
    uploader: str | None = None


def sources(corpora: str) -> list[Source]:
    """The ground truth's lists."""
    for folder in _TRUTH:
        found = set(storage.names(storage.join(corpora, _FOLDER, folder)))
        lists = [name for name in _LISTS if f"{name}.csv" in found]
        if lists:
            return [Source("fsd50k", f"{_FOLDER}/{folder}/{name}.csv", _LISTS[name]) for name in lists]
    return []


def labels(corpora: str) -> Iterator[NamedLabel]:
    """Every class of the vocabulary."""
    if sources(corpora):
        path, classes = _vocabulary(corpora)
        for name, mid in classes.items():
            yield NamedLabel(path, "fsd50k", mid, name)


def read(source: Source, corpora: str) -> Iterator[Chunk]:
    """CLIPS of one list, a few thousand at a time, in its order."""
    listed = source.path.rpartition("/")[2].removesuffix(".csv")
    about = _About.of(corpora, listed)
    columns = (*_COLUMNS, "split") if listed == "dev" else _COLUMNS
    rows = clip_lists.rows(corpora, source.path, columns)
    while stretch := list(islice(rows, _ROWS)):
        clips = clip_lists.Clips(source.path)
        for line, row in stretch:
            try:
                if isinstance(row, Rejected):
                    raise row
                clips.add(about.clip(row))
            except Rejected as error:
                clips.reject(line, error)
        yield clips.chunk(storage.size(storage.join(corpora, source.path)))


@dataclass(frozen=True)
class _About:
    """What the files beside a list say of its clips, by number."""

    classes: dict[str, str]  # name -> MID
    collection: dict[str, tuple[list[str], list[str]]]  # -> label ids, labels
    info: dict[str, msgspec.Raw]
    ratings: dict[str, msgspec.Raw]
    files: dict[str, str]  # -> path

    @classmethod
    def of(cls, corpora: str, listed: str) -> "_About":
        _, classes = _vocabulary(corpora)
        known = dict(classes)
        if path := _metadata(corpora, f"collection/vocabulary_collection_{listed}.csv"):
            known |= {name: mid for name, mid in _classes(corpora, path).items() if mid and name not in known}
        return cls(
            classes,
            _collection(corpora, listed, known),
            _json(corpora, f"{listed}_clips_info_FSD50K.json"),
            _json(corpora, "pp_pnp_ratings_FSD50K.json"),
            _files(corpora, listed),
        )

    def clip(self, row: Mapping[str, str]) -> dict[str, Any]:
        """A row of CLIPS. Raises Rejected."""
        number = row["fname"]
        if not _NUMBER.fullmatch(number):
            raise Rejected(
                Reason.BAD_ROW, f"fname {number!r:.60}: the number of a sound at Freesound is needed"
            )
        split = row.get("split", "test")
        if split not in ("train", "val", "test"):
            raise Rejected(Reason.BAD_ROW, f"split {split!r:.60} of {number}: train or val is needed")
        called, mids = row["labels"].split(","), row["mids"].split(",")
        if len(called) != len(mids) or not all(called):
            raise Rejected(
                Reason.BAD_ROW, f"{row['labels']!r:.200} of {number}: as many labels as MIDs are needed"
            )
        for name, mid in zip(called, mids, strict=True):
            if self.classes.get(name) != mid:
                raise Rejected(Reason.UNKNOWN_LABEL, f"{name} ({mid}) of {number} is not so in {_VOCABULARY}")
        ids, called = self.collection.get(number, (mids, called))
        info = _value(self.info, number, _Info) or _Info()
        return {
            "clip_id": f"fsd50k:{number}",
            "corpus": "fsd50k",
            "video_id": f"freesound:{number}",
            "start_s": 0.0,
            "label_ids": ids,
            "labels": called,
            "background_label_ids": self._background(number),
            "official_split": split,
            "split_is_final": True,
            "clip_path": self.files.get(number),
            "is_padded": False,
            "licence": licences.normalise(info.license),
            "author": info.uploader or None,
            "url": f"https://freesound.org/s/{number}/",
        }

    def _background(self, number: str) -> list[str] | None:
        """Labels that more people heard in the background than above all else."""
        rated = _value(self.ratings, number, dict[str, list[float]])
        if rated is None:
            return None
        return sorted(
            mid for mid, marks in rated.items() if marks.count(_PRESENT) >= max(1, marks.count(_PREDOMINANT))
        )


def _collection(
    corpora: str, listed: str, known: Mapping[str, str]
) -> dict[str, tuple[list[str], list[str]]]:
    """Labels of the collection; one without a MID anywhere is its own id. Rows that do not fit say nothing."""
    path = _metadata(corpora, f"collection/collection_{listed}.csv")
    found: dict[str, tuple[list[str], list[str]]] = {}
    for _, row in clip_lists.rows(corpora, path, _COLUMNS) if path else ():
        if not isinstance(row, Rejected) and (called := [name for name in row["labels"].split(",") if name]):
            mids = row["mids"].split(",")
            own = mids if len(mids) == len(called) else [""] * len(called)
            ids = [mid or known.get(name, name) for name, mid in zip(called, own, strict=True)]
            found.setdefault(row["fname"], (ids, called))
    return found


def _files(corpora: str, listed: str) -> dict[str, str]:
    """Number -> path, of files as they are published and as they are fetched; of several, of the first kind."""
    found: dict[str, str] = {}
    for end in _ENDS:
        for folder in _AUDIO[listed]:
            below = f"{_FOLDER}/{folder}"
            for file in names.tree(storage.join(corpora, below)):
                if file.endswith(end):
                    found.setdefault(file.rpartition("/")[2].removesuffix(end), f"{below}/{file}")
    return found


def _metadata(corpora: str, name: str) -> str:
    """The path of a file of the metadata; "" where it is not there."""
    paths = [f"{_FOLDER}/{folder}/{name}" for folder in _METADATA]
    return next((path for path in paths if storage.exists(storage.join(corpora, path))), "")


def _json(corpora: str, name: str) -> dict[str, msgspec.Raw]:
    """The entries of a JSON object of the metadata, not yet decoded; none where the file is not there."""
    path = _metadata(corpora, name)
    if not path:
        return {}
    try:
        return msgspec.json.decode(
            storage.read_bytes(storage.join(corpora, path)), type=dict[str, msgspec.Raw]
        )
    except (msgspec.DecodeError, RecursionError) as error:
        raise CorpusError(path, "JSON", str(error), _REMEDY) from error


def _value(entries: Mapping[str, msgspec.Raw], number: str, kind: Any) -> Any:
    """An entry of `_json`; None where there is none, or one of another form."""
    try:
        return msgspec.json.decode(entries[number], type=kind)
    except (KeyError, msgspec.DecodeError, RecursionError):
        return None


def _vocabulary(corpora: str) -> tuple[str, dict[str, str]]:
    """The path of the vocabulary, and name -> MID."""
    folder = sources(corpora)[0].path.rpartition("/")[0]
    path = f"{folder}/{_VOCABULARY}"
    if not storage.exists(storage.join(corpora, path)):
        raise CorpusError(
            path, "file", "it is not there, so labels have no ids", f"Put the official {_VOCABULARY} there"
        )
    return path, _classes(corpora, path)


def _classes(corpora: str, path: str) -> dict[str, str]:
    """Name -> MID of a vocabulary (index, label, mid; no header)."""
    try:
        text = decoded(storage.read_bytes(storage.join(corpora, path)), path)
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except (TextError, csv.Error) as error:
        raise CorpusError(path, "CSV", str(error), _REMEDY) from error
    found: dict[str, str] = {}
    for line, row in enumerate(rows, start=1):
        if len(row) != 3 or not row[0].isdecimal() or found.setdefault(row[1], row[2]) != row[2]:
            rule = f"{row!r:.200}: a number, a label and its MID are needed, each label once"
            raise CorpusError(path, f"row {line}", rule, _REMEDY)
    return found


def _of_corpora(corpora: str) -> list[AudioLabel]:
    return ontology_labels(
        "fsd50k", _vocabulary(corpora)[1].items(), read_ontology(storage.join(corpora, "audioset"))
    )


def _of_files(folder: str) -> list[AudioLabel]:
    named = [(name, mid) for _, name, mid, *_ in csv_rows(folder, "fsd50k_vocabulary.csv", columns=3)]
    return ontology_labels("fsd50k", named, read_ontology(folder))


def _needs(row: Row, addresses: Mapping[str, str]) -> Iterator[Need]:
    number = row["clip_id"].partition(":")[2]
    folder = _AUDIO["eval" if row["official_split"] == "test" else "dev"][0]
    yield Need(row["clip_id"], "clip", "", f"{_FOLDER}/{folder}/{number}.flac", row["clip_path"])


CORPUS = Corpus(
    name="fsd50k",
    title="FSD50K",
    kind="sounds",
    layout="""\
fsd50k/FSD50K.ground_truth/{dev,eval}.csv, vocabulary.csv  what is heard, and the names of it
fsd50k/FSD50K.metadata/*_clips_info_FSD50K.json            optional: licence and author of each clip
fsd50k/FSD50K.metadata/pp_pnp_ratings_FSD50K.json          optional: which labels are heard most
fsd50k/FSD50K.metadata/collection/                         optional: finer labels
fsd50k/FSD50K.{dev,eval}_audio/                            <number>.wav, or .flac as fetched
                                                           or labels/, metadata/, clips/{dev,eval}/""",
    sources=sources,
    read=read,
    labels=labels,
    official=f"Give the official {_VOCABULARY} (200 classes)",
    vocabulary=Vocabulary(_of_files, _of_corpora),
    fetching=Fetching(
        {"fsd50k": "https://zenodo.org/records/4060432/files"},
        _needs,
        item_bytes=500_000,  # 108 hours in 51,197 clips, zipped
        media=("{fsd50k}/FSD50K.dev_audio.zip", "{fsd50k}/FSD50K.eval_audio.zip"),  # in parts, .z01 and so on
    ),
    annotation_licence="cc-by-4.0",
)
