"""General knowledge about words, kept as data files: each table is a CSV beside this module.

The tables know English, not the corpora: no row names a label id, and most of their words occur in no
corpus at all. `README.md` in the folder above says how to edit them.
"""

import csv
import io
from dataclasses import dataclass
from importlib.resources import files


def _rows(name: str) -> list[dict[str, str]]:
    text = (files(__package__) / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text, newline="")))


@dataclass(frozen=True)
class Relation:
    """What a noun says about another: `coyote` is `kind_of` `wolf`, closely."""

    kind: str  # same_as | kind_of | has_part | similar_to | opaque (its last word misleads)
    thing: str
    close: bool  # False: near enough for a person to look at, not to accept unseen


PLURALS = {row["plural"]: row["singular"] for row in _rows("plurals")}
GENUS_ENDS = frozenset(
    row["word"] for row in _rows("genus_ends")
)  # behind them a definition has no head noun
SPELLINGS = {row["variant"]: row["preferred"] for row in _rows("spellings")}


def nouns() -> list[tuple[str, Relation]]:
    return [
        (row["word"], Relation(row["relation"], row["thing"], row["strength"] == "close"))
        for row in _rows("nouns")
    ]


def verbs() -> list[tuple[str, str, str]]:
    """(base form, sound | handle | work, domain of who does it or "")."""
    return [(row["word"], row["class"], row["domain"]) for row in _rows("verbs")]


def acts() -> list[tuple[str, str, bool]]:
    """(act, thing that makes its sound, close)."""
    return [(row["act"], row["thing"], row["strength"] == "close") for row in _rows("acts")]


def parts() -> list[tuple[str, str]]:
    """(part, domain of the wholes it belongs to)."""
    return [(row["part"], row["domain"]) for row in _rows("parts")]


def domains() -> list[tuple[str, str]]:
    """(class word, domain)."""
    return [(row["word"], row["domain"]) for row in _rows("domains")]


def groups() -> list[tuple[str, str, str]]:
    """(group of sounds, domain, expected | foreign)."""
    return [(row["group"], row["domain"], row["fit"]) for row in _rows("groups")]


def general() -> list[str]:
    """Class words too wide to be the thing that sounds."""
    return [row["word"] for row in _rows("general")]
