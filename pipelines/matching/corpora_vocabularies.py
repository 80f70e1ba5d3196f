"""The vocabularies of corpora in their official layouts, read without their annotations.

`vggsound/vggsound.csv`, the LVIS JSON below `lvis/`, `open_images/class-descriptions-boxable.csv` with an optional
hierarchy JSON, and for further sounds `audioset/` and `fsd50k/` with the files that `read_labels` knows.
"""

import csv
import io
import json
from typing import Any

from pipelines.matching import vocabularies
from pipelines.matching.vocabularies import AudioLabel, Vocabularies, VocabularyError
from shards import storage

_BLOCK_BYTES = 1 << 24
_CATEGORIES = b'"categories"'


def read_corpora(folder: str, audio: tuple[str, ...] = ("vggsound",)) -> Vocabularies:
    """Reads vocabularies from a corpora folder; raises VocabularyError where one asked for is not there."""
    sounds = [AudioLabel(label, "vggsound") for label in _vggsound(folder)] if "vggsound" in audio else []
    for name in ("audioset", "fsd50k"):
        if name in audio:
            sounds += vocabularies.audio_labels(storage.join(folder, name), (name,))
    lvis = storage.join(folder, "lvis")
    categories: dict[int, dict[str, Any]] = {}
    for file in storage.names(lvis):
        if file.endswith(".json"):
            categories |= {entry["id"]: entry for entry in categories_of(storage.join(lvis, file))}
    classes, hierarchy = _open_images(storage.join(folder, "open_images"))
    return vocabularies.joined(
        sounds,
        vocabularies.lvis_labels(categories.values()),
        vocabularies.open_images_labels(classes, hierarchy),
        folder,
    )


def _vggsound(folder: str) -> list[str]:
    """Labels of `id,start,label,split` rows, sorted; commas within a label may be unquoted."""
    url = storage.join(folder, "vggsound", "vggsound.csv")
    if not storage.exists(url):
        raise VocabularyError(f"{url} is not there: it lists VGGSound's labels. Put it there, or leave vggsound out of --audio")
    rows = csv.reader(io.StringIO(storage.read_bytes(url).decode("utf-8-sig"), newline=""))
    return sorted({",".join(row[2:-1]).strip() for row in rows if len(row) >= 4})


def categories_of(url: str) -> list[dict[str, Any]]:
    """The `categories` of an LVIS JSON, found by scanning for their key: a gigabyte of annotations is skipped unparsed."""
    with storage.open_read(url) as file:
        start, tail = 0, b""
        while True:
            block = file.read(_BLOCK_BYTES)
            if not block:
                return []  # a file of images alone, such as lvis_v1_image_info_test_dev.json without categories
            found = (tail + block).find(_CATEGORIES)
            if found >= 0:
                break
            start += len(block)
            tail = (tail + block)[-len(_CATEGORIES) :]
        file.seek(start - len(tail) + found + len(_CATEGORIES))
        text = b""
        while True:
            block = file.read(_BLOCK_BYTES)
            text += block
            value = text[text.find(b":") + 1 :].lstrip()
            try:
                return list(json.JSONDecoder().raw_decode(value.decode("utf-8", "ignore"))[0])
            except ValueError as error:
                if not block:
                    raise VocabularyError(f"{url}: its categories are no JSON list ({error}). Fetch the file again") from error


def _open_images(folder: str) -> tuple[dict[str, str], dict[str, Any] | None]:
    """MID -> name, and the hierarchy where a JSON below the folder is one."""
    classes: dict[str, str] = {}
    hierarchy = None
    for name in storage.names(folder):
        url = storage.join(folder, name)
        if "class-descriptions" in name and name.endswith(".csv"):
            rows = csv.reader(io.StringIO(storage.read_bytes(url).decode("utf-8-sig"), newline=""))
            classes |= {row[0]: row[1] for row in rows if len(row) == 2 and row[0].startswith("/")}
        elif "hierarchy" in name and name.endswith(".json"):
            hierarchy = json.loads(storage.read_bytes(url))
    return classes, hierarchy
