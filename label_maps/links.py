"""Links as records and as CSV: one row a link, one canonical text for one set of links."""

import csv
import io
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields

SOURCES = {
    "vggsound": "audio",
    "audioset": "audio",
    "fsd50k": "audio",
    "lvis": "visual",
    "open_images": "visual",
}
RELATIONS = ("same", "kind_of", "act_of")


@dataclass(frozen=True, order=True)
class Link:
    """One label of one source, put into one category. Links sort by their fields, as text, in this order."""

    category: str  # snake_case
    source: str  # a key of SOURCES
    source_id: str  # VGGSound label | LVIS category id | Open Images, AudioSet or FSD50K MID
    label: str  # the name that the source gives it
    synset: str  # WordNet synset of LVIS; empty elsewhere
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
