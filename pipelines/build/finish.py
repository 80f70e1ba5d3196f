"""The last step: parts to tables, tables and shards to the manifest, the manifest last."""

import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from label_maps import LabelMap
from pipelines.build import parts
from pipelines.build.stages import count_by
from pipelines.recipes.recipe import Recipe
from shards import format, manifest, storage, tables
from shards.tables import REJECTIONS

# (stage, unit): the funnel's steps, in order.
FUNNEL = (
    ("index", "masks"),
    ("match", "masks"),
    ("measure", "masks"),
    ("select", "masks"),
    ("index", "clips"),
    ("match", "clips"),
    ("select", "clips"),
    ("split", "clips"),
    ("convert", "clips"),
    ("cap", "samples"),
    ("limit", "samples"),
    ("split", "samples"),
    ("trim", "samples"),
    ("pair", "samples"),
    ("shard", "samples"),
)
ROWS_PER_GROUP = 16_384  # of the tables beside the shards
Counts = dict[tuple[str, str, str, str], int]  # (stage, unit, "in" | "kept" | reason, category) -> items


def funnel(counts: Counts) -> tuple[dict[str, Any], ...]:
    """One entry a step that saw anything: `stage`, `unit`, `in`, `kept`, `rejected` per reason."""
    steps = []
    for stage, unit in FUNNEL:
        events: Counter[str] = Counter()
        for (found_stage, found_unit, event, _), number in counts.items():
            if (found_stage, found_unit) == (stage, unit):
                events[event] += number
        entered, kept = events.pop("in", 0), events.pop("kept", 0)
        rejected = {reason: number for reason, number in sorted(events.items()) if number}
        assert entered == kept + sum(rejected.values()), (stage, unit, entered, kept, rejected)
        if entered:
            steps.append({"stage": stage, "unit": unit, "in": entered, "kept": kept, "rejected": rejected})
    return tuple(steps)


def samples_per_category(counts: Counts) -> dict[str, int]:
    """Samples that were paired with a clip, per category."""
    return {
        key[3]: number for key, number in sorted(counts.items()) if key[:3] == ("pair", "samples", "kept")
    }


def write_rejections(table: pa.Table, out: str, buckets: int) -> str:
    """One sorted slice of rejections.parquet, below the work folder."""
    bucket = zlib.crc32(table["item"][0].as_py().encode()) % buckets
    url = storage.join(out, parts.WORK, "rejections", f"{bucket:04d}.parquet")
    rows = table.sort_by([(name, "ascending") for name in REJECTIONS.names])
    with storage.open_atomic(url) as file:
        pq.write_table(rows, file)
    return url


def finish(
    out: str,
    recipe: Recipe,
    label_map: LabelMap,
    held_out: tuple[dict[str, Any], ...],
    counts: Counts,
    shard_paths: Iterable[str],
    rejections: Iterable[str],
) -> str:
    """Write the tables and the manifest; gives the manifest's URL."""
    paths = sorted(shard_paths)
    by_split = {
        split: [path for path in paths if path.startswith(f"{split}/")] for split in (*format.SPLITS, "pool")
    }
    parts.sweep(out, paths)
    entries: dict[str, list[manifest.ShardEntry]] = {"shards": [], "pool_shards": []}

    def rows(splits: Iterable[str], kind: str, schema: pa.Schema) -> Iterator[pa.Table]:
        for path in (path for split in splits for path in by_split[split]):
            part = parts.load(out, path)
            entries[kind].append(shard_entry(part))
            storage.settle(storage.join(out, path))
            yield part.rows.select(schema.names)

    found = {
        format.SAMPLES: write_table(
            out, format.SAMPLES, tables.SAMPLES, rows(format.SPLITS, "shards", tables.SAMPLES)
        ),
        format.POOL_TABLE: write_table(
            out, format.POOL_TABLE, tables.POOL, rows(["pool"], "pool_shards", tables.POOL)
        ),
        format.REJECTIONS: write_table(out, format.REJECTIONS, REJECTIONS, _slices(rejections)),
    }
    totals = {}
    for split in format.SPLITS:
        categories: Counter[str] = Counter()
        for entry in entries["shards"]:
            if entry.split == split:
                categories.update(entry.categories)
        totals[split] = {"samples": sum(categories.values()), "categories": dict(sorted(categories.items()))}
    made = manifest.Manifest(
        name=recipe.name,
        seed=recipe.seed,
        recipe={"text": recipe.text, "sha256": recipe.sha256},
        label_map={"name": label_map.name, "version": label_map.version, "sha256": label_map.sha256},
        code=parts.code_versions(),
        counts=totals,
        shards=tuple(entries["shards"]),
        pool_shards=tuple(entries["pool_shards"]),
        tables=found,
        funnel=funnel(counts),
        held_out=held_out,
    )
    url = storage.join(out, format.MANIFEST)
    storage.write_atomic(url, manifest.dump(made))
    return url


def shard_entry(part: parts.Part) -> manifest.ShardEntry:
    rows = part.rows
    if "category" in rows.column_names:
        split, categories = part.path.split("/")[0], count_by(rows, "category")
    else:
        split, categories = "pool", Counter(pc.list_flatten(rows["categories"]).to_pylist())
    return manifest.ShardEntry(
        part.path, split, rows.num_rows, part.bytes, part.sha256, dict(sorted(categories.items()))
    )


def _slices(urls: Iterable[str]) -> Iterator[pa.Table]:
    for url in sorted(urls):
        with storage.open_read(url) as file:
            yield pq.read_table(file)


def write_table(out: str, name: str, schema: pa.Schema, rows: Iterable[pa.Table]) -> manifest.TableEntry:
    """One Parquet file of many tables, in row groups of ROWS_PER_GROUP and a last one."""
    url, number = storage.join(out, name), 0
    waiting = schema.empty_table()
    with storage.open_atomic(url) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for table in rows:
            number += table.num_rows
            waiting = pa.concat_tables([waiting, table])
            whole = len(waiting) // ROWS_PER_GROUP * ROWS_PER_GROUP
            if whole:
                writer.write_table(waiting.slice(0, whole), ROWS_PER_GROUP)
                waiting = waiting.slice(whole).combine_chunks()
        if len(waiting):
            writer.write_table(waiting)
    return manifest.TableEntry(number, storage.size(url), storage.sha256(url))


def write_report(url: str, counts: Counts) -> None:
    """The counts of a dry run, for the command to print."""
    storage.write_atomic(url, json.dumps([[*key, number] for key, number in sorted(counts.items())]).encode())


def read_report(url: str) -> Counts:
    return {tuple(key): number for *key, number in json.loads(storage.read_bytes(url))}
