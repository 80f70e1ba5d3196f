"""What the matcher knows of a label, of sounds and of things that can be seen, and what reads a file of labels.

Which file holds which labels says each corpus's own module (`pipelines/corpora`); `sources.py` chooses among them, and
adds those that a person brings.
"""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pipelines.matching.tree import Tree
from shards import storage
from shards.errors import AvsError


class VocabularyError(AvsError, ValueError):
    """A vocabulary that is missing or not in its format; says which file, and what to do."""


@dataclass(frozen=True)
class AudioLabel:
    """A sound's label, with all that its vocabulary says about it."""

    label: str
    source: str  # a corpus | the name given to a vocabulary of one's own
    id: str = ""  # as a label map has it; "" where the label is its own id
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

    source: str  # a corpus | the name given to a vocabulary of one's own
    name: str
    id: str  # as a label map has it
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
    entries = json_file(folder, "audioset_ontology.json") or []
    pairs = [(child, entry["id"]) for entry in entries for child in entry["child_ids"]]
    return Ontology(
        Tree({entry["id"]: entry["name"] for entry in entries}, pairs),
        {entry["id"]: entry["description"] for entry in entries},
    )


def ontology_labels(source: str, named: Iterable[tuple[str, str]], ontology: Ontology) -> list[AudioLabel]:
    """Sounds (name, MID) of a vocabulary that is part of AudioSet's ontology."""
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


def csv_rows(folder: str, name: str, columns: int = 0) -> list[list[str]]:
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


def json_file(folder: str, name: str) -> Any:
    url = storage.join(folder, name)
    if not storage.exists(url):
        return None
    try:
        return json.loads(storage.read_bytes(url))
    except ValueError as error:
        raise VocabularyError(f"{url}: {error}: it must be JSON. Fetch the file again") from error
