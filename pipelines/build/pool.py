"""Clips: which may be used, and the pool's shards, where each is decoded once for all samples that hear it."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pyarrow as pa

from label_maps import LabelMap
from pipelines.build.code import code_versions
from pipelines.build.outcome import Outcome
from pipelines.corpora.clip_lists import MAY_BE_ALL
from pipelines.recipes.recipe import Select
from shards import format, parts, records, storage, tables
from shards.rejections import Reason, Rejected, rejection
from shards.sound import decoder
from shards.writer import Content


def select_clips(table: pa.Table, corpora: str, rules: Select, label_map: LabelMap) -> Outcome:
    """Clips whose media is there and whose licence is allowed; adds `key`, `stamp` (of the file) and `categories`."""
    columns = ["clip_id", "clip_path", "licence", "category", "label", "label_id", "background_label_ids"]
    rows = table.select(columns).to_pylist()
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
    heard = {
        (link.source, link.source_id): label_map.heard(link)
        for link in label_map.links
        if label_map.is_sound(link)
    }
    sounds = zip(table["corpus"].to_pylist(), table["label_id"].to_pylist(), strict=True)
    categories = pa.array([heard[sound] for sound in sounds], pa.list_(pa.string()))
    return Outcome.of(
        table.append_column("stamp", stamps).append_column("categories", categories), rejections
    )


def _look(row: dict[str, Any], corpora: str, rules: Select) -> str | Rejected:
    """The stamp of a clip's file, or why it is dropped."""
    if rules.audio_licences and row["licence"] not in rules.audio_licences:
        return Rejected(Reason.LICENCE, f"{row['licence']}; allowed: {', '.join(rules.audio_licences)}")
    if row["label_id"] in (row["background_label_ids"] or ()) and not rules.background_sounds:
        detail = f"{row['label']} is not what is heard most (select.background_sounds = true keeps it)"
        return Rejected(Reason.BACKGROUND_SOUND, detail)
    name = row["clip_id"].split(":", 1)[1]
    if row["clip_path"] is None:
        return Rejected(Reason.CLIP_MISSING, name)
    try:
        return storage.stamp(storage.join(corpora, row["clip_path"]))
    except FileNotFoundError:
        return Rejected(Reason.CLIP_MISSING, f"{name}: no file")


def label_link(label_map: LabelMap, source: str, source_id: str, label: str | None) -> records.Label:
    """How KEY.json names a label: as its corpus does, and by the label map's link; only LVIS has a `synset`."""
    link = label_map.link(source, source_id)
    assert link is not None, (source, source_id)
    return records.Label(
        source=source,
        source_id=source_id,
        label=label or "",
        name=link.label,
        synset=link.synset,
        category=link.category,
        relation=link.relation,
        decided_by=link.decided_by,
        decided_on=link.decided_on,
    )


def decoded(row: Mapping[str, Any], corpora: str, rules: Select) -> decoder.Clip:
    """The sound of a row of CLIPS as the shards hold it. Raises Rejected."""
    longest_s = min(rules.max_duration_s, row["longest_s"] or rules.max_duration_s)
    try:
        return decoder.clip(
            storage.join(corpora, row["clip_path"]),
            min_duration_s=rules.min_duration_s,
            max_duration_s=longest_s,
            silence_peak=rules.silence_peak,
            part_s=(row["part_start_s"], row["part_end_s"]),
            is_padded=bool(row["is_padded"]),
        )
    except Rejected as error:
        if error.reason is Reason.AUDIO_TOO_LONG and longest_s < rules.max_duration_s:
            raise Rejected(error.reason, f"{error.detail}: {MAY_BE_ALL}") from error
        raise


def convert_clips(table: pa.Table, corpora: str, out: str, rules: Select, label_map: LabelMap) -> Outcome:
    """Convert the clips of one pool shard and write it; kept rows are `shards.tables.POOL`."""

    def encode(row: dict[str, Any]) -> parts.Encoded:
        clip = decoded(row, corpora, rules)
        sound = Content.of(clip.flac)
        record = records.ClipRecord(
            id=row["clip_id"],
            key=row["key"],
            video_id=row["video_id"],
            start_s=row["start_s"],
            duration_s=clip.duration_s,
            label=label_link(label_map, row["corpus"], row["label_id"], row["label"]),
            official_split=row["official_split"] or "",
            sha256=sound.sha256,
            licence=row["licence"] or "",
            author=row["author"] or "",
            url=row["url"] or "",
            categories=tuple(row["categories"]),
            split=row["split"],
        )
        return record, {"flac": sound}

    return Outcome.of(*parts.write(table, out, "convert", encode, code_versions()))


def plan_conversion(table: pa.Table) -> Outcome:
    """What a dry run takes for the pool: every selected clip, as if it converted well."""
    columns = {
        field.name: table[field.name]
        if field.name in table.column_names
        else pa.nulls(len(table), field.type)
        for field in tables.POOL
    }
    return Outcome.of(pa.table(columns, tables.POOL), [])
