"""`proposals.csv`: one row a proposed link between an audio label and a visual label."""

import csv
import io
from dataclasses import dataclass

from shards.errors import AvsError
from shards.text import read_text

COLUMNS = ("vggsound_label", "source", "visual_label", "visual_id", "score", "method", "decision", "reason")
SOURCES = ("lvis", "open_images")
VERDICTS = ("accept", "review", "reject")

LinkKey = tuple[str, str, str]  # audio label, visual source, visual id


class ReviewError(AvsError, ValueError):
    """Something a person can put right; the text says what and how."""


@dataclass(frozen=True)
class Proposal:
    """What the matcher said about one link.

    Attributes:
        score: in [0, 1]; None where a person proposed the link.
        verdict: `accept`, `review` or `reject`: the matcher's own decision.
    """

    audio_label: str
    source: str
    visual_label: str
    visual_id: str
    score: float | None
    method: str
    verdict: str
    reason: str

    @property
    def key(self) -> LinkKey:
        return (self.audio_label, self.source, self.visual_id)

    @property
    def evidence(self) -> tuple[str, str, str, str, str]:
        """What a decision rests on: a proposal whose evidence is equal is the same proposal."""
        score = "" if self.score is None else f"{self.score:.3f}"
        return (self.visual_label, score, self.method, self.verdict, self.reason)


def read(url: str) -> list[Proposal]:
    """Every row of a proposals file, best first as written.

    Raises:
        ReviewError: naming every row that does not fit: its line, the value, the rule.
    """
    reader = csv.DictReader(io.StringIO(read_text(url), newline=""))
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise ReviewError(
            f"{url}: the header is {reader.fieldnames}; a proposals file starts with "
            f"{','.join(COLUMNS)}. Write one with `avs-data match`."
        )
    found: dict[LinkKey, Proposal] = {}
    faults = []
    for row in reader:
        where = f"{url}:{reader.line_num}"
        fault = _fault(row)
        if fault:
            faults.append(f"{where}: {fault}")
            continue
        proposal = Proposal(
            row["vggsound_label"],
            row["source"],
            row["visual_label"],
            row["visual_id"],
            float(row["score"]),
            row["method"],
            row["decision"],
            row["reason"],
        )
        if proposal.key in found:
            faults.append(f"{where}: {' / '.join(proposal.key)} stands twice; a link has one row: keep one")
        found[proposal.key] = proposal
    if faults:
        shown = "\n  ".join(faults[:20])
        more = f"\n  and {len(faults) - 20} more" if len(faults) > 20 else ""
        raise ReviewError(f"{len(faults)} rows of {url} do not fit; nothing was imported:\n  {shown}{more}")
    return list(found.values())


def _fault(row: dict[str, str]) -> str:
    if None in row or None in row.values():
        return f"the row does not have {len(COLUMNS)} columns; quote labels that contain commas"
    if not row["vggsound_label"] or not row["visual_label"] or not row["visual_id"]:
        return "vggsound_label, visual_label and visual_id must not be empty"
    if row["source"] not in SOURCES:
        return f"source is {row['source']!r}; it is one of {', '.join(SOURCES)}"
    if row["decision"] not in VERDICTS:
        return f"decision is {row['decision']!r}; it is one of {', '.join(VERDICTS)}"
    try:
        score = float(row["score"])
    except ValueError:
        return f"score is {row['score']!r}; it is a number in [0, 1]"
    if not 0 <= score <= 1:
        return f"score is {score}; it lies in [0, 1]"
    return ""
