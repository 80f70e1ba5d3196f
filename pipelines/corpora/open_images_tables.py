"""The tables beside Open Images' segmentations: class names, boxes and photos (only the rows needed)."""

import csv
import io
import itertools
from collections.abc import Iterator
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.corpora import csv_stream, licences
from pipelines.corpora.keys import Positions, distinct, text_keys
from pipelines.corpora.records import MASKS
from pipelines.corpora.source import CorpusError, rejections, unmarked
from shards import storage
from shards.hashing import mix64
from shards.rejections import Reason

BOX = ("BoxXMin", "BoxXMax", "BoxYMin", "BoxYMax")
MASK_COLUMNS = ("MaskPath", "ImageID", "LabelName", *BOX)
_BOXES_BOX = ("XMin", "XMax", "YMin", "YMax")
_BOXES_COLUMNS = ("ImageID", "LabelName", *_BOXES_BOX, "IsGroupOf", "IsDepiction")
_IMAGES_COLUMNS = ("ImageID", "OriginalURL", "License", "Author")
CLASSES = "class-descriptions-boxable.csv"
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


class Labels:
    """The display name of each class (MID), null where it is empty. A header is passed over."""

    def __init__(self, folder: str, name: str) -> None:
        """`folder` holds the file, `name` is how errors call the folder."""
        self.faults: list[pa.RecordBatch] = []
        mids, display_names = [], []
        for path, number, fields in class_rows(folder, name):
            if len(fields) != 2 or not fields[0]:
                text = f"{fields!r}: a class and its name are needed"
                self.faults.append(rejections([f"{path}:{number}"], Reason.BAD_ROW, [text]))
            elif fields[0] != "LabelName":
                mids.append(fields[0])
                display_names.append(fields[1] or None)
        self.names = pa.array(display_names, pa.string())
        self._positions = Positions(text_keys(pa.array(mids, pa.string())))

    def find(self, mids: pa.StringArray) -> np.ndarray:
        """(n,) int64 positions in `names`, -1 for a class that is not there."""
        classes = mids.dictionary_encode()
        return self._positions.find(text_keys(classes.dictionary))[classes.indices.to_numpy()]


def class_rows(folder: str, name: str) -> Iterator[tuple[str, int, list[str]]]:
    """File, line number and fields of each row of the class descriptions; CorpusError where there are none.

    Args:
        folder: holds the files. name: how errors call it.
    """
    found = [file for file in storage.names(folder) if file.endswith(CLASSES)]
    if not found:
        raise CorpusError(
            name,
            "class names",
            f"no file that ends in {CLASSES}",
            f"Put {CLASSES} or oidv7-{CLASSES} beside the segmentations",
        )
    for file in found:
        path = f"{name}/{file}"
        rows = list(_lines(storage.read_bytes(storage.join(folder, file)), path))
        if not any(len(fields) == 2 and fields[0].startswith("/") for _, fields in rows):
            number, fields = rows[0]
            raise CorpusError(
                path,
                f"line {number}",
                f"{','.join(fields)[:100]!r}: neither this nor any other row is a class and its name, as /m/0bt9lr,Dog",
                f"Give the official {CLASSES}, as it was downloaded",
            )
        for number, fields in rows:
            yield path, number, fields


def _lines(content: bytes, path: str) -> Iterator[tuple[int, list[str]]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(path, f"byte {error.start}", "not UTF-8 text", "Download it again") from error
    if not text.strip():
        raise CorpusError(path, "line 1", "the file is empty", "Download it again")
    for number, fields in enumerate(csv.reader(io.StringIO(text, newline="")), start=1):
        if any(fields):
            yield number, [field.strip() for field in fields]


class Boxes:
    """IsGroupOf and IsDepiction of the wanted boxes; all null where there is no box file."""

    def __init__(self, folder: str, name: str, split: str | None, wanted: Wanted) -> None:
        self.faults: list[pa.RecordBatch] = []
        self.unmarked: list[pa.RecordBatch] = []  # whose box is faulty, so that it may be of a group
        keys = [np.empty(0, np.uint64)]
        flags: dict[str, list[pa.Array]] = {"IsGroupOf": [], "IsDepiction": []}
        for file in storage.names(folder):
            if not (file.endswith(BOXES) and is_of(split, file)):
                continue
            path = f"{name}/{file}"
            for rows in csv_stream.read(storage.join(folder, file), path, _BOXES_COLUMNS):
                self.faults += csv_stream.rejected(rows, path)
                image_keys = text_keys(rows.columns["ImageID"])
                coordinates = np.stack([csv_stream.numbers(rows.columns[column]) for column in _BOXES_BOX])
                known = np.isfinite(coordinates).all(axis=0)
                if not known.all():
                    bad = rows.columns.filter(pa.array(~known))
                    rejected = _bad_boxes(bad, path)
                    self.faults.append(rejected)
                    image_ids = pc.binary_join_element_wise("open_images:", bad["ImageID"], "")
                    mids = bad["LabelName"]
                    self.unmarked.append(unmarked(rejected, "open_images", image_ids, mids, mids))
                for chosen, millionths in _roundings(coordinates):
                    mids = rows.columns["LabelName"].take(pa.array(chosen))
                    found = box_keys(image_keys[chosen], mids, millionths)
                    hit = known[chosen] & (wanted.boxes.find(found) >= 0)
                    keys.append(found[hit])
                    for column, values in flags.items():
                        values.append(_flag(rows.columns[column].take(pa.array(chosen[hit]))))
        self._positions = Positions(np.concatenate(keys))
        self._flags = {
            column: pa.concat_arrays(values or [pa.nulls(0, pa.bool_())]) for column, values in flags.items()
        }

    def columns(self, keys: np.ndarray) -> dict[str, pa.Array]:
        """The columns of MASKS that the boxes with these `box_keys` decide."""
        positions = self._positions.find(keys)
        found = pa.array(positions, mask=positions < 0)
        return {
            "is_group_of": self._flags["IsGroupOf"].take(found),
            "is_depiction": self._flags["IsDepiction"].take(found),
        }


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
