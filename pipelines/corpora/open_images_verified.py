"""Labels that people looked for in a photo of Open Images and found, or did not: `*human-imagelabels*.csv`.

A label that was found may be there more often than it is annotated; one that was not is surely absent.
"""

import numpy as np
import pyarrow as pa

from pipelines.corpora import csv_stream
from pipelines.corpora.keys import text_keys
from pipelines.corpora.open_images_tables import Wanted, is_of
from pipelines.corpora.records import PHOTOS
from pipelines.corpora.source import rejections
from shards import storage
from shards.rejections import Reason

_FILE = "human-imagelabels"
_COLUMNS = ("ImageID", "LabelName", "Confidence")
_FOUND, _ABSENT = 1.0, 0.0


class Verified:
    """The verified labels of the wanted photos: a few bytes each."""

    def __init__(self, folder: str, name: str, split: str | None, wanted: Wanted) -> None:
        """`folder` holds the files, `name` is how errors call the folder."""
        self.faults: list[pa.RecordBatch] = []
        self._images: list[pa.Array] = []  # ids of photos, each once
        photos, labels, found = [np.empty(0, np.int64)], [np.empty(0, np.int32)], [np.empty(0, bool)]
        numbers: dict[str, int] = {}
        place: np.ndarray | None = None  # of each wanted photo among `self._images`; -1: not met yet
        met = 0
        for file in storage.names(folder):
            if not (file.endswith(".csv") and _FILE in file and is_of(split, file)):
                continue
            path = f"{name}/{file}"
            for rows in csv_stream.read(storage.join(folder, file), path, _COLUMNS):
                self.faults += csv_stream.rejected(rows, path)
                told = csv_stream.numbers(rows.columns["Confidence"])
                is_told = (told == _FOUND) | (told == _ABSENT)
                if not is_told.all():
                    self.faults.append(_faulty(rows.columns.filter(pa.array(~is_told)), path))
                where = wanted.images.find(text_keys(rows.columns["ImageID"]))
                if place is None:
                    place = np.full(len(wanted.images), -1, np.int64)
                chosen = np.flatnonzero((where >= 0) & is_told)
                where, taken = where[chosen], rows.columns.take(pa.array(chosen))
                new, first = np.unique(where, return_index=True)
                fresh = place[new] < 0
                order = np.sort(first[fresh])
                place[where[order]] = met + np.arange(len(order))
                met += len(order)
                self._images.append(taken["ImageID"].take(pa.array(order)))
                photos.append(place[where])
                labels.append(_numbered(taken["LabelName"], numbers))
                found.append(told[chosen] == _FOUND)
        self._names = pa.array(list(numbers), pa.string())
        self._photos, self._labels, self._found = (np.concatenate(parts) for parts in (photos, labels, found))

    @property
    def image_ids(self) -> pa.Array:
        """Of the photos of which something was verified, without the corpus."""
        return pa.concat_arrays(self._images or [pa.array([], pa.string())])

    def columns(self) -> dict[str, pa.Array]:
        """The columns of PHOTOS that the labels decide, in the order of `image_ids`. What was both is not absent."""
        count = len(self.image_ids)
        pairs = self._photos * max(1, len(self._names)) + self._labels
        shown = np.unique(pairs[self._found])
        absent = np.setdiff1d(pairs[~self._found], shown)
        return {
            "not_exhaustive_label_ids": self._lists(shown, count),
            "absent_label_ids": self._lists(absent, count),
        }

    def _lists(self, pairs: np.ndarray, count: int) -> pa.Array:
        """Of sorted pairs of a photo and a label, the labels of each photo."""
        photos, labels = np.divmod(pairs, max(1, len(self._names)))
        ends = np.searchsorted(photos, np.arange(count + 1)).astype(np.int32)
        found = pa.ListArray.from_arrays(ends, self._names.take(pa.array(labels)))
        return found.cast(PHOTOS.field("absent_label_ids").type)


def _numbered(names: pa.Array, numbers: dict[str, int]) -> np.ndarray:
    encoded = names.dictionary_encode()
    known = [numbers.setdefault(name, len(numbers)) for name in encoded.dictionary.to_pylist()]
    return np.array(known, np.int32)[encoded.indices.to_numpy()] if known else np.empty(0, np.int32)


def _faulty(rows: pa.RecordBatch, path: str) -> pa.RecordBatch:
    told = rows.to_pylist()
    details = [f"Confidence {row['Confidence']!r} of {row['LabelName']}: 1 found, 0 not" for row in told]
    return rejections([f"{path}:{row['ImageID']}" for row in told], Reason.BAD_ROW, details)
