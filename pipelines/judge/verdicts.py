"""The six answers, and what answers of several judges come to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

RIGHT, CANNOT_TELL = "right", "cannot_tell"
# Each with the key of the page and the words that people read.
VERDICTS = {
    RIGHT: ("1", "right"),
    "wrong_sound": ("2", "the sound is not this category"),
    "wrong_object": ("3", "the object is another one"),
    "bad_mask": ("4", "the mask is bad"),
    "not_sounding": ("5", "the object does not sound here"),
    CANNOT_TELL: ("6", "cannot tell"),
}
Grade = Literal["right", "bad", "cannot_tell"]
State = Literal["open", "third", "done"]


def grade(verdict: str) -> Grade:
    return "right" if verdict == RIGHT else "cannot_tell" if verdict == CANNOT_TELL else "bad"


def words(verdict: str) -> str:
    return VERDICTS[verdict][1]


@dataclass(frozen=True)
class Standing:
    """What the answers to one sample come to.

    Attributes:
        state: `third`: two judges differ in the grade, a third one decides.
        verdict: that stands; None while there is none.
    """

    state: State
    verdict: str | None


def standing(verdicts: Sequence[str], judges: int) -> Standing:
    """Of answers that count, in the order they were given; `judges`: how many decide, 1 or 2."""
    if judges == 1 and verdicts:
        return Standing("done", verdicts[0])
    if len(verdicts) < 2:
        return Standing("open", None)
    if grade(verdicts[0]) == grade(verdicts[1]):
        return Standing("done", verdicts[0])
    return Standing("done", verdicts[2]) if len(verdicts) > 2 else Standing("third", None)
