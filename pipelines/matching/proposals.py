"""`proposals.csv`: what the matcher says of pairs of labels, one row a pair; `avs-data review` takes it from here."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING

from pipelines.matching.vocabularies import AudioLabel
from shards import storage
from shards.errors import AvsError
from shards.text import read_text

if TYPE_CHECKING:
    from pipelines.matching.matcher import Matcher

DECISIONS = ("accept", "review", "reject")
SOURCE_RULE = re.compile(r"[a-z][a-z0-9_]*")
JUDGED = "judged"  # the method of a link that `avs-data judge flags` brings back
LinkKey = tuple[str, str, str, str]  # audio source, audio label, visual source, visual id
_FAULTS_SHOWN = 20


class ProposalsError(AvsError, ValueError):
    """A proposals file that is not in its format; names every row that does not fit, the value and the rule."""


@dataclass(frozen=True)
class Proposal:
    """What is said of one link: by the matcher, or by a person who thought of it."""

    audio_source: str  # vggsound | audioset | fsd50k | the name given to a vocabulary of one's own
    audio_label: str
    source: str  # of the visual label: lvis | open_images | a name given
    visual_label: str
    visual_id: str  # LVIS category id | Open Images MID
    score: float | None  # in [0, 1]; None where a person proposed the link
    method: str  # how the visual label was found: see README.md
    decision: str  # the matcher's own: accept | review | reject
    reason: str

    @property
    def key(self) -> LinkKey:
        return (self.audio_source, self.audio_label, self.source, self.visual_id)

    @property
    def evidence(self) -> tuple[str, str, str, str, str]:
        """What a reviewer's answer rests on: a proposal whose evidence is equal is the same proposal."""
        score = "" if self.score is None else f"{self.score:.3f}"
        return (self.visual_label, score, self.method, self.decision, self.reason)


COLUMNS = tuple(field.name for field in fields(Proposal))


def rows(matcher: "Matcher", audio: Iterable[AudioLabel]) -> Iterator[Proposal]:
    """Proposals for all labels: in the order of audio sources as they come, then by label, best first within one."""
    by_source: dict[str, dict[str, AudioLabel]] = {}
    for label in audio:
        by_source.setdefault(label.source, {}).setdefault(label.label, label)
    for labels in by_source.values():
        for _, label in sorted(labels.items()):
            for judged in matcher.propose(label):
                visual = matcher.visual[judged.number]
                yield Proposal(
                    label.source,
                    label.label,
                    visual.source,
                    visual.name,
                    visual.id,
                    judged.score,
                    judged.method,
                    judged.decision,
                    judged.reason,
                )


def write(url: str, found: Iterable[Proposal]) -> None:
    """Writes the CSV (UTF-8, `\\n`, scores with four decimals) under its name once it is complete."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for proposal in found:
        cells = astuple(proposal)
        writer.writerow([f"{cell:.4f}" if isinstance(cell, float) else cell for cell in cells])
    storage.write_atomic(url, text.getvalue().encode())


def read(url: str) -> list[Proposal]:
    """Every row of a proposals file, in its order; values come without spaces at their ends.

    Raises:
        ProposalsError: naming every row that does not fit: its line, the value, the rule.
    """
    reader = csv.DictReader(io.StringIO(read_text(url), newline=""))
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise ProposalsError(
            f"{url}: the header is {reader.fieldnames}; a proposals file starts with "
            f"{','.join(COLUMNS)}. Write one with `avs-data match`."
        )
    found: dict[LinkKey, Proposal] = {}
    faults = []
    for row in _rows(reader, url):
        where = f"{url}:{reader.line_num}"
        row = {name: value.strip() if isinstance(value, str) else value for name, value in row.items()}
        if fault := _fault(row):
            faults.append(f"{where}: {fault}")
            continue
        proposal = Proposal(score=float(row.pop("score")), **row)
        if proposal.key in found:
            faults.append(f"{where}: {' / '.join(proposal.key)} stands twice; a link has one row: keep one")
        found[proposal.key] = proposal
    if faults:
        shown = "\n  ".join(faults[:_FAULTS_SHOWN])
        more = f"\n  and {len(faults) - _FAULTS_SHOWN} more" if len(faults) > _FAULTS_SHOWN else ""
        raise ProposalsError(f"{len(faults)} rows of {url} do not fit; nothing was read:\n  {shown}{more}")
    return list(found.values())


def _rows(reader: "csv.DictReader[str]", url: str) -> Iterator[dict[str, str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise ProposalsError(
            f"{url}:{reader.line_num}: not CSV ({error}); restore what was cut off"
        ) from error


def _fault(row: dict[str, str]) -> str:
    if None in row or None in row.values():
        return f"the row does not have {len(COLUMNS)} columns; quote labels that contain commas"
    for name in ("audio_label", "visual_label", "visual_id"):
        if not row[name]:
            return f"{name} is empty; a link names both of its labels"
    for name, value in row.items():
        if not value.isprintable():
            return f"{name} is {value!r}; a value is one line without control characters"
    for name in ("audio_source", "source"):
        if not SOURCE_RULE.fullmatch(row[name]):
            return f"{name} is {row[name]!r}; a source is written in a-z, 0-9 and _, such as vggsound or lvis"
    if row["decision"] not in DECISIONS:
        return f"decision is {row['decision']!r}; it is one of {', '.join(DECISIONS)}"
    try:
        score = float(row["score"])
    except ValueError:
        return f"score is {row['score']!r}; it is a number in [0, 1]"
    return "" if 0 <= score <= 1 else f"score is {score}; it lies in [0, 1]"
