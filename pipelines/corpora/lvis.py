"""LVIS v1: `lvis/*.json` and COCO photos in `lvis/images/{train2017,val2017}/`, or where COCO's lie.

Format: https://www.lvisdataset.org/dataset (COCO's, with `coco_url` in place of `file_name`).
"""

import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from pipelines.corpora import coco_json, coco_photos
from pipelines.corpora.corpus import Corpus, Fetching, Vocabulary
from pipelines.corpora.source import Source
from pipelines.matching.vocabularies import VisualLabel, json_file
from pipelines.matching.wording import sense
from shards import storage

_NAME_BEHIND_SENSE = re.compile(r"(?<=\)) ")
_FORMAT = coco_json.CocoJson("lvis", coco_photos.ImageByUrl, ("lvis/images", "coco", "coco/images"))


def sources(corpora: str) -> list[Source]:
    """The annotation files, sorted. Those named `image_info` hold photos without annotations: left out."""
    found = storage.names(storage.join(corpora, "lvis"))
    paths = [f"lvis/{name}" for name in found if name.endswith(".json") and "image_info" not in name]
    return [Source("lvis", path, coco_json.split_of(path)) for path in paths]


read = _FORMAT.read


def lvis_labels(categories: Iterable[dict[str, Any]]) -> list[VisualLabel]:
    """LVIS categories; a synonym that repeats the name is dropped."""
    labels = []
    for entry in sorted(categories, key=lambda entry: int(entry["id"])):
        names_of = _NAME_BEHIND_SENSE.split(entry["name"])  # monitor_(computer_equipment) computer_monitor
        written = list(dict.fromkeys([*names_of, *entry.get("synonyms", [])]))
        names, senses = zip(*(sense(name) for name in written), strict=True)
        labels.append(
            VisualLabel(
                "lvis",
                entry["name"],
                str(entry["id"]),
                names,
                senses,
                entry.get("def") or "",
                entry.get("synset") or "",
                photos=int(entry.get("image_count") or 0),
            )
        )
    return labels


def _vocabulary(corpora: str) -> list[VisualLabel]:
    found = {
        int(entry["id"]): entry
        for source in sources(corpora)
        for entry in coco_json.categories(source, corpora, dict[str, Any])
    }
    return lvis_labels(found.values())


# Some of COCO 2017's categories whose ids LVIS v1 gives to other things.
_COCO = {
    "1": "person",
    "2": "bicycle",
    "3": "car",
    "6": "bus",
    "8": "truck",
    "17": "cat",
    "18": "dog",
    "49": "knife",
}


def _guess(names: Mapping[str, str]) -> str:
    if any(names.get(number) == name for number, name in _COCO.items()):
        return "COCO 2017's own category ids"
    return "LVIS v0.5" if names.get("1") == "acorn" else ""


CORPUS = Corpus(
    name="lvis",
    title="LVIS",
    kind="images",
    layout="""\
lvis/lvis_v1_train.json, lvis_v1_val.json  annotations; any *.json but *image_info*
lvis/images/{train2017,val2017}/           COCO's photos""",
    sources=sources,
    read=read,
    labels=lambda corpora: coco_json.labels(sources(corpora), corpora),
    official="Give the official lvis_v1_train.json and lvis_v1_val.json (1,203 categories)",
    numbered=True,
    guess=_guess,
    vocabulary=Vocabulary(
        lambda folder: lvis_labels(json_file(folder, "lvis_v1_categories.json") or []), _vocabulary
    ),
    fetching=Fetching(
        {"lvis": "https://dl.fbaipublicfiles.com/LVIS", "coco": "http://images.cocodataset.org"},
        partial(coco_json.needs, folder="lvis/images"),
        item_bytes=160_000,  # COCO 2017 has 123,287 photos in 19 GB
    ),
    usual=True,
    id_space="coco",
    annotation_licence="cc-by-4.0",
)
