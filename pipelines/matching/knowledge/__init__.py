"""General knowledge about words, kept as data files: each table is a CSV beside this module.

The tables know English, not the corpora: no row names a label id, and most of their words occur in no
corpus at all. `README.md` in the folder above says how to edit them.
"""

import csv
import io
from dataclasses import dataclass
from importlib.resources import files


def rows(name: str) -> list[dict[str, str]]:
    """The rows of `NAME.csv`, by column."""
    text = (files(__package__) / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text, newline="")))


@dataclass(frozen=True)
class Relation:
    """What a noun says about another: `coyote` is `kind_of` `wolf`, closely."""

    kind: (
        str  # same_as | kind_of | form_of | part_of | has_part | similar_to | opaque (its last word misleads)
    )
    thing: str
    close: bool  # False: near enough for a person to look at, not to accept unseen


PLURALS = {row["plural"]: row["singular"] for row in rows("plurals")}
GENUS_ENDS = frozenset(row["word"] for row in rows("genus_ends"))  # behind them a definition has no head noun
SPELLINGS = {row["variant"]: row["preferred"] for row in rows("spellings")}
