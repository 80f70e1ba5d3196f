"""The tables beside Open Images' segmentations: boxes and photos (only the rows needed)."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.corpora import csv_stream, licences
from pipelines.corpora.keys import Positions, distinct, text_keys
from pipelines.corpora.open_images_classes import Labels
from pipelines.corpora.records import MASKS, UNMARKED
from pipelines.corpora.source import batch, joined, rejections, unmarked
from shards import storage
from shards.hashing import mix64
from shards.rejections import Reason

BOX = ("BoxXMin", "BoxXMax", "BoxYMin", "BoxYMax")
MASK_COLUMNS = ("MaskPath", "ImageID", "LabelName", *BOX)
_BOXES_BOX = ("XMin", "XMax", "YMin", "YMax")
_FLAGS = ("IsGroupOf", "IsDepiction")
_BOXES_COLUMNS = ("ImageID", "LabelName", *_BOXES_BOX, *_FLAGS)
_IMAGES_COLUMNS = ("ImageID", "OriginalURL", "License", "Author")
BOXES = "-annotations-bbox.csv"
_SPLITS = ("train", "validation", "test")
_FLICKR_ID = r"flickr\.com/(?:[^?]*/)?(?P<id>[0-9]+)_[^/]*$"


def box_keys(image_keys: np.ndarray, mids: pa.StringArray, millionths: np.ndarray) -> np.ndarray:
    """(n,) uint64: a box of a class in an image, its (4, n) coordinates in millionths of the image's sides."""
    classes = mids.dictionary_encode()
    return with_box(mix64(image_keys ^ text_keys(classes.dictionary)[classes.indices.to_numpy()]), millionths)


def with_box(keys: np.ndarray, millionths: np.ndarray) -> np.ndarray:
    """(n,) uint64: each key mixed with its (4, n) coordinates in millionths."""
    for values in np.clip(np.nan_to_num(millionths, nan=-1.0), -1.0, 2e6):  # outside [0, 1e6]: of no box
        keys = mix64(keys ^ values.astype(np.int64).view(np.uint64))
    return keys


def _roundings(coordinates: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and their (4, rows) millionths, each way a writer of six decimals may have rounded what lies half-way."""
    low, high = np.floor(coordinates * 1e6 + 0.499), np.floor(coordinates * 1e6 + 0.501)
    yield np.arange(low.shape[1]), low
    doubtful = np.flatnonzero((low < high).any(axis=0))
    if len(doubtful):
        for up in itertools.product((False, True), repeat=4):
            yield doubtful, np.where(np.array(up)[:, None], high[:, doubtful], low[:, doubtful])


class Wanted:
    """The keys of the photos and boxes that a segmentation file mentions; read when first asked for."""

    def __init__(self, url: str, path: str) -> None:
        self._url, self._path = url, path

    @property
    def images(self) -> Positions:
        return self._keys[0]

    @property
    def boxes(self) -> Positions:
        return self._keys[1]

    @cached_property
    def _keys(self) -> tuple[Positions, Positions]:
        images, boxes = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
        for rows in csv_stream.read(self._url, self._path, MASK_COLUMNS[1:]):
            keys = text_keys(rows.columns["ImageID"])
            coordinates = np.stack([csv_stream.numbers(rows.columns[name]) for name in BOX])
            images.append(keys)
            boxes.append(box_keys(keys, rows.columns["LabelName"], np.rint(coordinates * 1e6)))
        return Positions(distinct(np.concatenate(images))), Positions(distinct(np.concatenate(boxes)))

    def named(self, texts: list[str]) -> list[str]:
        """Those of some texts that are the id of a photo of the file, or the name of a mask of one."""
        ids = sorted({text.strip().partition("_")[0] for text in texts} | {text.strip() for text in texts})
        there = self.images.find(text_keys(pa.array(ids, pa.string()))) >= 0
        return [name for name, found in zip(ids, there, strict=True) if found]


class Boxes:
    """The boxes of the wanted photos: their flags, and the objects that no mask marks.

    Args:
        split: whose tables are read. wanted: whose flags are kept.
    """

    def __init__(self, folder: str, name: str, split: str | None, wanted: Wanted) -> None:
        self._folder, self._name, self._split, self._wanted = folder, name, split, wanted
        self._positions = Positions(np.empty(0, np.uint64))
        self._flags = {column: pa.nulls(0, pa.bool_()) for column in _FLAGS}

    def read(self, labels: Labels, lists: "Lists") -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
        """Go through the box files: faults (REJECTIONS), and UNMARKED; then `columns` tells.

        An object is unmarked where its box is of no mask, whatever its flags, and where its box is faulty, so that
        it may be one of a group.
        """
        keys = [np.empty(0, np.uint64)]
        flags: dict[str, list[pa.Array]] = {column: [] for column in _FLAGS}
        for file in storage.names(self._folder):
            if not (file.endswith(BOXES) and is_of(self._split, file)):
                continue
            path = f"{self._name}/{file}"
            for rows in csv_stream.read(storage.join(self._folder, file), path, _BOXES_COLUMNS):
                for fault in csv_stream.rejected(rows, path):
                    yield fault, batch({}, UNMARKED)
                image_keys = text_keys(rows.columns["ImageID"])
                coordinates = np.stack([csv_stream.numbers(rows.columns[column]) for column in _BOXES_BOX])
                known = np.isfinite(coordinates).all(axis=0)
                if not known.all():
                    bad = rows.columns.filter(pa.array(~known))
                    rejected = _bad_boxes(bad, path)
                    image_ids = pc.binary_join_element_wise("open_images:", bad["ImageID"], "")
                    mids = bad["LabelName"]
                    yield rejected, unmarked(rejected, "open_images", image_ids, mids, mids)
                by_people, by_sam = np.zeros((2, len(known)), bool)
                for chosen, millionths in _roundings(coordinates):
                    mids = rows.columns["LabelName"].take(pa.array(chosen))
                    found = box_keys(image_keys[chosen], mids, millionths)
                    by_people[chosen] |= lists.by_people(found)
                    by_sam[chosen] |= lists.by_sam(found)
                    hit = known[chosen] & (self._wanted.boxes.find(found) >= 0)
                    keys.append(found[hit])
                    for column, values in flags.items():
                        values.append(_flag(rows.columns[column].take(pa.array(chosen[hit]))))
                bare = np.flatnonzero(known & ~by_people & lists.first_here(image_keys))
                yield joined([]), _bare(rows.columns.take(pa.array(bare)), path, labels, by_sam[bare])
        self._positions = Positions(np.concatenate(keys))
        self._flags = {
            column: pa.concat_arrays(values or [pa.nulls(0, pa.bool_())]) for column, values in flags.items()
        }

    def columns(self, keys: np.ndarray) -> dict[str, pa.Array]:
        """The columns of MASKS that the boxes with these `box_keys` decide; all null where there is no box file."""
        positions = self._positions.find(keys)
        found = pa.array(positions, mask=positions < 0)
        return {
            "is_group_of": self._flags["IsGroupOf"].take(found),
            "is_depiction": self._flags["IsDepiction"].take(found),
        }


@dataclass(frozen=True)
class Lists:
    """All lists of masks that a split has: one photo may be in several.

    Attributes:
        own: the one that is read. before: those that tell of a photo instead of it, where they have it.
        people, sam: all of each kind.
    """

    own: Wanted
    before: tuple[Wanted, ...]
    people: tuple[Wanted, ...]
    sam: tuple[Wanted, ...]

    def first_here(self, image_keys: np.ndarray) -> np.ndarray:
        """(n,) bool: photos of this list, and of none before it."""
        if not len(image_keys):  # the lists are read when first asked for
            return np.zeros(0, bool)
        earlier = [one.images.find(image_keys) >= 0 for one in self.before]
        return (self.own.images.find(image_keys) >= 0) & ~np.any(
            [np.zeros(len(image_keys), bool), *earlier], 0
        )

    def by_people(self, keys: np.ndarray) -> np.ndarray:
        """(n,) bool: boxes by their `box_keys` that people drew a mask of; `by_sam`: that SAM did."""
        return _any_box(self.people, keys)

    def by_sam(self, keys: np.ndarray) -> np.ndarray:
        return _any_box(self.sam, keys)


def _any_box(lists: tuple[Wanted, ...], keys: np.ndarray) -> np.ndarray:
    return np.any([np.zeros(len(keys), bool), *(one.boxes.find(keys) >= 0 for one in lists)], axis=0)


def _bare(boxes: pa.RecordBatch, path: str, labels: Labels, by_sam: np.ndarray) -> pa.RecordBatch:
    """UNMARKED of boxes of which people drew no mask, by photo, label and whether SAM did."""
    keys = with_box(text_keys(boxes["ImageID"]) ^ mix64(text_keys(boxes["LabelName"])), by_sam[None, :])
    first = np.sort(np.unique(keys, return_index=True)[1])
    found, places = boxes.take(pa.array(first)), labels.find(boxes["LabelName"])[first]
    names = labels.names.take(pa.array(places, mask=places < 0))
    rows = rejections(
        pc.binary_join_element_wise(path, found["ImageID"], ":").to_pylist(),
        Reason.MASK_MISSING,
        [""] * len(found),
    )
    image_ids = pc.binary_join_element_wise("open_images:", found["ImageID"], "")
    drawn = pc.if_else(pa.array(by_sam[first]), "sam", pa.scalar(None, pa.string()))
    return unmarked(rows, "open_images", image_ids, found["LabelName"], names, drawn)


def is_of(split: str | None, file: str) -> bool:
    """Whether a table may be about a split: not when its name says another one."""
    words = file.replace("_", "-").split("-")
    named = [word for word in words if word in _SPLITS]
    return split is None or not named or split in named


def _flag(values: pa.StringArray) -> pa.BooleanArray:
    """1 is true, 0 is false, anything else (-1: not said) is null."""
    return pc.if_else(
        pc.is_in(values, pa.array(["0", "1"])), pc.equal(values, "1"), pa.scalar(None, pa.bool_())
    )


def _bad_boxes(bad: pa.RecordBatch, path: str) -> pa.RecordBatch:
    rows = bad.to_pylist()
    details = [f"{[row[name] for name in _BOXES_BOX]}: four numbers make a box" for row in rows]
    return rejections([f"{path}:{row['ImageID']}" for row in rows], Reason.BAD_ROW, details)


class Images:
    """Licence, author, address and Flickr id of the wanted photos; all null where there is no image file."""

    def __init__(self, folder: str, name: str, split: str | None, wanted: Wanted) -> None:
        self.faults: list[pa.RecordBatch] = []
        keys = [np.empty(0, np.uint64)]
        columns: dict[str, list[pa.Array]] = {"url": [], "flickr": [], "author": [], "terms": []}
        terms: dict[str, int] = {}  # what the files write -> its number
        for file in storage.names(folder):
            if not (file.endswith(".csv") and "rotation" in file and is_of(split, file)):
                continue
            path = f"{name}/{file}"
            for rows in csv_stream.read(
                storage.join(folder, file), path, _IMAGES_COLUMNS, always_quoted=True
            ):
                self.faults += csv_stream.rejected(rows, path)
                image_keys = text_keys(rows.columns["ImageID"])
                chosen = wanted.images.find(image_keys) >= 0
                keys.append(image_keys[chosen])
                found = rows.columns.filter(pa.array(chosen))
                columns["url"].append(_text_or_null(found["OriginalURL"]))
                columns["flickr"].append(_flickr(found["OriginalURL"]))
                columns["author"].append(_text_or_null(found["Author"]))
                columns["terms"].append(_numbered(found["License"], terms))
        self._positions = Positions(np.concatenate(keys))
        self._url, self._flickr, self._author = (
            _joined(columns.pop(name)) for name in ("url", "flickr", "author")
        )
        self._terms = pa.concat_arrays(columns["terms"] or [pa.array([], pa.int32())])
        self._licence_url = pa.array([term or None for term in terms], pa.string())
        self._licence = pa.array([licences.normalise(term) for term in terms], pa.string())

    def columns(self, keys: np.ndarray) -> dict[str, pa.Array]:
        """The columns of MASKS that the photos with these keys decide."""
        positions = self._positions.find(keys)
        found = pa.array(positions, mask=positions < 0)
        terms, flickr = self._terms.take(found), self._flickr.take(found)
        ends = np.cumsum(flickr.is_valid().to_numpy(zero_copy_only=False), dtype=np.int32)
        photo_keys = pa.ListArray.from_arrays(
            np.concatenate([np.zeros(1, np.int32), ends]), flickr.drop_null()
        )
        return {
            "image_url": self._url.take(found),
            "photo_keys": photo_keys.cast(MASKS.field("photo_keys").type),
            "licence": self._licence.take(terms),
            "licence_url": self._licence_url.take(terms),
            "author": self._author.take(found),
        }


def _text_or_null(texts: pa.StringArray) -> pa.StringArray:
    return pc.if_else(pc.equal(texts, ""), None, texts)


def _flickr(urls: pa.StringArray) -> pa.StringArray:
    photo = pc.struct_field(pc.extract_regex(urls, _FLICKR_ID), "id")
    return pc.binary_join_element_wise("flickr:", photo, "")


def _numbered(texts: pa.StringArray, numbers: dict[str, int]) -> pa.Int32Array:
    """Each text's number; texts met for the first time get the next ones."""
    coded = texts.dictionary_encode()
    known = [numbers.setdefault(text, len(numbers)) for text in coded.dictionary.to_pylist()]
    return pa.array(known, pa.int32()).take(coded.indices)


def _joined(arrays: list[pa.StringArray]) -> pa.StringArray:
    return pa.concat_arrays(arrays or [pa.array([], pa.string())])
