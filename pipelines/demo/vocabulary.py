"""The drawn categories under their real names: LVIS id, name and synset, Open Images MID, VGGSound labels."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

from shards.hashing import hash64


@dataclass(frozen=True)
class Category:
    """`vggsound_labels` is empty for what makes no sound: a distractor in the photos."""

    name: str
    lvis_id: int
    lvis_name: str
    lvis_synset: str
    lvis_synonyms: tuple[str, ...]
    definition: str
    mid: str
    open_images_name: str
    vggsound_labels: tuple[str, ...]


@cache
def categories() -> dict[str, Category]:
    """All rows of `categories.csv`, sorted by name."""
    text = resources.files("pipelines.demo").joinpath("categories.csv").read_text(encoding="utf-8")
    rows = [
        Category(name, int(lvis_id), *_fields(rest))
        for name, lvis_id, *rest in list(csv.reader(text.splitlines()))[1:]
    ]
    return {row.name: row for row in rows}


@dataclass(frozen=True)
class OtherLabel:
    """What another corpus calls a category; labels that the shipped map does not link are among them."""

    category: str
    source: str
    source_id: str
    name: str


@cache
def other_labels(source: str) -> list[OtherLabel]:
    """The rows of `other_labels.csv` for one corpus."""
    text = resources.files("pipelines.demo").joinpath("other_labels.csv").read_text(encoding="utf-8")
    rows = [OtherLabel(*row) for row in list(csv.reader(text.splitlines()))[1:]]
    return [row for row in rows if row.source == source]


def _fields(rest: list[str]) -> tuple:
    lvis_name, synset, synonyms, definition, mid, name, labels = rest
    return (
        lvis_name,
        synset,
        tuple(synonyms.split("|")),
        definition,
        mid,
        name,
        tuple(filter(None, labels.split("|"))),
    )


def sounding() -> list[str]:
    return [name for name, category in categories().items() if category.vggsound_labels]


def shuffled(names: list[str], *key: object) -> list[str]:
    """The names in an order that depends on the key alone."""
    return sorted(names, key=lambda name: hash64(*key, name))
