"""Find samples, clips and what was dropped by any id, in columns: a table of any length stays a table."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.corpora import registry

SHORTEST = 6  # digits of a key that name it
_OF_ONE, _OF_SEVERAL = ("image_id", "clip_id", "video_id"), ("clip_ids", "video_ids", "mask_ids")


def names(asked: str) -> list[str]:
    """An id as people write it, and with each corpus in front of it."""
    return [asked, *(f"{corpus}:{asked}" for corpus in registry.corpora())]


def samples(table: pa.Table, asked: str) -> np.ndarray:
    """Rows of samples.parquet that an id names, ascending, (n,) int64.

    Args:
        table: its ids, or all of it.
        asked: a key or its first digits (SHORTEST at least), a sample id; else an image, mask, clip or video id. The
            corpus in front of an id may be missing.
    """
    ids = pa.array(names(asked))
    found = _rows(pc.or_(pc.equal(table["key"], asked), pc.is_in(table["sample_id"], ids)))
    if not len(found) and len(asked) >= SHORTEST:
        found = _rows(pc.starts_with(table["key"], asked))
    if not len(found):
        several = [name for name in _OF_SEVERAL if name in table.column_names]
        found = np.unique(
            np.concatenate(
                [
                    *(_rows(pc.is_in(table[name], ids)) for name in _OF_ONE),
                    *(having(table[name], ids) for name in several),
                ]
            )
        )
    return found


def having(column: pa.ChunkedArray, values: pa.Array) -> np.ndarray:
    """Rows whose list holds one of some values, ascending, (n,) int64."""
    lists = column.combine_chunks()
    within = pc.is_in(pc.list_flatten(lists), values)
    return np.unique(pc.list_parent_indices(lists).filter(within).to_numpy(zero_copy_only=False))


def dropped(items: pa.Array | pa.ChunkedArray, asked: str) -> pa.Array | pa.ChunkedArray:
    """Which items of rejections.parquet an id names: itself, its samples, the clips of a video. (n,) bool."""
    ids = "|".join(map(re.escape, sorted(names(asked))))
    sounds = "|".join(registry.names("sounds"))
    clip = f"({sounds}):{re.escape(asked)}_[0-9]{{6}}"  # of a video
    return pc.match_substring_regex(items, rf"^(({ids})([|].*)?|{clip})$")


def _rows(mask: pa.ChunkedArray) -> np.ndarray:
    return np.flatnonzero(pc.fill_null(mask, False).to_numpy())
