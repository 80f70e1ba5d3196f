"""Stages cap and pair: which samples stay when only some may, and which clip each one hears."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.build import slices
from pipelines.build.compose import SCENES, SOURCE
from pipelines.build.outcome import Outcome
from pipelines.build.slices import Slice
from shards import hashing, tables
from shards.pools import Pools
from shards.rejections import Reason, rejection

# What a sample takes over from its clip: where its sound and record are.
CLIP_COLUMNS = ("clip_id", "shard", "flac_offset", "flac_size", "json_offset", "json_size", "json_sha256")


_ROWS = 2_048  # turned into Python objects at a time: decides memory, never the output


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


def park(found: list[pa.Table], parked: str) -> Slice:
    """Put the pool aside, from the slices of a pool in any order: what a task is given is where it lies."""
    pool = pa.concat_tables([slim(tables.POOL.empty_table()), *found]).sort_by("clip_id")
    (where,) = slices.write([pool], parked)
    return where


@lru_cache(1)  # for all tasks of a process
def parked(pool: Slice) -> Pools:
    return Pools(slices.read(pool))


_CLIP = pa.struct({name: tables.POOL.field(name).type for name in CLIP_COLUMNS})
_PAIRED = {
    **{
        name: SCENES.field(name).type
        for name in SCENES.names
        if not name.startswith(("fault", "absent", "off"))
    },
    "sources": pa.list_(pa.struct([*SOURCE, pa.field("clip", _CLIP)])),
}


def pair_scenes(table: pa.Table, pools: Pools, seed: int) -> Outcome:
    """Give each source of SCENES its frozen clip, as `clip`, with CLIP_COLUMNS; off-screen sound becomes a source.

    A source hears what it hears alone, unless another of the scene has that clip already.
    """
    rejections = []
    kept: list[pa.RecordBatch] = []
    for batch in table.to_batches(_ROWS):
        paired = []
        for row in batch.to_pylist():
            if row["kind"] == "off_screen":
                row["sources"] = _off_screen(row, pools, seed)
            lacking = _draw(row, pools, seed)
            if lacking:
                told = (row["sample_id"], Reason.NO_CLIP, lacking, row["category"])
                rejections.append(rejection("pair", *told))
            else:
                paired.append({name: row[name] for name in _PAIRED})
        kept.append(pa.RecordBatch.from_pylist(paired, schema=pa.schema(_PAIRED)))
    return Outcome.of(pa.Table.from_batches(kept, pa.schema(_PAIRED)), rejections)


def _off_screen(row: dict[str, Any], pools: Pools, seed: int) -> list[dict[str, Any]]:
    """What sounds off the screen: categories that the split has clips of, those of lowest hash; none: there is none."""
    heard = [name for name in row["absent"] if pools.of(row["split"], name)]
    heard.sort(key=lambda name: hashing.hash64(seed, "off_screen", row["sample_id"], name))
    unseen = {"sample_id": row["sample_id"], "mask_ids": [], "area_px": 0, "bbox": [0, 0, 0, 0]}
    return [{**unseen, "category": category} for category in heard[: row["off_screen"]]]


def _draw(row: dict[str, Any], pools: Pools, seed: int) -> str:
    """Add `clip` to the sources of a scene; what lacks, empty if nothing does."""
    if row["kind"] == "off_screen" and not row["sources"]:
        return f"no clip in {row['split']} of {len(row['absent'])} categories that it surely does not show"
    taken: list[int] = []
    for source in row["sources"]:
        index = pools.draw(seed, 0, source["sample_id"], row["split"], source["category"], taken)
        if index is None:
            more = f"; {len(taken)} are taken" if taken else ""
            return f"no {source['category']} clip in {row['split']}{more}"
        taken.append(index)
        (source["clip"],) = pools.clips.slice(index, 1).select(CLIP_COLUMNS).to_pylist()
    return ""


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
