"""Gold: samples under a sound that is surely another category's, mixed in to see how well judges look and listen."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import label_maps
from label_maps import LabelMap
from pipelines.build.absence import Families
from shards import hashing
from shards.errors import AvsError
from shards.manifest import Manifest


def families(made: Manifest) -> Families | None:
    """Of the label map that a dataset was built by, where it ships and is still the same."""
    try:
        found: LabelMap = label_maps.load(made.label_map["name"])
    except (AvsError, OSError, ValueError):
        return None
    return Families(found) if found.version == made.label_map["version"] else None


def choose(
    rows: Sequence[Mapping[str, Any]],
    pool: Sequence[Mapping[str, Any]],
    wanted: int,
    seed: int,
    never: Collection[str],
    kinds: Families | None,
) -> Iterator[tuple[Mapping[str, Any], str]]:
    """`wanted` samples (fewer where there are no more), each with the key of a clip that is surely wrong.

    Both are drawn by hash. Surely wrong is a clip of another category of which no clip of the pool is a clip, too, and
    that nothing can take for this one (families and groups of the label map).

    Args:
        rows: of `draw.row_of`. pool: `key`, `split` and `categories` of its clips.
        never: keys of samples that are not taken. kinds: None where nobody knows the label map; then categories that
            share no clip are other ones.
    """
    together: dict[str, set[str]] = {}
    for clip in pool:
        for name in clip["categories"]:
            together.setdefault(name, set()).update(clip["categories"])

    def apart(category: str, clip: Mapping[str, Any]) -> bool:
        return all(
            other not in together.get(category, {category}) and not _alike(category, other, kinds)
            for other in clip["categories"]
        )

    alone = [row for row in rows if row["kind"] == "single" and row["key"] not in never]
    alone.sort(key=lambda row: hashing.hash64("gold", seed, row["sample_id"]))
    found = 0
    for row in alone:
        if found == wanted:
            return
        ordered = sorted(
            (clip for clip in pool if clip["split"] == row["split"] and clip["categories"]),
            key=lambda clip: hashing.hash64("gold", seed, row["sample_id"], clip["key"]),
        )
        wrong = next((clip for clip in ordered if apart(row["category"], clip)), None)
        if wrong:
            found += 1
            yield row, wrong["key"]


def _alike(one: str, other: str, kinds: Families | None) -> bool:
    """Whether a label map has two categories in one family or group."""
    if kinds is None:
        return one == other
    return kinds.group(kinds.of(one)) == kinds.group(kinds.of(other))
