"""The vocabularies to match: audio labels of VGGSound, AudioSet, FSD50K; visual labels of LVIS, Open Images.

Formats: VGGSound https://www.robots.ox.ac.uk/~vgg/data/vggsound/ (id, start, label, split, no header) and its
`stat.csv` (label, clips, group); AudioSet's `ontology.json`; FSD50K's `vocabulary.csv` (index, name, MID); LVIS v1
`categories`; Open Images' `class-descriptions-boxable.csv` (MID, name) and its hierarchy of 600 boxable classes.
`sources.py` chooses among them, and adds those that a person brings.
"""

import csv
import io
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pipelines.matching.tree import Tree
from pipelines.matching.wording import sense
from shards import storage
from shards.errors import AvsError

_NAME_BEHIND_SENSE = re.compile(r"(?<=\)) ")
AUDIO_SOURCES = ("vggsound", "audioset", "fsd50k")
VISUAL_SOURCES = ("lvis", "open_images")


class VocabularyError(AvsError, ValueError):
    """A vocabulary that is missing or not in its format; says which file, and what to do."""


@dataclass(frozen=True)
class AudioLabel:
    """A sound's label, with all that its vocabulary says about it."""

    label: str
    source: str  # vggsound | audioset | fsd50k | the name given to a vocabulary of one's own
    id: str = ""  # MID of AudioSet and FSD50K; "" where the label is its own id
    group: str = ""  # a hint: where knowledge/groups.csv does not know it, it says nothing
    parents: tuple[
        tuple[str, ...], ...
    ] = ()  # of each wider sound, its name and those above it, nearest first
    children: tuple[str, ...] = ()  # names of narrower sounds
    synonyms: tuple[str, ...] = ()
    definition: str = ""


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
    photos: int = 0  # that show it, where the corpus says so: the more frequent of two is asked about first


@dataclass(frozen=True)
class Vocabularies:
    audio: tuple[AudioLabel, ...]
    visual: tuple[VisualLabel, ...]


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


@dataclass(frozen=True)
class Ontology:
    """What AudioSet's `ontology.json` says of a MID; nothing where the file is not there."""

    tree: Tree
    definitions: dict[str, str]

    def group(self, mid: str) -> str:
        """The group of the nearest wider class that names one, "" where several ways up name several."""
        ways = [(self.tree.names.get(mid, ""), *chain) for chain in self.tree.chains(mid) or [()]]
        found = {
            next((_ONTOLOGY_GROUPS[name] for name in way if name in _ONTOLOGY_GROUPS), "") for way in ways
        }
        return found.pop() if len(found) == 1 else ""


def read_ontology(folder: str) -> Ontology:
    entries = _json(folder, "audioset_ontology.json") or []
    pairs = [(child, entry["id"]) for entry in entries for child in entry["child_ids"]]
    return Ontology(
        Tree({entry["id"]: entry["name"] for entry in entries}, pairs),
        {entry["id"]: entry["description"] for entry in entries},
    )


def read_labels(
    folder: str, audio: Iterable[str] = ("vggsound",), visual: Iterable[str] = VISUAL_SOURCES
) -> Vocabularies:
    """Reads vocabularies alone from a folder of label files.

    LVIS and Open Images may be missing; the hierarchy, the list of segmentable classes, the groups of VGGSound and
    AudioSet's ontology only help. Raises VocabularyError where an audio vocabulary asked for is not there.
    """
    ontology = read_ontology(folder)
    sounds = [label for name in audio for label in audio_labels(folder, name, ontology)]
    seen: list[VisualLabel] = []
    if "lvis" in visual:
        seen += lvis_labels(_json(folder, "lvis_v1_categories.json") or [])
    if "open_images" in visual:
        classes = _csv(folder, "openimages_class-descriptions-boxable.csv")
        more = dict(row[:2] for row in _csv(folder, "openimages_challenge2019_segmentable300.csv"))
        hierarchy = _json(folder, "openimages_bbox_labels_600_hierarchy.json")
        names = {row[0]: row[1] or more.get(row[0], "") for row in classes if len(row) > 1}
        seen += open_images_labels(names, hierarchy)
    return Vocabularies(tuple(sounds), tuple(seen))


def audio_labels(folder: str, source: str, ontology: Ontology) -> list[AudioLabel]:
    """The sounds of one of AUDIO_SOURCES; raises VocabularyError where its file is missing."""
    if source == "vggsound":
        return vggsound_labels(_csv(folder, "vggsound_stat.csv", columns=3))
    if source == "audioset":
        rows = _csv(folder, "audioset_class_labels_indices.csv", columns=3)[1:]
        named = [(name, mid) for _, mid, name, *_ in rows]
    else:
        named = [(name, mid) for _, name, mid, *_ in _csv(folder, "fsd50k_vocabulary.csv", columns=3)]
    return [
        AudioLabel(
            name,
            source,
            mid,
            ontology.group(mid),
            ontology.tree.chains(mid),
            ontology.tree.children(mid),
            definition=ontology.definitions.get(mid, ""),
        )
        for name, mid in named
    ]


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
                photos=int(entry.get("image_count") or 0),
            )
        )
    return labels


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
        waiting += [*below, *node.get("Part", [])]
    return pairs


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
