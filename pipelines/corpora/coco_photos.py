"""The photos of a file in COCO's format: their rows, the columns of MASKS that they decide, where they are."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Annotated, ClassVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.corpora import licences, names
from pipelines.corpora.json_stream import Block
from pipelines.corpora.keys import Positions, text_keys
from pipelines.corpora.records import MASKS, PHOTOS
from pipelines.corpora.source import Source, batch
from shards import storage

_FLICKR_ID = re.compile(r"flickr\.com/(?:[^?]*/)?(\d+)_[^/]*$")

Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Pixels = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class Licence(msgspec.Struct, gc=False):
    id: Id
    name: str | None = None
    url: str | None = None


class Image(msgspec.Struct, gc=False):
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


class ImageByUrl(Image, gc=False, kw_only=True):
    """As LVIS has it: `coco_url` tells the place."""

    coco_url: str

    @property
    def url(self) -> str:
        return self.coco_url


class ImageByName(Image, gc=False, kw_only=True):
    """As COCO has it: a file name, and mostly a `coco_url`, which tells the folder, too."""

    in_split_folder: ClassVar[bool] = True

    file_name: str
    coco_url: str | None = None

    @property
    def url(self) -> str:
        return self.coco_url or self.file_name


class PhotoFiles:
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


def _id(number: int | None) -> int | None:
    """A number that a licence may have; of others there is none."""
    return number if number is not None and 0 <= number < 2**63 else None


def _keys(names: Iterable[str]) -> np.ndarray:
    """Of names that need not be UTF-8 on a disk."""
    return text_keys(pa.array([name.encode(errors="surrogateescape") for name in names], pa.binary()))


_OF_PHOTOS = {"id": pa.int64(), "is_safe": pa.bool_(), "license": pa.int64()}


class Photos:
    """The file's photos: where each id is, and the columns of MASKS that a photo decides.

    They are taken block by block, for those of a whole file are held at once; `complete` comes before all else.
    """

    def __init__(self, source: Source, photos: PhotoFiles) -> None:
        self._source, self._files = source, photos
        self._blocks: list[dict[str, pa.Array]] = []

    def take(self, block: Block[Image]) -> Block[Image]:
        """The block without its rows."""
        rows, split = block.rows, self._source.split
        files = [place(row.url, split if row.in_split_folder else None) for row in rows]
        columns = {
            "id": [row.id for row in rows],
            "is_safe": [len(file) == 2 and all(map(names.is_safe, file)) for file in files],
            "license": [_id(row.license) for row in rows],
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

    def complete(self, terms: Mapping[int, Licence]) -> None:
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


def place(url: str, split: str | None) -> list[str]:
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


def _photo_keys(image: Image) -> list[str]:
    flickr = _FLICKR_ID.search(image.flickr_url or "")
    return [f"coco:{image.id}"] + ([f"flickr:{flickr[1]}"] if flickr else [])
