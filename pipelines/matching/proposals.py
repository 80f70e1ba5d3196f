"""`proposals.csv`: what matching hands to review, one row a pair of labels that was proposed or refused."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipelines.matching.decide import Proposal, precedence
from pipelines.matching.matcher import Matcher
from pipelines.matching.vocabularies import AUDIO_SOURCES, AudioLabel
from shards import storage
from shards.text import read_text

COLUMNS = ("vggsound_label", "source", "visual_label", "visual_id", "score", "method", "decision", "reason")


@dataclass(frozen=True)
class Row:
    """One row. The first column keeps its name where further audio sources are matched."""

    vggsound_label: str
    source: str  # lvis | open_images
    visual_label: str
    visual_id: str  # LVIS category id | Open Images MID
    score: float  # in [0, 1]
    method: str  # how the visual label was found: see README.md
    decision: str  # accept | review | reject
    reason: str


def rows(matcher: Matcher, audio: Iterable[AudioLabel]) -> Iterator[Row]:
    """Rows of all labels: by audio source, then label, best first within one.

    A label that several audio sources have is one label: of two proposals for one pair the better one stays.
    """
    by_text: dict[str, list[AudioLabel]] = {}
    for label in sorted(audio, key=lambda label: (AUDIO_SOURCES.index(label.source), label.label, label.mid)):
        by_text.setdefault(label.label, []).append(label)
    for text, labels in by_text.items():
        best: dict[int, Proposal] = {}
        for proposal in (proposal for label in labels for proposal in matcher.propose(label)):
            before = best.get(proposal.number)
            if before is None or precedence(proposal) < precedence(before):
                best[proposal.number] = proposal
        for proposal in sorted(best.values(), key=lambda one: (*precedence(one), one.number)):
            visual = matcher.visual[proposal.number]
            yield Row(
                text,
                visual.source,
                visual.name,
                visual.id,
                proposal.score,
                proposal.method,
                proposal.decision,
                proposal.reason,
            )


def write(url: str, found: Iterable[Row]) -> None:
    """Writes the CSV (UTF-8, `\\n`, scores with four decimals) under its name once it is complete."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in found:
        cells = [getattr(row, column) for column in COLUMNS]
        writer.writerow([f"{cell:.4f}" if isinstance(cell, float) else cell for cell in cells])
    storage.write_atomic(url, text.getvalue().encode())


def read(url: str) -> list[Row]:
    """The rows of a proposals file; ValueError where its columns are not COLUMNS."""
    reader = csv.DictReader(io.StringIO(read_text(url), newline=""))
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise ValueError(
            f"{url} has the columns {reader.fieldnames}: proposals have {', '.join(COLUMNS)}. "
            "Write it with avs-data match"
        )
    return [Row(score=float(row.pop("score")), **row) for row in reader]
