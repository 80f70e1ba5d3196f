"""Frames of videos with masks of several classes: scenes whose one sound nobody has taken apart."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from pipelines.media import masks
from shards import format, records
from shards.manifest import Target
from shards.parts import Encoded
from shards.records import SampleRecord
from shards.writer import Content

TARGETS: tuple[Target, ...] = ("binary", "classes")


def told(
    record: SampleRecord, members: Mapping[str, Content], numbers: np.ndarray, classes: Sequence[str]
) -> Encoded:
    """A sample of one clip as a recording of what its mask shows.

    Args:
        numbers: (height, width) uint8, of classes by their place in `classes`, the first is 1; or format.IGNORE.
    """
    assert record.audio
    shown = np.setdiff1d(np.unique(numbers), [0, format.IGNORE])
    category = "+".join(sorted(classes[number - 1] for number in shown))
    mask = msgspec.structs.replace(record.mask, policy="union")
    source = records.Source(category, mask.ids, mask.area_px, mask.bbox, record.audio)
    sound = records.Sound(
        rule="vpo", channels=1, pan_law="", duration_s=record.audio.duration_s, scale=1.0, clipped=0,
        sha256=record.audio.sha256,
    )  # fmt: skip
    scene = msgspec.structs.replace(
        record, category=category, mask=mask, audio=msgspec.UNSET, scene_kind=records.RECORDING,
        scene_sources=(source,), sound=sound,
    )  # fmt: skip
    return scene, {**members, format.CLASSES: Content.of(masks.grey_png(numbers))}
