"""Gold: samples under a sound that is surely another category's, mixed in to see how well judges look and listen."""

from collections.abc import Iterable, Iterator, Mapping
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
    rows: Iterable[Mapping[str, Any]],
    pool: Iterable[Mapping[str, Any]],
    wanted: int,
    seed: int,
    kinds: Families | None,
) -> Iterator[tuple[Mapping[str, Any], str]]:
    """The first `wanted` samples (fewer where there are no more) that a wrong clip is known of, each with its key.

    The clip is drawn by hash. Surely wrong is one of another category of which no clip of the pool is a clip, too, and
    that nothing can take for this one (families and groups of the label map).

    Args:
        rows: of `draw.row_of`, single sounds, in the order in which they are taken.
        pool: `key`, `split` and `categories` of its clips.
        kinds: None where nobody knows the label map; then categories that share no clip are other ones.
    """
    together: dict[str, set[str]] = {}
    clips: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for clip in pool:
        for name in clip["categories"]:
            together.setdefault(name, set()).update(clip["categories"])
            clips.setdefault((clip["split"], name), []).append(clip)

    def apart(category: str, other: str) -> bool:
        return other not in together.get(category, {category}) and not _alike(category, other, kinds)

    found = 0
    for row in rows:
        if found == wanted:
            return
        others = [name for split, name in clips if split == row["split"] and apart(row["category"], name)]
        for name in sorted(others, key=lambda name: hashing.hash64("gold", seed, row["sample_id"], name)):
            wrong = [
                clip["key"]
                for clip in clips[row["split"], name]
                if all(apart(row["category"], each) for each in clip["categories"])
            ]
            if wrong:
                found += 1
                yield row, min(wrong, key=lambda key: hashing.hash64("gold", seed, row["sample_id"], key))
                break


def _alike(one: str, other: str, kinds: Families | None) -> bool:
    """Whether a label map has two categories in one family or group."""
    if kinds is None:
        return one == other
    return kinds.group(kinds.of(one)) == kinds.group(kinds.of(other))
