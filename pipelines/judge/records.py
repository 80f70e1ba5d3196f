"""What the judging queue holds, as frozen records: samples, judgements, progress."""

from dataclasses import dataclass
from typing import Literal

Order = Literal["random", "active"]


@dataclass(frozen=True)
class Item:
    """One sample to judge.

    Attributes:
        place: in the random draw, turn: in the active order, both in (0, 1). None: it is not in that.
        gold: the key of the clip of another category that is heard instead of the sample's sound; None: no gold.
        state: open | third | done. verdict: that stands.
    """

    id: int
    key: str
    sample_id: str
    split: str
    category: str
    kind: str
    clips: tuple[str, ...]
    stratum: str
    place: float | None
    turn: float | None
    doubts: str
    gold: str | None
    state: str
    verdict: str | None

    @property
    def order(self) -> str:
        """What it is judged for: random | active | gold."""
        return "gold" if self.gold else "active" if self.place is None else "random"


@dataclass(frozen=True)
class Judgement:
    """One row of the log."""

    id: int
    item_id: int
    judge: str
    verdict: str
    undoes: int | None
    note: str
    judged_at: str
    undone: bool


@dataclass(frozen=True)
class Progress:
    """Of one order: samples that are asked (gold among them), judged and to be decided by a third judge; of all that
    this judge did, and what waits for them.
    """

    asked: int
    done: int
    third: int
    mine: int
    waiting: int
