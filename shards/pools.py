"""Which clips a sample may hear: those of its split and category; and which one it hears in an epoch."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from shards import hashing


class Pools:
    """The clips of every split and category, sorted by id, ready to draw from.

    Args:
        clips: any columns of pool.parquet beside `clip_id`, `split` and `categories`, in any order of rows.

    Attributes:
        clips: the same rows, sorted by clip id. ids: their clip ids.
    """

    def __init__(self, clips: pa.Table) -> None:
        self.clips = clips.sort_by("clip_id").combine_chunks()
        self.ids: list[str] = self.clips["clip_id"].to_pylist()
        hashes = hashing.pool_hashes(self.ids)
        rows: dict[tuple[str, str], list[int]] = defaultdict(list)
        splits, categories = self.clips["split"].to_pylist(), self.clips["categories"].to_pylist()
        for index, (split, names) in enumerate(zip(splits, categories, strict=True)):
            for name in names:
                rows[split, name].append(index)
        self._pools = {group: (np.array(found), hashes[found]) for group, found in rows.items()}

    def of(self, split: str, category: str) -> list[str]:
        """Ids of the clips that samples of a split and category may hear, sorted; empty where there is none."""
        found = self._pools.get((split, category))
        return [] if found is None else [self.ids[index] for index in found[0]]

    def draw(
        self, seed: int, epoch: int, sample_id: str, split: str, category: str, taken: Sequence[int] = ()
    ) -> int | None:
        """Row of `clips` that a sample hears; None where its split has no clip of the category.

        Args:
            taken: rows that other sources of the sample hear: it hears the next one, if there is one.
        """
        found = self._pools.get((split, category))
        if found is None:
            return None
        rows, hashes = found
        if taken:
            free = ~np.isin(rows, taken)
            rows, hashes = rows[free], hashes[free]
        return int(rows[hashing.pair(seed, epoch, sample_id, hashes)]) if len(rows) else None
