"""A dataset without some of its photos and clips, only the shards that held them written again.

A sample whose clip goes hears another one of its split and category, drawn as the build would draw it; where there is
none, the sample goes too. Every other byte stays, and what went is in rejections.parquet with its reason.
"""

import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.build import parts
from pipelines.publish import records
from shards import format, hashing, manifest, storage, tables
from shards.reader import Dataset
from shards.rejections import Reason, rejection
from shards.writer import Content, write_shard


@dataclass(frozen=True)
class Cut:
    """What to take away: sample keys and clip ids, each with the detail that the record of it gets."""

    stage: str  # takedown | profile
    reason: Reason
    samples: Mapping[str, str]
    clips: Mapping[str, str]
    beside: Mapping[str, bytes] = field(default_factory=dict)  # further files of the new dataset


@dataclass(frozen=True)
class Made:
    """A smaller dataset: its manifest, and what became of the samples."""

    manifest: manifest.Manifest
    dropped: tuple[str, ...]  # sample ids
    repaired: tuple[str, ...]  # sample ids that hear another clip
    rewritten: tuple[str, ...]  # shards


def write(dataset: Dataset, out: str, cut: Cut) -> Made:
    """Write `dataset` less `cut` to the new folder `out`; the manifest comes last.

    Raises:
        DatasetError: nothing would be left, or `out` holds something else.
    """
    claim = format.json_bytes(
        {"from": storage.sha256(storage.join(dataset.url, format.MANIFEST)), "cut": _plain(cut)}
    )
    _claim(out, claim)
    samples, pool = dataset.table(), dataset.table(format.POOL_TABLE)
    rejections: list[dict[str, str | None]] = []
    clips = {row["clip_id"]: row for row in pool.to_pylist() if row["clip_id"] not in cut.clips}
    rejections += [
        rejection(cut.stage, row["clip_id"], cut.reason, cut.clips[row["clip_id"]], row["categories"][0])
        for row in pool.to_pylist()
        if row["clip_id"] in cut.clips
    ]
    kept, repaired = _pair_again(dataset, samples, clips, cut, rejections)
    if not kept:
        raise manifest.DatasetError(
            f"nothing of {dataset.url} would be left: {len(samples)} samples and all gone; ask for less to go"
        )
    entries: dict[str, manifest.ShardEntry] = {
        entry.path: entry for entry in (*dataset.manifest.shards, *dataset.manifest.pool_shards)
    }
    written: dict[str, list[pa.Table]] = {format.SAMPLES: [], format.POOL_TABLE: []}
    rewritten = []
    for name, table, schema in (
        (format.POOL_TABLE, pool, tables.POOL),
        (format.SAMPLES, samples, tables.SAMPLES),
    ):
        for path, rows in records.by_shard(table):
            if name == format.POOL_TABLE:
                left = [row for row in rows if row["clip_id"] in clips]
                changed = len(left) < len(rows)
            else:
                left = [kept[row["key"]] for row in rows if row["key"] in kept]
                changed = len(left) < len(rows) or any(row["sample_id"] in repaired for row in left)
            if not changed:
                storage.link(storage.join(dataset.url, path), storage.join(out, path))
            else:
                rewritten.append(path)
                left, entry = _rewrite(dataset, out, entries.pop(path), left, clips, repaired)
                if entry is None:
                    continue
                entries[path] = entry
            written[name].append(pa.Table.from_pylist(left, schema=schema))
    made = _finish(dataset, out, cut, entries, written, rejections)
    return Made(
        made,
        tuple(sorted(set(samples["sample_id"].to_pylist()) - {row["sample_id"] for row in kept.values()})),
        tuple(sorted(repaired)),
        tuple(rewritten),
    )


def _plain(cut: Cut) -> dict[str, Any]:
    return {"stage": cut.stage, "samples": dict(cut.samples), "clips": dict(cut.clips)}


def _claim(out: str, claim: bytes) -> None:
    url = storage.join(out, parts.WORK, "subset.json")
    if storage.exists(url):
        if storage.read_bytes(url) != claim:
            raise manifest.DatasetError(f"{out} holds another dataset; give another --out, or remove it")
    elif storage.names(out):
        raise manifest.DatasetError(f"{out} is not empty; give another --out")
    storage.write_atomic(url, claim)
    storage.remove(storage.join(out, format.MANIFEST))


def _pair_again(
    dataset: Dataset,
    samples: pa.Table,
    clips: Mapping[str, dict[str, Any]],
    cut: Cut,
    rejections: list[dict[str, str | None]],
) -> tuple[dict[str, dict[str, Any]], set[str]]:
    """Rows that stay, by key, each with its clip's columns; and the sample ids that hear another clip."""
    pools: dict[tuple[str, str], list[str]] = {}
    for clip_id in sorted(clips):
        for category in clips[clip_id]["categories"]:
            pools.setdefault((clips[clip_id]["split"], category), []).append(clip_id)
    hashes = {group: hashing.pool_hashes(ids) for group, ids in pools.items()}
    kept, repaired = {}, set()
    for row in samples.to_pylist():
        if row["key"] in cut.samples:
            detail = cut.samples[row["key"]]
            rejections.append(rejection(cut.stage, row["sample_id"], cut.reason, detail, row["category"]))
            continue
        if row["clip_id"] not in clips:
            group = (row["split"], row["category"])
            if group not in pools:
                detail = (
                    f"its clip {row['clip_id']} went, and {row['split']} has no other {row['category']} clip"
                )
                rejections.append(
                    rejection(cut.stage, row["sample_id"], Reason.NO_CLIP, detail, row["category"])
                )
                continue
            drawn = hashing.pair(dataset.manifest.seed, 0, row["sample_id"], hashes[group])
            clip = clips[pools[group][drawn]]
            repaired.add(row["sample_id"])
            row = {
                **row,
                "clip_id": clip["clip_id"],
                "video_id": clip["video_id"],
                "duration_s": clip["duration_s"],
                "audio_licence": clip["licence"],
            }
        kept[row["key"]] = row
    return kept, repaired


def _rewrite(
    dataset: Dataset,
    out: str,
    entry: manifest.ShardEntry,
    rows: list[dict[str, Any]],
    clips: Mapping[str, dict[str, Any]],
    repaired: set[str],
) -> tuple[list[dict[str, Any]], manifest.ShardEntry | None]:
    """Write one shard again with the rows that stay; None where none does."""
    if not rows:
        return [], None
    extensions = format.CLIP_MEMBERS if entry.split == format.POOL else format.SAMPLE_MEMBERS

    def contents() -> Iterator[tuple[str, dict[str, Content]]]:
        with storage.open_read(storage.join(dataset.url, entry.path)) as file:
            for row in rows:
                content = {ext: Content.of(records.read(file, row, ext)) for ext in extensions}
                if row.get("sample_id") in repaired:
                    clip = clips[row["clip_id"]]
                    content["flac"] = Content.of(dataset.read_member(clip, "flac"))
                    record = json.loads(content["json"].data)
                    sound = json.loads(dataset.read_member(clip, "json"))
                    record["audio"] = {
                        name: value for name, value in sound.items() if name not in ("categories", "split")
                    }
                    content["json"] = Content.of(format.json_bytes(record))
                yield row["key"], content

    shard = write_shard(storage.join(out, entry.path), contents())
    rows = [{**row, **parts.member_columns(shard.members[row["key"]])} for row in rows]
    names = [name for row in rows for name in row.get("categories", [row.get("category")])]
    categories = dict(sorted(Counter(names).items()))
    return rows, replace(
        entry, samples=len(rows), bytes=shard.bytes, sha256=shard.sha256, categories=categories
    )


def _finish(
    dataset: Dataset,
    out: str,
    cut: Cut,
    entries: dict[str, manifest.ShardEntry],
    written: dict[str, list[pa.Table]],
    rejections: list[dict[str, str | None]],
) -> manifest.Manifest:
    old = dataset.table(format.REJECTIONS)
    new = pa.Table.from_pylist(rejections, schema=tables.REJECTIONS)
    written[format.REJECTIONS] = [old, new]
    schemas = {
        format.SAMPLES: tables.SAMPLES,
        format.POOL_TABLE: tables.POOL,
        format.REJECTIONS: tables.REJECTIONS,
    }
    found = {name: write_table(storage.join(out, name), schemas[name], written[name]) for name in schemas}
    samples = pa.concat_tables([tables.SAMPLES.empty_table(), *written[format.SAMPLES]])
    counts = {}
    for split in format.SPLITS:
        rows = samples.filter(pa.compute.equal(samples["split"], split))
        categories = dict(sorted(Counter(rows["category"].to_pylist()).items()))
        counts[split] = {"samples": rows.num_rows, "categories": categories}
    steps = []
    for unit, before, after in (
        ("clips", dataset.manifest.tables[format.POOL_TABLE].rows, found[format.POOL_TABLE].rows),
        ("samples", dataset.manifest.tables[format.SAMPLES].rows, samples.num_rows),
    ):
        reasons = Counter(
            str(row["reason"]) for row in rejections if ("|" in str(row["item"])) == (unit == "samples")
        )
        steps.append(
            {
                "stage": cut.stage,
                "unit": unit,
                "in": before,
                "kept": after,
                "rejected": dict(sorted(reasons.items())),
            }
        )
    made = replace(
        dataset.manifest,
        counts=counts,
        shards=tuple(entries[entry.path] for entry in dataset.manifest.shards if entry.path in entries),
        pool_shards=tuple(
            entries[entry.path] for entry in dataset.manifest.pool_shards if entry.path in entries
        ),
        tables=found,
        funnel=(*dataset.manifest.funnel, *steps),
    )
    for name, content in cut.beside.items():
        storage.write_atomic(storage.join(out, name), content)
    storage.write_atomic(storage.join(out, format.MANIFEST), manifest.dump(made))
    return made


def write_table(url: str, schema: pa.Schema, parts_: list[pa.Table]) -> manifest.TableEntry:
    """One table, a row group a part, and how the manifest lists it."""
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, schema, compression="zstd") as writer:
        for table in parts_:
            writer.write_table(table)
    content = buffer.getvalue()
    storage.write_atomic(url, content)
    return manifest.TableEntry(sum(table.num_rows for table in parts_), len(content), _sha256(content))


def _sha256(content: bytes) -> str:
    return Content.of(content).sha256
