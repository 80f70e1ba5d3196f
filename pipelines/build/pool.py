"""Clips: which may be used, and the pool's shards, where each is decoded once for all samples that hear it."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pyarrow as pa

from label_maps import LabelMap
from pipelines.build import parts
from pipelines.build.outcome import Outcome
from pipelines.media import audio
from pipelines.recipes.recipe import Select
from shards import format, storage, tables
from shards.guard import guarded
from shards.rejections import Reason, Rejected, rejection
from shards.writer import Content, Member


def select_clips(table: pa.Table, corpora: str, rules: Select) -> Outcome:
    """Clips whose media is there and whose licence is allowed; adds `key` and `stamp` (of the file)."""
    rows = table.select(["clip_id", "clip_path", "licence", "category"]).to_pylist()
    looks = list(storage.together(corpora, partial(_look, corpora=corpora, rules=rules), rows))
    rejections = [
        rejection("select", row["clip_id"], look.reason, look.detail, row["category"])
        for row, look in zip(rows, looks, strict=True)
        if isinstance(look, Rejected)
    ]
    table = table.filter(pa.array([isinstance(look, str) for look in looks], pa.bool_()))
    keys = [format.key_of(clip_id) for clip_id in table["clip_id"].to_pylist()]
    table = table.append_column("key", pa.array(keys, pa.string()))
    stamps = pa.array([look for look in looks if isinstance(look, str)], pa.string())
    return Outcome.of(table.append_column("stamp", stamps), rejections)


def _look(row: dict[str, Any], corpora: str, rules: Select) -> str | Rejected:
    """The stamp of a clip's file, or why it is dropped."""
    if rules.audio_licences and row["licence"] not in rules.audio_licences:
        return Rejected(Reason.LICENCE, f"{row['licence']}; allowed: {', '.join(rules.audio_licences)}")
    name = row["clip_id"].split(":", 1)[1]
    if row["clip_path"] is None:
        return Rejected(Reason.CLIP_MISSING, name)
    try:
        return storage.stamp(storage.join(corpora, row["clip_path"]))
    except FileNotFoundError:
        return Rejected(Reason.CLIP_MISSING, f"{name}: no file")


def label_link(label_map: LabelMap, source: str, source_id: str) -> dict[str, str]:
    """How KEY.json names a label: the label map's link; `synset` is empty but for LVIS."""
    link = label_map.link(source, source_id)
    assert link is not None, (source, source_id)
    record = {"source": source, "source_id": source_id, "name": link.label, "relation": link.relation}
    return record | {"decided_by": link.decided_by, "decided_on": link.decided_on, "synset": link.synset}


def write_clips(table: pa.Table, corpora: str, out: str, rules: Select, label_map: LabelMap) -> Outcome:
    """Convert the clips of one pool shard and write it; kept rows are `shards.tables.POOL`."""
    records: dict[str, dict[str, Any]] = {}

    def encode(row: dict[str, Any], rejections: parts.Rejections) -> parts.Encoded | None:
        flac = guarded(row["clip_id"], lambda: _flac(storage.join(corpora, row["clip_path"]), rules))
        if isinstance(flac, Rejected):
            rejections.append(rejection("convert", row["clip_id"], flac.reason, flac.detail, row["category"]))
            return None
        sound = Content.of(flac.content)
        records[row["key"]] = record = {
            "id": row["clip_id"],
            "key": row["key"],
            "video_id": row["video_id"],
            "start_s": row["start_s"],
            "duration_s": flac.duration_s,
            "label": label_link(label_map, row["corpus"], row["label"]),
            "official_split": row["official_split"],
            "sha256": sound.sha256,
            **{name: row[name] or "" for name in ("licence", "author", "url")},
            "categories": [row["category"]],
            "split": row["split"],
        }
        return row["key"], {"flac": sound, "json": Content.of(format.json_bytes(record))}

    def describe(row: dict[str, Any], members: Mapping[str, Member]) -> dict[str, Any]:
        record = records[row["key"]]
        return {
            **parts.member_columns(members),
            **{name: record[name] for name in ("video_id", "split", "categories", "start_s", "duration_s")},
            "official_split": row["official_split"],
            "licence": row["licence"],
            "key": row["key"],
            "clip_id": row["clip_id"],
            "shard": row["shard"],
            "label": row["label"],
        }

    return parts.write(table, out, tables.POOL, encode, describe)


def _flac(url: str, rules: Select) -> audio.Flac:
    try:
        return audio.to_flac(
            url,
            min_duration_s=rules.min_duration_s,
            max_duration_s=rules.max_duration_s,
            silence_peak=rules.silence_peak,
        )
    except FileNotFoundError as error:
        raise Rejected(Reason.CLIP_MISSING, "gone since it was selected") from error


def planned(table: pa.Table) -> Outcome:
    """What a dry run takes for the pool: every selected clip, as if it converted well."""
    names = {
        name: table[name] for name in ("key", "clip_id", "video_id", "split", "label", "start_s", "licence")
    }
    names["categories"] = pa.array([[name] for name in table["category"].to_pylist()], pa.list_(pa.string()))
    return Outcome.of(
        pa.table(
            {
                name: names.get(name, pa.nulls(len(table), tables.POOL.field(name).type))
                for name in tables.POOL.names
            },
            tables.POOL,
        ),
        [],
    )
