"""COCO 2017: `coco/annotations/instances_{train,val}2017.json`, photos in `coco/{train,val}2017/` or where LVIS's lie.

Format: https://cocodataset.org/#format-data. Its 80 categories have ids from 1 to 90 with gaps: an id is no rank. A
region that is a crowd (`iscrowd`, run lengths) is many objects under one mask. Its photos are those of LVIS, by the
same numbers.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from pipelines.corpora import coco_json, coco_photos
from pipelines.corpora.corpus import Corpus, Fetching, Vocabulary
from pipelines.corpora.source import Source
from pipelines.matching.vocabularies import VisualLabel, json_file
from shards import storage

_FORMAT = coco_json.CocoJson("coco", coco_photos.ImageByName, ("coco", "coco/images", "lvis/images"))
_START, _END = "instances_", ".json"
read = _FORMAT.read


def sources(corpora: str) -> list[Source]:
    """The annotation files, sorted: in `coco/annotations/`, or in `coco/` itself."""
    for folder in ("coco/annotations", "coco"):
        found = storage.names(storage.join(corpora, folder))
        paths = [f"{folder}/{name}" for name in found if name.startswith(_START) and name.endswith(_END)]
        if paths:
            return [Source("coco", path, coco_json.split_of(path)) for path in paths]
    return []


def coco_labels(named: Mapping[str, str], meanings: Mapping[str, str]) -> list[VisualLabel]:
    """Labels from id -> name and name -> meaning."""
    return [
        VisualLabel("coco", name, number, (name,), ("",), meanings.get(name, ""))
        for number, name in sorted(named.items(), key=lambda one: int(one[0]))
    ]


def _of_files(folder: str) -> list[VisualLabel]:
    found: dict[str, Any] = json_file(folder, "coco_to_synset.json") or {}
    return coco_labels(
        {str(about["coco_cat_id"]): name for name, about in found.items()},
        {name: about["meaning"] for name, about in found.items()},
    )


def _vocabulary(corpora: str) -> list[VisualLabel]:
    found = coco_json.labels(sources(corpora), corpora)
    return coco_labels({label.source_id: label.name for label in found}, {})


def _guess(names: Mapping[str, str]) -> str:
    return "LVIS's ids" if names.get("378") == "dog" or names.get("1") == "aerosolcan" else ""


CORPUS = Corpus(
    name="coco",
    title="COCO",
    kind="images",
    layout="""\
coco/annotations/instances_{train,val}2017.json  annotations
coco/{train,val}2017/                            photos; also read in coco/images/ and lvis/images/""",
    sources=sources,
    read=read,
    labels=lambda corpora: coco_json.labels(sources(corpora), corpora),
    official="Give the official instances_train2017.json and instances_val2017.json (80 categories)",
    numbered=True,
    guess=_guess,
    vocabulary=Vocabulary(_of_files, _vocabulary),
    fetching=Fetching(
        {"coco": "http://images.cocodataset.org"},
        partial(coco_json.needs, folder="coco", also="lvis/images"),
        item_bytes=160_000,  # 123,287 photos in 19 GB
    ),
    id_space="coco",
    marks_all=True,
    annotation_licence="cc-by-4.0",
)
