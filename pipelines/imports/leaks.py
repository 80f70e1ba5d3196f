"""Videos whose clips a release has put in several splits, so that a model is measured on what it was trained on."""

import re
from dataclasses import replace
from itertools import combinations

from pipelines.imports.planned import Found
from shards.format import SPLITS
from shards.rejections import Reason, rejection

POLICIES = ("keep", "drop", "move")
_YOUTUBE = re.compile(r"([\w-]{11})(_\d+)*", re.ASCII)


def youtube_id(name: str) -> str:
    """The video that a clip named `<id>`, `<id>_<n>` or `<id>_<start ms>_<end ms>` is of; another name as it is."""
    found = _YOUTUBE.fullmatch(name)
    return found[1] if found else name


def settle(found: Found, policy: str) -> list[str]:
    """Keep, drop or move the samples of videos that are in several splits; says how many there were, a line a pair.

    Of train, val and test a video belongs to the last that has it, so that what is measured last stays as it was
    released. `drop` rejects its samples of the other splits, `move` brings them there.
    """
    videos = {split: {one.video_id for one in found.samples if one.split == split} for split in SPLITS}
    clips = {
        split: {one.component: one.video_id for one in found.samples if one.split == split}
        for split in SPLITS
    }
    told = []
    for earlier, later in combinations(SPLITS, 2):
        leaking = [video for video in clips[later].values() if video in videos[earlier]]
        if leaking:
            told.append(
                f"{len(leaking)} of the {len(clips[later])} clips of {later} are of videos that {earlier} has too"
            )
    kept = []
    for sample in found.samples:
        (*_, last) = (split for split in SPLITS if sample.video_id in videos[split])
        if policy == "move":
            kept.append(replace(sample, split=last, official_split=sample.split))
        elif policy == "drop" and last != sample.split:
            why = f"video {sample.video_id} is in {last} too"
            found.rejections.append(
                rejection("import", sample.sample_id, Reason.SPLIT_LEAK, why, sample.category)
            )
        else:
            kept.append(sample)
    found.samples = kept
    return told
