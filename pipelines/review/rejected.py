"""Rejected links, kept beside a label map so that no queue asks them again: `rejected/<map>.csv`, one row a
link.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from pipelines.matching.proposals import LinkKey
from pipelines.review.errors import ReviewError
from shards.text import read_text


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


def path_for(map_path: Path) -> Path:
    """`label_maps/avs.csv` -> `label_maps/rejected/avs.csv`."""
    return map_path.parent / "rejected" / map_path.name


def read(path: Path) -> list[RejectedLink]:
    """The rows of the file; none where there is no file."""
    if not path.is_file():
        return []
    rows = list(csv.reader(io.StringIO(read_text(str(path)), newline="")))
    if not rows or tuple(rows[0]) != COLUMNS:
        raise ReviewError(f"{path}: the header must be {','.join(COLUMNS)}; restore it")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(COLUMNS):
            raise ReviewError(
                f"{path}:{number}: a row has {len(COLUMNS)} values, this one {len(row)}; quote commas"
            )
    return [RejectedLink(*row) for row in rows[1:]]


def to_csv(links: Iterable[RejectedLink]) -> bytes:
    """Canonical text: sorted, line feeds, quotes only where needed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(astuple(link) for link in sorted(links))
    return text.getvalue().encode()
