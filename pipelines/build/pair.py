"""Stages cap and pair: which samples stay when only some may, and which clip each one hears."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.build.outcome import Outcome
from shards import hashing, tables
from shards.pools import Pools
from shards.rejections import Reason, rejection

# What a sample takes over from its clip: where its sound and record are.
CLIP_COLUMNS = ("clip_id", "shard", "flac_offset", "flac_size", "json_offset", "json_size", "json_sha256")


def ranks(table: pa.Table, seed: int) -> np.ndarray:
    """uint64 (rows,), 63 bits used (Beam's integers are signed): the lowest stay when only some may."""
    ids = table["sample_id"].to_pylist()
    return np.fromiter(
        (hashing.hash64(seed, "rank", sample_id) >> 1 for sample_id in ids), np.uint64, len(ids)
    )


def ranks_by(table: pa.Table, seed: int, column: str | None) -> Iterator[tuple[str, np.ndarray]]:
    """The ranks of a table's samples per value of a column, or all under ''."""
    values = np.array(table[column].to_pylist() if column else [""] * len(table), dtype=object)
    found = ranks(table, seed)
    for value in sorted(set(values)):
        yield value, found[values == value]


_REASONS = {"cap": Reason.OVER_CLASS_CAP, "limit": Reason.OVER_LIMIT, "trim": Reason.OVER_SPLIT_SIZE}


def keep_lowest(
    table: pa.Table, cutoffs: dict[str, int | None], seed: int, column: str | None, stage: str
) -> Outcome:
    """Keep samples whose rank is below the cut-off of their group; None: all of the group."""
    values = table[column].to_pylist() if column else [""] * len(table)
    limits = [cutoffs.get(value) for value in values]
    found = ranks(table, seed)
    kept = np.array(
        [limit is None or rank < limit for limit, rank in zip(limits, found.tolist(), strict=True)], bool
    )
    rows = table.select(["sample_id", "category"]).filter(pa.array(~kept)).to_pylist()
    detail = f"others of the same {column or 'dataset'} have a lower hash"
    rejections = [
        rejection(stage, row["sample_id"], _REASONS[stage], detail, row["category"]) for row in rows
    ]
    return Outcome.of(table.filter(pa.array(kept)), rejections)


def slim(pool: pa.Table) -> pa.Table:
    """What pairing needs of a pool (`shards.tables.POOL`): about 250 bytes a clip, for every worker to know."""
    return pool.select([*CLIP_COLUMNS, "split", "categories"])


def arranged(found: list[pa.Table]) -> Pools:
    """The pools, from the slices of a pool in any order."""
    return Pools(pa.concat_tables([slim(tables.POOL.empty_table()), *found]))


def pair(table: pa.Table, pools: Pools, seed: int) -> Outcome:
    """Add the frozen clip of epoch 0 to samples: CLIP_COLUMNS with `clip_` in front where it is missing."""
    rows = table.select(["sample_id", "split", "category"]).to_pylist()
    drawn = [pools.draw(seed, 0, row["sample_id"], row["split"], row["category"]) for row in rows]
    rejections = [
        rejection(
            "pair",
            row["sample_id"],
            Reason.NO_CLIP,
            f"no {row['category']} clip in {row['split']}",
            row["category"],
        )
        for row, index in zip(rows, drawn, strict=True)
        if index is None
    ]
    indices = pa.array(drawn, pa.int64())
    table = table.filter(pc.is_valid(indices))
    clips = pools.clips.take(indices.drop_null())
    for name in CLIP_COLUMNS:
        table = table.append_column("clip_" + name.removeprefix("clip_"), clips[name])
    return Outcome.of(table, rejections)
