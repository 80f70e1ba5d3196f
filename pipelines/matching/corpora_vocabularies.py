"""The vocabularies of corpora in their official layouts, read without their annotations.

`vggsound/vggsound.csv`, the LVIS JSON below `lvis/`, `open_images/class-descriptions-boxable.csv` with an optional
hierarchy JSON, and for further sounds `audioset/` and `fsd50k/` with the files that `read_labels` knows.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

from pipelines.corpora import vggsound
from pipelines.corpora.json_stream import JsonStream
from pipelines.matching import vocabularies
from pipelines.matching.vocabularies import AudioLabel, VisualLabel, Vocabularies, VocabularyError
from shards import storage
from shards.text import read_json, read_text


def read_corpora(
    folder: str, audio: Iterable[str] = ("vggsound",), visual: Iterable[str] = vocabularies.VISUAL_SOURCES
) -> Vocabularies:
    """Reads vocabularies from a corpora folder.

    Raises VocabularyError where an audio vocabulary asked for is not there, CorpusError where an LVIS file is no JSON
    object.
    """
    ontology = vocabularies.read_ontology(storage.join(folder, "audioset"))
    sounds: list[AudioLabel] = []
    for name in audio:
        if name == "vggsound":
            sounds += [AudioLabel(label, name) for label in _vggsound(folder)]
        else:
            sounds += vocabularies.audio_labels(storage.join(folder, name), name, ontology)
    seen: list[VisualLabel] = []
    if "lvis" in visual:
        seen += vocabularies.lvis_labels(_lvis(storage.join(folder, "lvis")))
    if "open_images" in visual:
        seen += vocabularies.open_images_labels(*_open_images(storage.join(folder, "open_images")))
    return Vocabularies(tuple(sounds), tuple(seen))


def _lvis(folder: str) -> list[dict[str, Any]]:
    """The categories of every annotation file, each once."""
    categories: dict[int, dict[str, Any]] = {}
    for file in storage.names(folder):
        if file.endswith(".json") and "image_info" not in file:
            found = _categories(storage.join(folder, file), f"lvis/{file}")
            categories |= {int(entry["id"]): entry for entry in found}
    return list(categories.values())


def _vggsound(folder: str) -> list[str]:
    """Labels of `id,start,label,split` rows, sorted."""
    url = storage.join(folder, "vggsound", "vggsound.csv")
    if not storage.exists(url):
        raise VocabularyError(
            f"{url} is not there: it lists VGGSound's labels. Put it there, or leave vggsound out of --audio"
        )
    return sorted(vggsound.labels(folder))


def _categories(url: str, name: str) -> Iterator[dict[str, Any]]:
    """The categories of one LVIS JSON; its annotations are passed over, not loaded."""
    with storage.open_read(url) as file:
        stream = JsonStream(file, name)
        for key in stream.keys():  # noqa: SIM118
            if key == "categories":
                for block in stream.array(dict[str, Any]):
                    yield from block.rows
                return


def _open_images(folder: str) -> tuple[dict[str, str], dict[str, Any] | None]:
    """MID -> name, and the hierarchy where a JSON below the folder is one."""
    classes: dict[str, str] = {}
    hierarchy = None
    for name in storage.names(folder):
        url = storage.join(folder, name)
        if "class-descriptions" in name and name.endswith(".csv"):
            rows = csv.reader(io.StringIO(read_text(url), newline=""))
            classes |= {row[0]: row[1] for row in rows if len(row) == 2 and row[0].startswith("/")}
        elif "hierarchy" in name and name.endswith(".json"):
            hierarchy = read_json(url)
    return classes, hierarchy
