"""Links as records and as CSV: one row a link, one canonical text for one set of links."""

import csv
import io
import tomllib
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

SIDES = ("audio", "visual")


@dataclass(frozen=True)
class Source:
    """A vocabulary whose labels a map may link."""

    title: str  # as people write it
    side: str  # one of SIDES: what its labels name
    ids: str = "any"  # what a source_id is: any, label, mid, number, number from 0
    synsets: bool = False  # each row names its WordNet synset


# What `sources.toml` lists: a map may link these without naming them in `[sources]`.
SOURCES = {
    name: Source(**about)
    for name, about in tomllib.loads(Path(__file__).with_name("sources.toml").read_text("utf-8")).items()
}
RELATIONS = ("same", "kind_of", "act_of")


@dataclass(frozen=True, order=True)
class Link:
    """One label of one source, put into one category. Links sort by their fields, as text, in this order."""

    category: str  # snake_case
    source: str  # a key of SOURCES, or of the map's own `[sources]`
    source_id: str  # label | number | MID, as its source has it
    label: str  # the name that the source gives it
    synset: str  # WordNet synset, where the source has them; else empty
    relation: str  # one of RELATIONS: what the label is to the category
    decided_by: str
    decided_on: str  # YYYY-MM-DD
    note: str


COLUMNS = tuple(field.name for field in fields(Link))


def to_csv(links: Iterable[Link]) -> bytes:
    """The canonical text of links: UTF-8, header, sorted rows, line feeds, quotes only where needed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(astuple(link) for link in sorted(links))
    return text.getvalue().encode()
