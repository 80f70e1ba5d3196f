"""Open Images' classes: their names for the reader, and as a vocabulary for `avs-data match`."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.corpora.keys import Positions, text_keys
from pipelines.corpora.source import CorpusError, rejections
from pipelines.matching.tree import Tree
from pipelines.matching.vocabularies import VisualLabel, csv_rows, json_file
from shards import storage
from shards.rejections import Reason
from shards.text import read_json

FOLDER = "open_images"
CLASSES = "class-descriptions-boxable.csv"


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


def open_images_labels(classes: dict[str, str], hierarchy: dict[str, Any] | None) -> list[VisualLabel]:
    """Open Images classes, MID -> name; classes that only the hierarchy knows are left out."""
    tree = Tree(classes, _subcategories(hierarchy) if hierarchy else [])
    return [
        VisualLabel("open_images", name, mid, (name,), ("",), ancestors=tree.above(mid))
        for mid, name in sorted(classes.items())
        if name
    ]


def _subcategories(hierarchy: dict[str, Any]) -> list[tuple[str, str]]:
    """(MID, MID right above it by Subcategory), over all places in the hierarchy; parts stand on their own."""
    pairs: list[tuple[str, str]] = []
    waiting = [hierarchy]
    while waiting:
        node = waiting.pop(0)
        below = node.get("Subcategory", [])
        pairs += [(child["LabelName"], node["LabelName"]) for child in below]
        waiting += [*below, *node.get("Chunk", [])]
    return pairs


def of_files(folder: str) -> list[VisualLabel]:
    """From a folder of label files."""
    classes = csv_rows(folder, "openimages_class-descriptions-boxable.csv")
    more = dict(row[:2] for row in csv_rows(folder, "openimages_challenge2019_segmentable300.csv"))
    names = {row[0]: row[1] or more.get(row[0], "") for row in classes if len(row) > 1}
    return open_images_labels(names, json_file(folder, "openimages_bbox_labels_600_hierarchy.json"))


def of_corpora(corpora: str) -> list[VisualLabel]:
    """The class descriptions, and the hierarchy where a JSON beside them is one."""
    folder = storage.join(corpora, FOLDER)
    found = storage.names(folder)
    if not any(name.endswith(CLASSES) for name in found):
        return []
    classes = {
        fields[0]: fields[1]
        for _, _, fields in class_rows(folder, FOLDER)
        if len(fields) == 2 and fields[0].startswith("/")
    }
    trees = [name for name in found if "hierarchy" in name and name.endswith(".json")]
    return open_images_labels(classes, read_json(storage.join(folder, trees[-1])) if trees else None)
