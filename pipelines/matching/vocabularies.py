"""The vocabularies to match: audio labels of VGGSound, AudioSet, FSD50K; visual labels of LVIS, Open Images.

Formats: VGGSound https://www.robots.ox.ac.uk/~vgg/data/vggsound/ (id, start, label, split, no header) and its
`stat.csv` (label, clips, group); AudioSet's `ontology.json`; FSD50K's `vocabulary.csv` (index, name, MID); LVIS v1
`categories`; Open Images' `class-descriptions-boxable.csv` (MID, name) and its hierarchy of 600 boxable classes.
"""

import csv
import io
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pipelines.matching.wording import sense
from shards import storage
from shards.errors import AvsError

_NAME_BEHIND_SENSE = re.compile(r"(?<=\)) ")
AUDIO_SOURCES = ("vggsound", "audioset", "fsd50k")


class VocabularyError(AvsError, ValueError):
    """A vocabulary that is missing or not in its format; says which file, and what to do."""


@dataclass(frozen=True)
class AudioLabel:
    """A sound's label. `group` is a group of knowledge/groups.csv, "" where the source has none."""

    label: str
    source: str  # vggsound | audioset | fsd50k
    mid: str = ""  # AudioSet and FSD50K; "" for VGGSound
    group: str = ""


@dataclass(frozen=True)
class VisualLabel:
    """A class of things in pictures, with all that its corpus says about it."""

    source: str  # lvis | open_images
    name: str
    id: str  # LVIS category id | Open Images MID
    names: tuple[str, ...]  # the name, then its synonyms, without their senses
    senses: tuple[str, ...] = ()  # of the name and of each synonym, "" without one
    definition: str = ""
    synset: str = ""
    ancestors: tuple[str, ...] = ()  # names of wider classes, nearest first


@dataclass(frozen=True)
class Vocabularies:
    audio: tuple[AudioLabel, ...]
    visual: tuple[VisualLabel, ...]


def read_labels(folder: str, audio: tuple[str, ...] = ("vggsound",)) -> Vocabularies:
    """Reads vocabularies alone from a folder of label files.

    LVIS and Open Images may be missing one at a time; the hierarchy, the list of segmentable classes and the
    groups of VGGSound only help. Raises VocabularyError where a vocabulary asked for is not there.
    """
    sounds = audio_labels(folder, audio)
    lvis = _json(folder, "lvis_v1_categories.json")
    classes = _csv(folder, "openimages_class-descriptions-boxable.csv")
    more = dict(row[:2] for row in _csv(folder, "openimages_challenge2019_segmentable300.csv"))
    hierarchy = _json(folder, "openimages_bbox_labels_600_hierarchy.json")
    names = {row[0]: row[1] or more.get(row[0], "") for row in classes if len(row) > 1}
    return joined(sounds, lvis_labels(lvis or []), open_images_labels(names, hierarchy), folder)


def joined(
    audio: list[AudioLabel], lvis: list[VisualLabel], open_images: list[VisualLabel], folder: str
) -> Vocabularies:
    """One set of vocabularies, each audio label once; raises VocabularyError where nothing can be seen."""
    if not lvis and not open_images:
        raise VocabularyError(
            f"{folder} holds neither LVIS categories nor Open Images class descriptions: matching needs at least one. "
            "Give the folder that holds lvis_v1_categories.json or openimages_class-descriptions-boxable.csv for "
            "--labels, or the folder above lvis/ and open_images/ for --corpora"
        )
    return Vocabularies(tuple(dict.fromkeys(audio)), (*lvis, *open_images))


def audio_labels(folder: str, audio: tuple[str, ...]) -> list[AudioLabel]:
    """The sounds of the sources named, in that order; raises VocabularyError where a file is missing."""
    groups = _ontology_groups(_json(folder, "audioset_ontology.json") or [])
    sounds = []
    if "vggsound" in audio:
        sounds += vggsound_labels(_csv(folder, "vggsound_stat.csv", columns=3))
    if "audioset" in audio:
        rows = _csv(folder, "audioset_class_labels_indices.csv", columns=3)[1:]
        sounds += [AudioLabel(name, "audioset", mid, groups.get(mid, "")) for _, mid, name, *_ in rows]
    if "fsd50k" in audio:
        rows = _csv(folder, "fsd50k_vocabulary.csv", columns=3)
        sounds += [AudioLabel(name, "fsd50k", mid, groups.get(mid, "")) for _, name, mid, *_ in rows]
    return sounds


# The classes of the AudioSet ontology that name a group of sounds; the nearest one above a class counts.
_ONTOLOGY_GROUPS = {
    "Animal": "animals",
    "Domestic sounds, home sounds": "home",
    "Human sounds": "people",
    "Music": "music",
    "Natural sounds": "nature",
    "Sounds of things": "others",
    "Tools": "tools",
    "Vehicle": "vehicle",
}


def _ontology_groups(ontology: list[dict[str, Any]]) -> dict[str, str]:
    """MID -> group, for every class below one of the naming classes."""
    children = {entry["id"]: entry["child_ids"] for entry in ontology}
    names = {entry["id"]: entry["name"] for entry in ontology}
    below = {child for entry in ontology for child in entry["child_ids"]}
    groups: dict[str, str] = {}
    waiting = [(mid, "") for mid in children if mid not in below]
    while waiting:
        mid, group = waiting.pop(0)
        if mid in groups:
            continue
        groups[mid] = _ONTOLOGY_GROUPS.get(names.get(mid, ""), group)
        waiting += [(child, groups[mid]) for child in children.get(mid, [])]
    return groups


def vggsound_labels(rows: Iterable[list[str]]) -> list[AudioLabel]:
    """Labels of `stat.csv` (label, clips, group), whose commas may be unquoted."""
    return [AudioLabel(",".join(row[:-2]), "vggsound", group=row[-1]) for row in rows]


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
            )
        )
    return labels


def open_images_labels(classes: dict[str, str], hierarchy: dict[str, Any] | None) -> list[VisualLabel]:
    """Open Images classes, MID -> name; classes that only the hierarchy knows are left out."""
    ancestors = _ancestors(hierarchy) if hierarchy else {}
    return [
        VisualLabel(
            "open_images",
            name,
            mid,
            (name,),
            ("",),
            ancestors=tuple(classes[above] for above in ancestors.get(mid, ()) if classes.get(above)),
        )
        for mid, name in sorted(classes.items())
        if name
    ]


def _ancestors(hierarchy: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """MID -> MIDs above it by Subcategory, nearest first, over all its places in the hierarchy."""
    found: dict[str, dict[str, int]] = {}
    waiting: list[tuple[dict[str, Any], tuple[str, ...]]] = [(hierarchy, ())]
    while waiting:
        node, above = waiting.pop(0)
        places = found.setdefault(node["LabelName"], {})
        for steps, mid in enumerate(above):
            places[mid] = min(steps, places.get(mid, steps))
        waiting += [(child, (node["LabelName"], *above)) for child in node.get("Subcategory", [])]
        waiting += [(child, ()) for child in node.get("Part", [])]
    return {
        mid: tuple(sorted(places, key=lambda above: (places[above], above))) for mid, places in found.items()
    }


def _csv(folder: str, name: str, columns: int = 0) -> list[list[str]]:
    """The rows of a CSV file, none if it is not there; with `columns`, it must be there and have at least as many."""
    url = storage.join(folder, name)
    try:
        text = storage.read_bytes(url).decode("utf-8-sig") if storage.exists(url) else ""
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise VocabularyError(f"{url}: {error}: it must be CSV in UTF-8. Fetch the file again") from error
    if columns and not rows:
        raise VocabularyError(
            f"{url} is not there or is empty: an audio vocabulary that is asked for must be. "
            "Put the file there, or leave its source out of --audio"
        )
    for number, row in enumerate(rows if columns else [], start=1):
        if len(row) < columns:
            raise VocabularyError(
                f"{url}: line {number} has {len(row)} columns: {columns} are needed. Fetch the file again"
            )
    return rows


def _json(folder: str, name: str) -> Any:
    url = storage.join(folder, name)
    if not storage.exists(url):
        return None
    try:
        return json.loads(storage.read_bytes(url))
    except ValueError as error:
        raise VocabularyError(f"{url}: {error}: it must be JSON. Fetch the file again") from error
