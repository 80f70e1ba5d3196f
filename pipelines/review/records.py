"""What the queue holds, as frozen records: links, decisions, answers, progress."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from label_maps import RELATIONS
from pipelines.matching.proposals import LinkKey, Proposal
from pipelines.review.errors import ReviewError

NAME_RULE = re.compile(r"\w([\w .@'\u2019-]{0,38}[\w.@-])?")
CATEGORY_RULE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


class Conflict(ReviewError):
    """The decision came too late: somebody decided the link, or its proposal changed."""


@dataclass(frozen=True)
class QueuedLink:
    """A link in the queue, with the proposal that is asked and, where it changed, the one that was decided.

    Attributes:
        asked: whether reviewers are shown it.
        adds: what accepting it adds, as counted at the newest import: triplets, at least 1 where it adds anything, 0
            where no dataset is larger for it, None where that is not known.
    """

    id: int
    proposal: Proposal
    proposal_id: int
    reviewers: int
    gold: str | None
    asked: bool
    adds: int | None
    rank: float
    revision: int
    state: str
    outcome: str | None
    closed_by: int | None
    decided_proposal: Proposal | None
    sound: tuple[str, str]  # audio source and the label's id there

    @property
    def key(self) -> LinkKey:
        return self.proposal.key

    @property
    def changed(self) -> bool:
        """Decided once, and asked again because its proposal changed."""
        return self.state in ("open", "third") and self.outcome is not None


@dataclass(frozen=True)
class Decision:
    """One row of the log."""

    id: int
    item_id: int
    proposal_id: int
    reviewer: str
    verdict: str
    undoes: int | None
    category: str
    relation: str
    note: str
    origin: str
    decided_at: str
    undone: bool


@dataclass(frozen=True)
class Answer:
    """What a reviewer says of a link.

    Attributes:
        category: where an accepted link goes; '' for the one that the map or the label's name gives.
        relation: of the sound to the category: `same`, `kind_of` (an owl is a kind of bird), `act_of` (typing).
    """

    verdict: str
    category: str = ""
    relation: str = "same"
    note: str = ""

    def check(self) -> None:
        if self.verdict not in ("accept", "reject", "defer"):
            raise ReviewError(f"the decision is {self.verdict!r}; it is accept, reject or defer")
        if self.category and not CATEGORY_RULE.fullmatch(self.category):
            raise ReviewError(
                f"category {self.category!r} is not snake_case: use lower-case letters, digits and single "
                "underscores, such as 'fire_alarm'"
            )
        if self.relation not in RELATIONS:
            raise ReviewError(f"relation is {self.relation!r}; it is one of {', '.join(RELATIONS)}")
        if len(self.note) > 500 or not self.note.isprintable():
            raise ReviewError("a note is one line of at most 500 letters, without control characters")


@dataclass(frozen=True)
class Progress:
    """Links that are asked: all, decided, waiting for a third reviewer; what this reviewer did and still has.
    `left_out`: links that are not asked because they add nothing.
    """

    asked: int
    decided: int
    third: int
    mine: int
    waiting: int
    left_out: int


def check_reviewer(name: str) -> str:
    if not NAME_RULE.fullmatch(name):
        raise ReviewError(
            f"reviewer {name!r}: a name has 1 to 40 letters, digits, spaces or any of . @ - _ ', "
            "starts with a letter or digit, and ends with no space"
        )
    return name


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
