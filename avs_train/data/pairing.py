"""Which clip a sample hears: as frozen in the shards, drawn again each epoch, swapped, or none."""

from collections.abc import Callable

from avs_train.data.order import SettingError
from avs_train.data.samples import Clips, Row
from shards.hashing import hash64

SILENCE = ""  # stands for a clip of zeros
Hearing = Callable[[Row, int], str]  # (row, epoch) -> clip id


def frozen(row: Row, epoch: int) -> str:
    """The pairing in the shards; validation and test always use it."""
    return row.clip_id


def silent(row: Row, epoch: int) -> str:
    return SILENCE


def repaired(clips: Clips, seed: int) -> Hearing:
    """A clip of the sample's category and split, drawn anew each epoch; epoch 0 is the frozen pairing.

    A sample whose category has no pool keeps its own clip.
    """

    def hear(row: Row, epoch: int) -> str:
        return clips.drawn(seed, epoch, row.sample_id, row.category) or row.clip_id

    return hear


def swapped(clips: Clips, seed: int) -> Hearing:
    """A clip of another category: a model that listens must change its mask (AVSBench-Robust).

    Raises:
        SettingError: all clips of the split sound like the sample's category.
    """
    others: dict[str, list[str]] = {}

    def hear(row: Row, epoch: int) -> str:
        if row.category not in others:
            others[row.category] = clips.others(row.category)
        choices = others[row.category]
        if not choices or choices == [row.clip_id]:
            raise SettingError(
                f"no clip to swap for {row.category!r}: the split has clips of this category alone; "
                "swapped audio needs two categories or more"
            )
        place = hash64("swap", seed, row.sample_id) % len(choices)
        return choices[place] if choices[place] != row.clip_id else choices[place - 1]

    return hear
