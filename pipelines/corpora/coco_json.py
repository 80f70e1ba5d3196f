"""COCO's JSON, as COCO itself and LVIS write it: photos, categories and annotations, read as a stream.

Annotation ids need to be unique within a file only, so a mask's id holds its image's: `<corpus>:<image>_<annotation>`.

A photo may name the categories of which it shows more than is annotated, and those that it surely does not show.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.corpora import licences, names
from pipelines.corpora.corpus import NamedLabel, Need, Row
from pipelines.corpora.json_stream import Block, JsonStream, fields
from pipelines.corpora.keys import Positions, text_keys
from pipelines.corpora.records import MASKS, PHOTOS
from pipelines.corpora.source import Chunk, CorpusError, Source, batch, joined, rejections, sift, unmarked
from shards import storage
from shards.rejections import Reason

_SPLITS = {
    "train": "train",
    "val": "validation",
    "test": "test",
}  # the word in the file's name -> as we call it
_FLICKR_ID = re.compile(r"flickr\.com/(?:[^?]*/)?(\d+)_[^/]*$")

Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Pixels = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class _Licence(msgspec.Struct, gc=False):
    id: Id
    name: str | None = None
    url: str | None = None


class Category(msgspec.Struct, gc=False):
    id: Id
    name: str | None = None
    synset: str | None = None


class _Image(msgspec.Struct, gc=False):
    """A photo. `url`: its address, or as much of it as the file tells."""

    in_split_folder: ClassVar[bool] = False  # a mere file name is one of its split's folder

    id: Id
    width: Pixels
    height: Pixels
    flickr_url: str | None = None
    license: int | None = None
    not_exhaustive_category_ids: Sequence[Id] | None = None
    neg_category_ids: Sequence[Id] | None = None

    @property
    def url(self) -> str:
        raise NotImplementedError


class ImageByUrl(_Image, gc=False, kw_only=True):
    """As LVIS has it: `coco_url` tells the place."""

    coco_url: str

    @property
    def url(self) -> str:
        return self.coco_url


class ImageByName(_Image, gc=False, kw_only=True):
    """As COCO has it: a file name, and mostly a `coco_url`, which tells the folder, too."""

    in_split_folder: ClassVar[bool] = True

    file_name: str
    coco_url: str | None = None

    @property
    def url(self) -> str:
        return self.coco_url or self.file_name


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
    image_type: type[_Image]
    folders: tuple[str, ...]

    def read(self, source: Source, corpora: str) -> Iterator[Chunk]:
        """MASKS of one annotation file, a block at a time, in the file's order.

        The file is read once where `annotations` come after the three tables they point into, else twice.
        """
        photos = _PhotoFiles(corpora, self.folders)
        types: dict[str, Any] = {"licenses": _Licence, "categories": Category, "images": self.image_type}
        with storage.open_read(storage.join(corpora, source.path)) as file:
            stream = JsonStream(file, source.path)
            tables: Tables = {}
            images = _Images(source, photos)
            later, found = None, set()
            for key in stream.keys():  # noqa: SIM118
                found.add(key)
                if key == "images":
                    images = _Images(source, photos)
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
    place = "/".join(_place(row["image_url"], row["annotation_split"]))
    yield Need(
        row["image_id"],
        "photo",
        f"{addresses['coco']}/{place}",
        f"{folder}/{place}",
        row["image_path"],
        (row["photo_keys"] or [row["image_id"]])[0],
        also_at=f"{also}/{place}" if also else "",
    )


def _annotations(stream: JsonStream, source: Source, tables: Tables, images: "_Images") -> Iterator[Chunk]:
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


class _PhotoFiles:
    """The photos that are there, `FOLDER/SPLIT/FILE`: 8 bytes each, for there may be millions."""

    def __init__(self, corpora: str, folders: Iterable[str]) -> None:
        self._keys: list[tuple[str, np.ndarray]] = []
        for folder in folders:
            for name in storage.listing(storage.join(corpora, folder))[1]:
                files = storage.listing(storage.join(corpora, folder, name))[0]
                self._keys.append((folder, np.sort(_keys(f"{name}/{file}" for file in files))))

    def paths(self, places: list[str]) -> list[str | None]:
        """Where photos are that an address names `SPLIT/FILE`, in the first folder that has it; None: nowhere."""
        found: list[str | None] = [None] * len(places)
        keys = _keys(places)
        for folder, known in reversed(self._keys):
            at = np.searchsorted(known, keys)
            for row in np.flatnonzero(known.take(at, mode="clip") == keys) if len(known) else ():
                found[row] = f"{folder}/{places[row]}"
        return found


def _keys(names: Iterable[str]) -> np.ndarray:
    """Of names that need not be UTF-8 on a disk."""
    return text_keys(pa.array([name.encode(errors="surrogateescape") for name in names], pa.binary()))


_OF_PHOTOS = {"id": pa.int64(), "is_safe": pa.bool_(), "license": pa.int64()}


class _Images:
    """The file's photos: where each id is, and the columns of MASKS that a photo decides.

    They are taken block by block, for those of a whole file are held at once; `complete` comes before all else.
    """

    def __init__(self, source: Source, photos: _PhotoFiles) -> None:
        self._source, self._files = source, photos
        self._blocks: list[dict[str, pa.Array]] = []

    def take(self, block: Block[_Image]) -> Block[_Image]:
        """The block without its rows."""
        rows, split = block.rows, self._source.split
        files = [_place(row.url, split if row.in_split_folder else None) for row in rows]
        columns = {
            "id": [row.id for row in rows],
            "is_safe": [len(file) == 2 and all(map(names.is_safe, file)) for file in files],
            "license": [row.license for row in rows],
            "image_id": [f"{self._source.corpus}:{row.id}" for row in rows],
            "image_path": self._files.paths(["/".join(file) for file in files]),
            "image_url": [row.url for row in rows],
            "photo_keys": [_photo_keys(row) for row in rows],
            "width": [row.width for row in rows],
            "height": [row.height for row in rows],
        }
        made = {
            name: pa.array(values, _OF_PHOTOS.get(name) or MASKS.field(name).type)
            for name, values in columns.items()
        }
        made["not_exhaustive_label_ids"] = _label_ids([row.not_exhaustive_category_ids for row in rows])
        made["absent_label_ids"] = _label_ids([row.neg_category_ids for row in rows])
        self._blocks.append(made)
        return Block([], block.faults)

    def complete(self, terms: Mapping[int, _Licence]) -> None:
        """All blocks as one, with the licences that they name."""
        if not self._blocks:
            self.take(Block([], []))
        joined_ = {
            name: pa.concat_arrays([block.pop(name) for block in self._blocks]) for name in [*self._blocks[0]]
        }
        self._blocks.clear()
        ids = joined_.pop("id").to_numpy()
        self.positions = Positions(ids)
        self.is_safe = joined_.pop("is_safe").to_numpy(zero_copy_only=False)
        self.urls = joined_["image_url"]
        again = self.positions.find(ids)
        self._is_first = again == np.arange(len(ids))
        self._absent = joined_.pop("absent_label_ids")
        licence = joined_.pop("license").dictionary_encode()
        named = [terms.get(number) for number in licence.dictionary.to_pylist()]
        terms_of = [
            term and (licences.normalise(term.url) or licences.normalise(term.name)) for term in named
        ]
        self.columns = joined_ | {
            "licence": pa.array(terms_of, pa.string()).take(licence.indices),
            "licence_url": pa.array([term and term.url for term in named], pa.string()).take(licence.indices),
        }
        self.is_twofold = np.zeros(len(ids), dtype=bool)  # listed again, as another photo
        for row in np.flatnonzero(~self._is_first).tolist():
            first = int(again[row])
            if self._photo(first) != self._photo(row):
                self.is_twofold[first] = True

    def _photo(self, row: int) -> tuple[object, ...]:
        """What makes two rows the same photo with the same promises."""
        lists = (self.columns["not_exhaustive_label_ids"][row].as_py(), self._absent[row].as_py())
        sizes = (self.columns[name][row].as_py() for name in ("image_url", "width", "height"))
        return *sizes, *(None if ids is None else sorted(ids) for ids in lists)

    def photos(self, split: str | None) -> pa.RecordBatch:
        """PHOTOS of the file, all but those that are listed again as another photo."""
        columns = {
            **self.columns,
            "absent_label_ids": self._absent,
            "corpus": pa.repeat(self._source.corpus, len(self._absent)),
            "annotation_split": pa.repeat(pa.scalar(split, pa.string()), len(self._absent)),
        }
        return batch(columns, PHOTOS).filter(pa.array(self._is_first & ~self.is_twofold))


def _place(url: str, split: str | None) -> list[str]:
    """Folder and file name; COCO's folder of the split, where an address does not name it."""
    parts = url.rsplit("/", 2)[-2:] if "://" in url or not split else url.split("/")
    folder = {"train": "train2017", "validation": "val2017"}.get(split or "", "")
    return [folder, *parts] if len(parts) == 1 and folder else parts


def _label_ids(lists: Sequence[Sequence[int] | None]) -> pa.ListArray:
    """Lists of category ids as lists of text; null stays null."""
    ends = np.cumsum([len(ids or ()) for ids in lists], dtype=np.int32)
    numbers = np.fromiter(chain.from_iterable(ids or () for ids in lists), np.int64)
    return pa.ListArray.from_arrays(
        pa.array(np.concatenate([np.zeros(1, np.int32), ends])),
        pc.cast(pa.array(numbers), pa.string()),
        mask=pa.array([ids is None for ids in lists], pa.bool_()),
    )


def _photo_keys(image: _Image) -> list[str]:
    flickr = _FLICKR_ID.search(image.flickr_url or "")
    return [f"coco:{image.id}"] + ([f"flickr:{flickr[1]}"] if flickr else [])


def _part(
    block: Block[_Annotation], source: Source, categories: _CategoryTable, images: _Images, position: int
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
