"""COCO's JSON, as COCO itself and LVIS write it: photos, categories and annotations, read as a stream.

Annotation ids need to be unique within a file only, so a mask's id holds its image's: `<corpus>:<image>_<annotation>`.

A photo may name the categories of which it shows more than is annotated, and those that it surely does not show.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.corpora import names
from pipelines.corpora.coco_photos import Id, Image, Licence, PhotoFiles, Photos, place
from pipelines.corpora.corpus import NamedLabel, Need, Row
from pipelines.corpora.json_stream import Block, JsonStream, fields
from pipelines.corpora.keys import Positions
from pipelines.corpora.records import MASKS
from pipelines.corpora.source import Chunk, CorpusError, Source, batch, joined, rejections, sift, unmarked
from shards import storage
from shards.rejections import Reason

_SPLITS = {
    "train": "train",
    "val": "validation",
    "test": "test",
}  # the word in the file's name -> as we call it


class Category(msgspec.Struct, gc=False):
    id: Id
    name: str | None = None
    synset: str | None = None


class _Annotation(msgspec.Struct, gc=False):
    id: Id
    image_id: Id
    category_id: Id
    segmentation: msgspec.Raw
    iscrowd: bool | int | None = None


Tables = dict[str, list[Block]]


@dataclass(frozen=True)
class CocoJson:
    """One corpus in this format.

    Args:
        corpus: its name.
        image_type: what a photo of its files is.
        folders: below the corpora folder, where photos are looked for, in this order.
    """

    corpus: str
    image_type: type[Image]
    folders: tuple[str, ...]

    def read(self, source: Source, corpora: str) -> Iterator[Chunk]:
        """MASKS of one annotation file, a block at a time, in the file's order.

        The file is read once where `annotations` come after the three tables they point into, else twice.
        """
        photos = PhotoFiles(corpora, self.folders)
        types: dict[str, Any] = {"licenses": Licence, "categories": Category, "images": self.image_type}
        with storage.open_read(storage.join(corpora, source.path)) as file:
            stream = JsonStream(file, source.path)
            tables: Tables = {}
            images = Photos(source, photos)
            later, found = None, set()
            for key in stream.keys():  # noqa: SIM118
                found.add(key)
                if key == "images":
                    images = Photos(source, photos)
                    tables[key] = [images.take(block) for block in stream.array(types[key])]
                elif key in types:
                    tables[key] = list(stream.array(types[key]))
                elif key == "annotations":
                    if tables.keys() == types.keys():
                        yield from _annotations(stream, source, tables, images)
                    else:
                        later = stream.position
            missing = sorted({"annotations", *types} - found)
            if missing:
                raise CorpusError(
                    source.path,
                    "top level",
                    f"no {', '.join(missing)}; such a file holds annotations, categories, images, licenses",
                    "Give the official annotation file, or take this one out of the folder",
                )
            if later is not None:
                stream.seek(later)
                yield from _annotations(stream, source, tables, images)


def labels(sources: Iterable[Source], corpora: str) -> Iterator[NamedLabel]:
    """Every category of some annotation files."""
    for source in sources:
        for row in categories(source, corpora, Category):
            yield NamedLabel(source.path, source.corpus, str(row.id), row.name or "", row.synset or "")


def categories(source: Source, corpora: str, row_type: Any) -> Iterator[Any]:
    """The categories of an annotation file, in its order; its annotations are passed over, not loaded."""
    with storage.open_read(storage.join(corpora, source.path)) as file:
        stream = JsonStream(file, source.path)
        for key in stream.keys():  # noqa: SIM118
            if key == "categories":
                for block in stream.array(row_type):
                    yield from block.rows
                return


def split_of(path: str) -> str | None:
    """train, validation or test, as the file's name says; None where it does not."""
    words = re.split(r"[^a-z]+", path.rsplit("/", 1)[-1].lower())
    return next((_SPLITS[word] for word in words if word in _SPLITS), None)


def needs(row: Row, addresses: Mapping[str, str], folder: str, also: str = "") -> Iterator[Need]:
    """The photo of a row, to be put below `folder` if it is not wanted below `also`."""
    path = "/".join(place(row["image_url"], row["annotation_split"]))
    yield Need(
        row["image_id"],
        "photo",
        f"{addresses['coco']}/{path}",
        f"{folder}/{path}",
        row["image_path"],
        (row["photo_keys"] or [row["image_id"]])[0],
        also_at=f"{also}/{path}" if also else "",
    )


def _annotations(stream: JsonStream, source: Source, tables: Tables, images: Photos) -> Iterator[Chunk]:
    categories = _CategoryTable(tables["categories"])
    images.complete({row.id: row for block in tables["licenses"] for row in block.rows})
    for key in sorted(tables):
        for block in tables[key]:
            if block.faults:
                rejected = _faults(block, f"{source.path}:{key}")
                yield Chunk(batch({}, MASKS), rejected, len(block.faults), stream.position)
    yield Chunk(batch({}, MASKS), joined([]), 0, stream.position, photos=images.photos(source.split))
    for block in stream.array(_Annotation):
        yield _part(block, source, categories, images, stream.position)


def _faults(block: Block, where: str) -> pa.RecordBatch:
    items = [f"{where}[{fault.index}]" for fault in block.faults]
    return rejections(items, Reason.BAD_ROW, [fault.message for fault in block.faults])


class _CategoryTable:
    def __init__(self, blocks: list[Block[Category]]) -> None:
        rows = [row for block in blocks for row in block.rows]
        self.positions = Positions(np.array([row.id for row in rows], dtype=np.int64))
        self.names = pa.array([row.name for row in rows], pa.string())


def _part(
    block: Block[_Annotation], source: Source, categories: _CategoryTable, images: Photos, position: int
) -> Chunk:
    rows = block.rows
    ids = pa.array([row.id for row in rows], pa.int64())
    image_ids = pa.array([row.image_id for row in rows], pa.int64())
    category_ids = pa.array([row.category_id for row in rows], pa.int64())
    shapes = [bytes(row.segmentation) for row in rows]
    crowds = [
        row.iscrowd if row.iscrowd is None else row.iscrowd in (0, 1) and bool(row.iscrowd) for row in rows
    ]
    image_at = images.positions.find(image_ids.to_numpy())
    category_at = categories.positions.find(category_ids.to_numpy())
    label_ids = pc.cast(category_ids, pa.string())
    mask_ids = pc.binary_join_element_wise(
        f"{source.corpus}:", pc.cast(image_ids, pa.string()), "_", pc.cast(ids, pa.string()), ""
    )
    kept, rejected, failed = sift(
        mask_ids,
        [
            (
                np.array([shape[:1] not in (b"[", b"{") for shape in shapes], dtype=bool),
                Reason.BAD_ROW,
                lambda row: f"segmentation is {shapes[row][:20]!r}: polygons are an array, RLE is an object",
            ),
            (
                np.array([row.iscrowd not in (None, 0, 1) for row in rows], dtype=bool),
                Reason.BAD_ROW,
                lambda row: f"iscrowd is {str(rows[row].iscrowd)[:20]}: 0 or 1",
            ),
            (
                image_at < 0,
                Reason.UNKNOWN_IMAGE,
                lambda row: f"image {image_ids[row]} is not among the file's images",
            ),
            (
                _of(images.is_twofold, image_at),
                Reason.DUPLICATE_ID,
                lambda row: f"the file lists two photos as image {image_ids[row]}",
            ),
            (
                ~_of(images.is_safe, image_at),
                Reason.HOSTILE_NAME,
                lambda row: f"{images.urls[image_at[row]]}: {names.RULE}",
            ),
            (
                category_at < 0,
                Reason.UNKNOWN_LABEL,
                lambda row: f"category {category_ids[row]} is not among the file's categories",
            ),
        ],
    )
    chosen = np.flatnonzero(kept)
    of_image, of_category = pa.array(image_at[chosen]), pa.array(category_at[chosen])
    picked = pa.array(chosen)
    columns: dict[str, pa.Array] = {name: values.take(of_image) for name, values in images.columns.items()}
    columns["mask_id"] = mask_ids.take(picked)
    columns["corpus"] = pa.repeat(source.corpus, len(chosen))
    columns["label_id"] = label_ids.take(picked)
    columns["label"] = categories.names.take(of_category)
    columns["segmentation"] = pa.array(shapes, pa.binary()).take(picked)
    columns["is_crowd"] = pa.array(crowds, pa.bool_()).take(picked)
    columns["annotation_split"] = pa.repeat(pa.scalar(source.split, pa.string()), len(chosen))
    told = [fields(fault.raw, ("image_id", "category_id")) for fault in block.faults]
    faulty = _faults(block, f"{source.path}:annotations")
    return Chunk(
        batch(columns, MASKS),
        joined([faulty, rejected]),
        len(rows) + len(block.faults),
        position,
        _unmarked(
            joined([faulty, rejected]),
            [_id(found.get("image_id")) for found in told] + image_ids.take(failed).to_pylist(),
            [_id(found.get("category_id")) for found in told] + category_ids.take(failed).to_pylist(),
            categories,
            source.corpus,
        ),
    )


def _of(flags: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The flag of each row; where there is no row (-1), any."""
    return flags[rows] if len(flags) else np.zeros(len(rows), dtype=bool)


def _id(value: object) -> int | None:
    """The id that a value of a faulty row means, also where it is written as text or with a point."""
    if isinstance(value, str) and value.strip().isdecimal() and len(value) <= 19:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value < 2**63 else None


def _unmarked(
    rejected: pa.RecordBatch,
    image_ids: list[int | None],
    category_ids: list[int | None],
    categories: _CategoryTable,
    corpus: str,
) -> pa.RecordBatch:
    """UNMARKED of rejected annotations. A category that the file does not list says nothing."""
    numbers = np.array([-1 if number is None else number for number in category_ids], dtype=np.int64)
    at = categories.positions.find(numbers) if len(numbers) else numbers
    known = at >= 0
    return unmarked(
        rejected,
        corpus,
        pa.array([None if number is None else f"{corpus}:{number}" for number in image_ids], pa.string()),
        pa.array(
            [str(number) if ok else None for number, ok in zip(numbers, known, strict=True)], pa.string()
        ),
        categories.names.take(pa.array(at, mask=~known)),
    )
