"""A dataset without some of its photos and clips, only the shards that held them written again.

A sample whose clip goes hears another one of its split and category, drawn as the build would draw it; where there is
none, the sample goes too. Every other byte stays, and what went is in rejections.parquet with its reason.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from shards import format, manifest, members, new_dataset, parts, records, storage, tables
from shards.parts import Part
from shards.pools import Pools
from shards.reader import Dataset, by_shard
from shards.records import ClipRecord, SampleRecord
from shards.rejections import Reason, rejection


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
    clips: tuple[str, ...]  # ids of clips that left the pool
    rewritten: tuple[str, ...]  # shards


def write(dataset: Dataset, out: str, cut: Cut) -> Made:
    """Write `dataset` less `cut` to the new folder `out`; the manifest comes last.

    Raises:
        NoSamples: nothing would be left. ClaimError: `out` holds something else. DatasetError: `dataset` is damaged.
    """
    asked = format.json_bytes({"samples": dict(cut.samples), "clips": dict(cut.clips)})
    source = storage.sha256(storage.join(dataset.url, format.MANIFEST))
    without = hashlib.sha256(asked).hexdigest()
    new_dataset.begin(out, {"command": cut.stage, "dataset": source, "without": without})
    samples, pool = dataset.table(), dataset.table(format.POOL_TABLE)
    left = pool.filter(pc.invert(pc.is_in(pool["clip_id"], pa.array(list(cut.clips), pa.string()))))
    heard, lost = _pair_again(dataset, samples, Pools(left), cut)
    silenced = [
        rejection(cut.stage, row["clip_id"], cut.reason, cut.clips[row["clip_id"]], row["categories"][0])
        for row in pool.to_pylist()
        if row["clip_id"] in cut.clips
    ]
    entries = {entry.path: entry for entry in (*dataset.manifest.shards, *dataset.manifest.pool_shards)}
    made: dict[str, Part] = {}
    rewritten = []
    for table, item, dropped in ((pool, "clip_id", silenced), (samples, "sample_id", lost)):
        gone = {row["item"] for row in dropped}
        for path, rows in by_shard(table):
            stay = [row for row in rows if row[item] not in gone]
            if stay == rows and not any(row["key"] in heard for row in rows):
                storage.link(storage.join(dataset.url, path), storage.join(out, path))
                there = pa.Table.from_pylist(rows, schema=table.schema)
                made[path] = Part(path, entries[path].bytes, entries[path].sha256, there)
            else:
                rewritten.append(path)
                if stay:
                    made[path] = parts.write_shard_of(out, path, _again(dataset, path, stay, heard))
    steps = [
        new_dataset.step(cut.stage, unit, len(table), Counter(str(row["reason"]) for row in rows))
        for unit, table, rows in (("clips", pool, silenced), ("samples", samples, lost))
    ]
    complete = new_dataset.complete(
        out,
        replace(dataset.manifest, funnel=(*dataset.manifest.funnel, *steps)),
        made,
        made.__getitem__,
        [
            dataset.table(format.REJECTIONS),
            tables.rejected(silenced, "clips"),
            tables.rejected(lost, "samples"),
        ],
        cut.beside,
    )
    return Made(
        complete,
        tuple(sorted(str(row["item"]) for row in lost)),
        tuple(sorted(row["sample_id"] for row in samples.to_pylist() if row["key"] in heard)),
        tuple(sorted(str(row["item"]) for row in silenced)),
        tuple(rewritten),
    )


def _pair_again(
    dataset: Dataset, samples: pa.Table, pools: Pools, cut: Cut
) -> tuple[dict[str, dict[str, Any]], parts.Rejections]:
    """By key the clip that a sample hears now, where it is another one; and the samples that go."""
    heard: dict[str, dict[str, Any]] = {}
    lost: parts.Rejections = []
    for row in samples.to_pylist():
        sample_id, split, category = row["sample_id"], row["split"], row["category"]
        if row["key"] in cut.samples:
            lost.append(rejection(cut.stage, sample_id, cut.reason, cut.samples[row["key"]], category))
        elif row["clip_id"] in cut.clips:
            drawn = pools.draw(dataset.manifest.seed, 0, sample_id, split, category)
            if drawn is None:
                detail = f"its clip {row['clip_id']} went, and {split} has no other {category} clip"
                lost.append(rejection(cut.stage, sample_id, Reason.NO_CLIP, detail, category))
            else:
                (heard[row["key"]],) = pools.clips.slice(drawn, 1).to_pylist()
    return heard, lost


def _again(
    dataset: Dataset, path: str, rows: list[dict[str, Any]], heard: Mapping[str, dict[str, Any]]
) -> Iterator[parts.Encoded]:
    """The samples or clips of a shard as they are, but for the sound of those that hear another clip."""
    pool = path.startswith(f"{format.POOL}/")
    with storage.open_read(storage.join(dataset.url, path)) as file:
        for row in rows:
            found = {
                ext: members.read(file, row, ext)
                for ext in (format.CLIP_MEMBERS if pool else dataset.manifest.sample_members)
            }
            json = found.pop("json").data
            if pool:
                yield records.decode(json, ClipRecord), found
                continue
            record = records.decode(json, SampleRecord)
            if row["key"] in heard:
                clip = heard[row["key"]]
                with storage.open_read(storage.join(dataset.url, clip["shard"])) as sounds:
                    found["flac"] = members.read(sounds, clip, "flac")
                    told = records.decode(members.read(sounds, clip, "json").data, ClipRecord)
                record = msgspec.structs.replace(record, audio=told.audio)
            yield record, found
