"""Anybody's own photos and sounds: `folder/images.csv` and `folder/sounds.csv`, and the files that they name beside
them.

    images.csv    image,mask,label,licence,author
    sounds.csv    file,start,end,label,licence,author

Files are paths below `folder/`. A mask is an image of the photo's size, white (or its own values) where the object
is, or COCO's JSON: polygons `[[x,y,...],...]` in pixels or run lengths `{"size":[h,w],"counts":...}`, in the column
itself or in a .json file. One row is one object; a photo may have many. Start and end are seconds into the file; both
empty: all of it. Labels are any words: a label map of one's own says what they mean, and knows images as
`folder_images`, sounds as `folder_sounds`.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from pipelines.corpora import clip_lists, licences, names
from pipelines.corpora.clip_files import may_be_media
from pipelines.corpora.corpus import Corpus, Vocabulary
from pipelines.corpora.records import MASKS
from pipelines.corpora.source import Chunk, Source, joined, rejections, unmarked
from pipelines.matching.vocabularies import AudioLabel, VisualLabel
from shards import storage
from shards.rejections import Reason, Rejected

_FOLDER = "folder"
_IMAGES, _SOUNDS = f"{_FOLDER}/images.csv", f"{_FOLDER}/sounds.csv"
_IMAGE_COLUMNS = ("image", "mask", "label", "licence", "author")
_SOUND_COLUMNS = ("file", "start", "end", "label", "licence", "author")
_LONGEST_JSON = 4 << 20  # bytes


def image_sources(corpora: str) -> list[Source]:
    """`images.csv`, where it is there."""
    return [Source("folder_images", _IMAGES, None)] if storage.exists(storage.join(corpora, _IMAGES)) else []


def sound_sources(corpora: str) -> list[Source]:
    """`sounds.csv`, where it is there."""
    return [Source("folder_sounds", _SOUNDS, None)] if storage.exists(storage.join(corpora, _SOUNDS)) else []


def read_images(source: Source, corpora: str) -> Iterator[Chunk]:
    """MASKS of `images.csv`, in its order. A mask's id is a hash of what its row says of the photo."""
    there = _there(corpora)
    kept: list[dict[str, Any]] = []
    rejected, lost = [], []
    for line, row in clip_lists.rows(corpora, source.path, _IMAGE_COLUMNS):
        try:
            if isinstance(row, Rejected):
                raise row
            kept.append(_mask(row, corpora, there))
        except Rejected as error:
            rejected.append(rejections([f"{source.path}:{line}"], error.reason, [error.detail]))
            if not isinstance(row, Rejected):
                lost.append(_unmarked(rejected[-1], row))
    batch = pa.RecordBatch.from_pylist(
        [{name: row.get(name) for name in MASKS.names} for row in kept], schema=MASKS
    )
    size = storage.size(storage.join(corpora, source.path))
    part = Chunk(batch, joined(rejected), len(kept) + len(rejected), size)
    yield part._replace(unmarked=pa.concat_batches(lost)) if lost else part


def read_sounds(source: Source, corpora: str) -> Iterator[Chunk]:
    """CLIPS of `sounds.csv`, in its order. All clips of a file are of one recording."""
    there = _there(corpora)
    clips = clip_lists.Clips(source.path)
    for line, row in clip_lists.rows(corpora, source.path, _SOUND_COLUMNS):
        try:
            if isinstance(row, Rejected):
                raise row
            clips.add(_clip(row, there))
        except Rejected as error:
            clips.reject(line, error)
    yield clips.chunk(storage.size(storage.join(corpora, source.path)))


def _mask(row: Mapping[str, str], corpora: str, there: set[str]) -> dict[str, Any]:
    """A row of MASKS. Raises Rejected."""
    image, mask, label = row["image"], row["mask"], row["label"]
    _check(image, "image")
    if not label:
        raise Rejected(Reason.BAD_ROW, f"{image} has no label")
    shape: bytes | None = None
    if mask[:1] in ("[", "{"):
        shape = mask.encode()
    else:
        _check(mask, "mask")
        if mask.lower().endswith(".json") and mask in there:
            url = storage.join(corpora, _FOLDER, mask)
            if storage.size(url) > _LONGEST_JSON:
                raise Rejected(Reason.BAD_ROW, f"{mask} has more than {_LONGEST_JSON} bytes")
            shape = storage.read_bytes(url).strip() or b"null"
    number = hashlib.sha256("\n".join((mask, label)).encode()).hexdigest()[:12]
    return {
        "mask_id": f"folder_images:{image}_{number}",
        "corpus": "folder_images",
        "image_id": f"folder_images:{image}",
        "image_path": f"{_FOLDER}/{image}" if image in there else None,
        "photo_keys": [],
        "label_id": label,
        "label": label,
        "segmentation": shape,
        "mask_path": f"{_FOLDER}/{mask}" if shape is None and mask in there else None,
        **_terms(row),
    }


def _unmarked(rejected: pa.RecordBatch, row: Mapping[str, str]) -> pa.RecordBatch:
    """UNMARKED of a rejected row; one without a label may be about anything in the photo."""
    told = [
        f"folder_images:{row['image']}" if row["image"] else None,
        row["label"] or None,
        row["label"] or None,
    ]
    return unmarked(rejected, "folder_images", *(pa.array([value], pa.string()) for value in told))


def _clip(row: Mapping[str, str], there: set[str]) -> dict[str, Any]:
    """A row of CLIPS. Raises Rejected."""
    file, label = row["file"], row["label"]
    _check(file, "file")
    if not may_be_media(file):
        raise Rejected(Reason.BAD_ROW, f"{file} is by its name neither sound nor video")
    if not label:
        raise Rejected(Reason.BAD_ROW, f"{file} has no label")
    start_s, end_s = (_seconds(row[name], file, name) for name in ("start", "end"))
    if end_s is not None and end_s <= (start_s or 0.0):
        raise Rejected(
            Reason.BAD_ROW, f"{file} from {start_s or 0:g} to {end_s:g} s: the end comes after the start"
        )
    return {
        "clip_id": f"folder_sounds:{file}"
        + ("" if start_s is None and end_s is None else f"@{start_s or 0:g}"),
        "corpus": "folder_sounds",
        "video_id": f"folder_sounds:{file}",
        "start_s": start_s or 0.0,
        "label_ids": [label],
        "labels": [label],
        "split_is_final": False,
        "clip_path": f"{_FOLDER}/{file}" if file in there else None,
        "part_start_s": start_s if end_s is None else start_s or 0.0,
        "part_end_s": end_s,
        "is_padded": False,
        **{name: value for name, value in _terms(row).items() if name != "licence_url"},
    }


def _terms(row: Mapping[str, str]) -> dict[str, str | None]:
    licence = row["licence"]
    return {
        "licence": licences.normalise(licence) or licence or None,
        "licence_url": licence if licence.startswith(("http://", "https://")) else None,
        "author": row["author"] or None,
    }


def _seconds(text: str, file: str, name: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise Rejected(Reason.BAD_ROW, f"{name} {text!r:.40} of {file}: seconds from 0 on are needed")
    return value


def _check(path: str, name: str) -> None:
    """Raises Rejected for what is no path below the folder."""
    if not path:
        raise Rejected(Reason.BAD_ROW, f"{name} is empty")
    if "|" in path or not all(map(names.is_safe, path.split("/"))):
        rule = f"a path below {_FOLDER}/ without '..' and '|'; of each part, {names.RULE}"
        raise Rejected(Reason.HOSTILE_NAME, f"{name} {path!r:.200}: {rule}")


def _there(corpora: str) -> set[str]:
    return set(names.tree(storage.join(corpora, _FOLDER)))


def _labels(corpora: str, path: str, columns: tuple[str, ...]) -> list[str]:
    if not storage.exists(storage.join(corpora, path)):
        return []
    rows = [row for _, row in clip_lists.rows(corpora, path, columns) if not isinstance(row, Rejected)]
    return sorted({row["label"] for row in rows if row["label"]})


def _seen(corpora: str) -> list[VisualLabel]:
    found = _labels(corpora, _IMAGES, _IMAGE_COLUMNS)
    return [VisualLabel("folder_images", label, label, (label,), ("",)) for label in found]


def _heard(corpora: str) -> list[AudioLabel]:
    return [AudioLabel(label, "folder_sounds") for label in _labels(corpora, _SOUNDS, _SOUND_COLUMNS)]


IMAGES = Corpus(
    name="folder_images",
    title="Own images",
    kind="images",
    layout=f"""\
{_IMAGES}  {",".join(_IMAGE_COLUMNS)}: one row an object
{_FOLDER}/            the photos and masks that it names""",
    sources=image_sources,
    read=read_images,
    vocabulary=Vocabulary(lambda folder: [], _seen),
)
SOUNDS = Corpus(
    name="folder_sounds",
    title="Own sounds",
    kind="sounds",
    layout=f"""\
{_SOUNDS}  {",".join(_SOUND_COLUMNS)}: seconds, both empty for all of a file
{_FOLDER}/            the files that it names""",
    sources=sound_sources,
    read=read_sounds,
    vocabulary=Vocabulary(lambda folder: [], _heard),
)
