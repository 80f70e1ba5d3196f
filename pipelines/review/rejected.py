"""Rejected links, kept beside a label map so that no queue asks them again: `rejected/<map>.csv`, one row a link, or
one row for all labels of a source. The map that ships has its maintainers' refusals there, with their reasons.
"""

import csv
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from pipelines.matching.proposals import LinkKey
from pipelines.review import spreadsheet
from pipelines.review.errors import ReviewError
from shards.text import read_text

ANY = "*"  # as a visual id and label: every label of that source


@dataclass(frozen=True, order=True)
class RejectedLink:
    """A visual label that is not what a sound shows. Rows sort by these fields in this order."""

    audio_source: str
    audio_label: str
    source: str
    visual_id: str
    visual_label: str
    decided_by: str
    decided_on: str  # YYYY-MM-DD
    note: str

    @property
    def key(self) -> LinkKey:
        return (self.audio_source, self.audio_label, self.source, self.visual_id)


COLUMNS = tuple(field.name for field in fields(RejectedLink))


class Refusals:
    """Rejected links by what they are about."""

    def __init__(self, links: Iterable[RejectedLink] = ()) -> None:
        self._links = {link.key: link for link in links}
        self._sounds = {link.key[:2]: link for link in self._links.values() if link.visual_id == ANY}

    def find(self, key: LinkKey) -> RejectedLink | None:
        """The row about this link, else the one about all labels of its source."""
        return self._links.get(key) or self._links.get((*key[:3], ANY))

    def near(self, key: LinkKey) -> RejectedLink | None:
        """What a reviewer of this link wants to know: `find`, else the row about all labels of another source."""
        return self.find(key) or self._sounds.get(key[:2])


def path_for(map_path: Path) -> Path:
    """`label_maps/avs.csv` -> `label_maps/rejected/avs.csv`."""
    return map_path.parent / "rejected" / map_path.name


def read(path: Path) -> list[RejectedLink]:
    """The rows of the file; none where there is no file.

    Raises:
        ReviewError: naming the first row that does not fit.
    """
    if not path.is_file():
        return []
    try:
        header, *rows = spreadsheet.from_csv(read_text(str(path))) or [[]]
    except csv.Error as error:
        raise ReviewError(
            f"{path} is not CSV ({error}): close the quote, or restore what was cut off"
        ) from error
    if tuple(header) != COLUMNS:
        raise ReviewError(f"{path}: the header must be {','.join(COLUMNS)}; restore it")
    links: dict[LinkKey, RejectedLink] = {}
    for number, row in enumerate(rows, start=2):
        if len(row) != len(COLUMNS):
            raise ReviewError(
                f"{path}:{number}: a row has {len(COLUMNS)} values, this one {len(row)}; quote commas"
            )
        link = RejectedLink(*row)
        if fault := fault_of(link):
            raise ReviewError(f"{path}:{number}: {fault}")
        if link.key in links:
            raise ReviewError(f"{path}:{number}: {' / '.join(link.key)} stands twice; keep one row")
        links[link.key] = link
    return list(links.values())


def fault_of(link: RejectedLink) -> str:
    """What no reader of the file could make sense of; '' where nothing is."""
    for name, value in zip(COLUMNS, astuple(link), strict=True):
        if not value and name != "note":
            return f"{name} is empty; fill it in"
        if value != value.strip() or not value.isprintable():
            return f"{name} is {value!r}; it has no spaces at its ends and no control characters"
    return ""


def to_csv(links: Iterable[RejectedLink]) -> bytes:
    """Canonical text: sorted, line feeds, quotes only where needed, nothing that a spreadsheet takes for a formula."""
    return spreadsheet.to_csv([COLUMNS, *(astuple(link) for link in sorted(links))]).encode()
