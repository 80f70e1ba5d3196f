"""A dataset without some of its photos and clips, only the shards that held them written again.

A sample whose clip goes hears another one of its split and category, drawn as the build would draw it, a scene in the
place of each clip that goes; where there is none, the sample goes too. Every other byte stays, and what went is in
rejections.parquet with its reason.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.build import scene_sound
from pipelines.publish.records import clip_ids
from pipelines.recipes import recipe
from shards import format, manifest, members, new_dataset, parts, records, storage, tables
from shards.parts import Part
from shards.pools import Pools
from shards.reader import Dataset, by_shard
from shards.records import ClipRecord, SampleRecord, Source
from shards.rejections import Reason, Rejected, rejection
from shards.scene_sound import part
from shards.sound import pcm_of
from shards.writer import Content


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


def write(
    dataset: Dataset, out: str, cut: Cut, progress: Callable[[int, int], None] = lambda done, total: None
) -> Made:
    """Write `dataset` less `cut` to the new folder `out`; the manifest comes last.

    Args:
        progress: told how many shards are done, of how many.

    Raises:
        NoSamples: nothing would be left. ClaimError: `out` holds something else. DatasetError: `dataset` is damaged.
    """
    asked = format.json_bytes({"samples": dict(cut.samples), "clips": dict(cut.clips)})
    source = storage.sha256(storage.join(dataset.url, format.MANIFEST))
    without = hashlib.sha256(asked).hexdigest()
    new_dataset.begin(out, {"command": cut.stage, "dataset": source, "without": without})
    samples, pool = dataset.table(), dataset.table(format.POOL_TABLE)
    left = pool.filter(pc.invert(pc.is_in(pool["clip_id"], pa.array(list(cut.clips), pa.string()))))
    again, lost = _pair_again(dataset, samples, Pools(left), cut)
    silenced = [
        rejection(
            cut.stage,
            row["clip_id"],
            cut.reason,
            cut.clips[row["clip_id"]],
            next(iter(row["categories"]), None),
        )
        for row in pool.to_pylist()
        if row["clip_id"] in cut.clips
    ]
    entries = {entry.path: entry for entry in (*dataset.manifest.shards, *dataset.manifest.pool_shards)}
    made: dict[str, Part] = {}
    rewritten = []
    for table, item, dropped in ((pool, "clip_id", silenced), (samples, "sample_id", lost)):
        gone = {row["item"] for row in dropped}
        for path, rows in by_shard(table):
            progress(len(made), len(entries))
            stay = [row for row in rows if row[item] not in gone]
            if stay == rows and not any(row["key"] in again for row in rows):
                storage.link(storage.join(dataset.url, path), storage.join(out, path))
                there = pa.Table.from_pylist(rows, schema=table.schema)
                made[path] = Part(path, entries[path].bytes, entries[path].sha256, there)
            else:
                rewritten.append(path)
                if stay:
                    encoded = _again(dataset, path, stay, again)
                    made[path] = parts.write_shard_of(out, path, encoded, dataset.manifest.targets)
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
        tuple(sorted(row["sample_id"] for row in samples.to_pylist() if row["key"] in again)),
        tuple(sorted(str(row["item"]) for row in silenced)),
        tuple(rewritten),
    )


Again = tuple[SampleRecord, Content]  # a sample's record and sound, where it hears another clip


def _pair_again(
    dataset: Dataset, samples: pa.Table, pools: Pools, cut: Cut
) -> tuple[dict[str, Again], parts.Rejections]:
    """By key what a sample is now, where it hears another clip; and the samples that go."""
    again: dict[str, Again] = {}
    lost: parts.Rejections = []
    rules = recipe.recorded(dataset.manifest)
    for row in samples.to_pylist():
        gone = [clip_id for clip_id in clip_ids(row) if clip_id in cut.clips]
        why, detail = cut.reason, cut.samples.get(row["key"], "")
        if not detail and gone:
            try:
                again[row["key"]] = _paired_again(dataset, row, gone, pools, rules)
            except Rejected as lacking:
                why, detail = lacking.reason, f"its clip {', '.join(gone)} went, and {lacking.detail}"
        if detail:
            lost.append(rejection(cut.stage, row["sample_id"], why, detail, row["category"]))
    return again, lost


def _paired_again(
    dataset: Dataset, row: dict[str, Any], gone: list[str], pools: Pools, rules: recipe.Recipe | None
) -> Again:
    """A sample with another clip for each that is gone.

    Raises:
        Rejected: there is none, or what it hears cannot be made again.
    """
    record = records.decode(dataset.read_member(row, "json"), SampleRecord)
    if record.kind == "recording" or (record.sound and rules is None):
        raise Rejected(Reason.NO_CLIP, "its sound was imported as it is")
    taken = [pools.ids.index(audio.id) for audio in record.clips if audio.id not in gone]
    sources: list[Source] = []
    sounds: list[Content] = []
    for source in record.sources:
        assert source.audio  # only noise has none, and it hears no clip that could go
        place = pools.ids.index(source.audio.id) if source.audio.id not in gone else None
        if place is None:
            drawn = records.paired_as(record, source)
            place = pools.draw(dataset.manifest.seed, 0, drawn, row["split"], source.category, taken)
            if place is None:
                raise Rejected(Reason.NO_CLIP, f"{row['split']} has no other {source.category} clip")
            taken.append(place)
        (hears,) = pools.clips.slice(place, 1).to_pylist()
        with storage.open_read(storage.join(dataset.url, hears["shard"])) as file:
            sound = members.read(file, hears, "flac")
            clip = records.decode(members.read(file, hears, "json").data, ClipRecord)
        sources.append(msgspec.structs.replace(source, audio=clip.audio))
        sounds.append(sound)
    if not record.sound:
        return msgspec.structs.replace(record, audio=sources[0].audio), sounds[0]
    assert rules is not None
    how = scene_sound.rules(rules)
    parts_of = [
        part(pcm_of(sound.data), how, source.audio.id if source.audio else "")
        for sound, source in zip(sounds, sources, strict=True)
    ]
    heard, told, content = scene_sound.sounded(record.key, record.image.width, sources, parts_of, rules)
    return msgspec.structs.replace(record, scene_sources=heard, sound=told), content


def _again(
    dataset: Dataset, path: str, rows: list[dict[str, Any]], again: Mapping[str, Again]
) -> Iterator[parts.Encoded]:
    """The samples or clips of a shard as they are, but for those that hear another clip."""
    pool = path.startswith(f"{format.POOL}/")
    names = format.CLIP_MEMBERS if pool else dataset.manifest.sample_members
    with storage.open_read(storage.join(dataset.url, path)) as file:
        for row in rows:
            found = {ext: members.read(file, row, ext) for ext in names}
            json = found.pop("json").data
            if row["key"] in again:
                record, found["flac"] = again[row["key"]]
                yield record, found
            elif pool:
                yield records.decode(json, ClipRecord), found
            else:
                yield records.decode(json, SampleRecord), found
