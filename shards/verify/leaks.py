"""What is in two splits, and what training must not hear."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from shards import format
from shards.verify.faults import Fault


def heard_clips(row: Mapping[str, Any]) -> list[str]:
    """Clip ids of a row of samples.parquet or pool.parquet, of a dataset of scenes or not."""
    return row["clip_ids"] if "clip_ids" in row else [row["clip_id"]]


def across_splits(samples: pa.Table, clips: Mapping[str, dict[str, Any]]) -> list[Fault]:
    """Images, photographs, videos and clips of several splits; samples that hear a clip of another split."""
    faults = []
    scenes = "clip_ids" in samples.column_names
    for name, what in (
        ("image_id", "image"),
        ("component", "photograph"),
        ("video_ids" if scenes else "video_id", "video"),
        ("clip_ids" if scenes else "clip_id", "clip"),
    ):
        values = zip(samples[name].to_pylist(), samples["split"].to_pylist(), strict=True)
        pairs = {
            (one, split) for value, split in values for one in (value if name.endswith("s") else [value])
        }
        for value, number in sorted(Counter(value for value, _ in pairs).items()):
            if number > 1:
                faults.append(Fault(format.SAMPLES, f"{what} {value} is in {number} splits: it leaks"))
    for clip in clips.values():
        if clip["split"] == "train" and clip["official_split"] not in ("train", ""):  # "": it has none
            faults.append(
                Fault(
                    format.POOL_TABLE,
                    f"{clip['clip_id']} is official {clip['official_split']}, heard in train",
                )
            )
    columns = ["key", "split"] + (["clip_ids"] if scenes else ["category", "clip_id"])
    for row in samples.select(columns).to_pylist():
        where = f"{format.SAMPLES}: {row['key']}"
        for clip_id in heard_clips(row):
            known = clips.get(clip_id)
            if known is None:
                faults.append(Fault(where, f"hears {clip_id}, which is not in the pool"))
            elif known["split"] != row["split"] or row.get("category") not in (None, *known["categories"]):
                faults.append(
                    Fault(
                        where,
                        f"{row.get('category', 'a scene')} in {row['split']} hears {clip_id}, which the pool has for "
                        f"{', '.join(known['categories'])} in {known['split']}",
                    )
                )
    return faults


def held_out(clips: Mapping[str, dict[str, Any]], name: str, videos: frozenset[str]) -> list[Fault]:
    """Held-out videos in training; a `video_id` may have more than YouTube's 11 characters, as AVSBench's do."""
    return [
        Fault(
            f"{format.POOL_TABLE}: {clip['clip_id']}",
            f"video {clip['video_id']} is heard in train, but {name} holds it out: build again with --held-out and "
            "that list",
        )
        for clip in clips.values()
        if clip["split"] == "train" and not videos.isdisjoint((clip["video_id"], clip["video_id"][:11]))
    ]
