"""Planned samples to a dataset: the pool's shards, the samples' shards, tables, and the manifest last.

Shards are written by threads, each once; a killed import run again writes only what is missing.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from pipelines.build.code import code_versions
from pipelines.imports import media, mixtures, negatives, recordings
from pipelines.imports.planned import Found, PlannedClip, PlannedSample
from pipelines.media import masks
from shards import format, new_dataset, parts, records, sound, storage, tables
from shards.errors import AvsError
from shards.hashing import pair, pool_hashes
from shards.manifest import Manifest
from shards.reader import read_clip
from shards.records import ClipRecord, SampleRecord
from shards.rejections import Reason, Rejected, rejection
from shards.writer import Content

_SAMPLES_PER_SHARD = 256
Written = tuple[pa.Table, parts.Rejections]  # by `parts.write`


def write(
    found: Found,
    folder: str,
    out: str,
    *,
    workers: int = 2,
    may_drop: float = 1.0,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Counter[str]:
    """Write the dataset `out` from the files below `folder`.

    Args:
        may_drop: share of a split's samples that may be dropped, in [0, 1].
        progress: told shards done and shards in all.
    Returns:
        Samples that were kept, and dropped items per reason.
    Raises:
        ClaimError: `out` holds something else. NoSamples: not one sample of the plan can be used. TooManyDropped: a
        split lost more than it may; there is then no dataset, but `rejections.parquet` says why.
    """
    asked = format.json_bytes(
        {kind: [asdict(each) for each in getattr(found, kind)] for kind in ("samples", "clips")}
    )
    new_dataset.begin(
        out,
        {"command": "import", "dataset": found.name, "samples": hashlib.sha256(asked).hexdigest()},
    )
    dropped: dict[str, parts.Rejections] = {"clips": [], "samples": list(found.rejections)}
    samples = list(_unique(found.samples, dropped["samples"]))
    clips = _planned_clips([*samples, *_safe(found.clips, dropped["clips"])], folder)
    planned = _planned_samples(samples, folder)
    entered = {
        "clips": len(clips) + len(dropped["clips"]),
        "samples": len(found.samples) + len(found.rejections),
    }
    pool_cuts = _cut(clips)
    done, total = 0, len(pool_cuts) + len(_cut(planned))
    shards: list[str] = []

    def run(
        cuts: Mapping[str, pa.Table], unit: str, work: Callable[[pa.Table], Written]
    ) -> Iterator[pa.Table]:
        nonlocal done
        with ThreadPoolExecutor(workers) as pool:
            for path, (rows, rejections) in zip(cuts, pool.map(work, cuts.values()), strict=True):
                shards.extend([path] if rows.num_rows else [])
                dropped[unit].extend(rejections)
                progress(done := done + 1, total)
                yield rows

    heard = {
        row["clip_id"]: row
        for rows in run(pool_cuts, "clips", partial(_write_clips, folder=folder, out=out))
        for row in rows.to_pylist()
    }
    _draw(planned, heard, {row["clip_id"]: row["stamp"] for row in clips})
    writing = partial(_write_samples, folder=folder, out=out, heard=heard, found=found)
    written = [rows for rows in run(_cut(planned), "samples", writing) if rows.num_rows]
    kept = sum(rows.num_rows for rows in written)
    text = f'import = "{found.name}"\n'
    reasons = {unit: Counter(str(row["reason"]) for row in rows) for unit, rows in dropped.items()}
    about = Manifest(
        name=found.name,
        seed=0,
        recipe={"text": text, "sha256": hashlib.sha256(text.encode()).hexdigest()},
        label_map={"name": "", "version": "", "sha256": ""},
        code=code_versions(),
        funnel=tuple(new_dataset.step("import", unit, entered[unit], reasons[unit]) for unit in entered),
        targets=recordings.TARGETS if found.classes else (),
        classes=found.classes,
        sound=negatives.RULES if any(one.kind for one in found.samples) else mixtures.rules(found.samples),
    )
    rejected = [tables.rejected(rows, unit) for unit, rows in dropped.items()]
    lost = _lost(found, Counter(split for rows in written for split in rows["split"].to_pylist()), may_drop)
    if kept and lost:
        new_dataset.write_table(out, format.REJECTIONS, tables.REJECTIONS, rejected)
        raise TooManyDropped(
            f"dropped {'; '.join(lost)}; at most {may_drop:.0%} may be dropped. {storage.join(out, format.REJECTIONS)} "
            "says why each was; to write the dataset all the same, allow more with --may-drop"
        )
    new_dataset.complete(out, about, shards, partial(parts.load, out), rejected)
    return reasons["clips"] + reasons["samples"] + Counter({"kept": kept})


class TooManyDropped(AvsError):
    """More of a published dataset cannot be used than may be: it is not what it should be, or not all there."""


def _lost(found: Found, kept: Mapping[str, int], may_drop: float) -> list[str]:
    """Splits that lost a larger share than they may, and all rows together, with those that name no split."""
    planned: dict[str, int] = Counter(sample.split for sample in found.samples)
    parts_of = [(split, planned[split], kept.get(split, 0)) for split in format.SPLITS]
    unasked = sum(row["reason"] != Reason.SPLIT_LEAK for row in found.rejections)
    parts_of.append(("all", sum(planned.values()) + unasked, sum(kept.values())))
    return [
        f"{of - left:,} of {of:,} samples of {split}"
        for split, of, left in parts_of
        if of and (of - left) / of > may_drop
    ]


def _draw(
    planned: Iterable[dict[str, Any]], heard: Mapping[str, Mapping[str, Any]], stamps: Mapping[str, str]
) -> None:
    """Give each sample that names no clip one of its category and split, as a trainer draws it in epoch 0."""
    members: dict[tuple[str, str], list[str]] = {}
    for clip_id, clip in sorted(heard.items()):
        for category in clip["categories"]:
            members.setdefault((clip["split"], category), []).append(clip_id)
    pools = {place: (ids, pool_hashes(ids)) for place, ids in members.items()}
    for row in planned:
        ids, hashes = pools.get((row["split"], row["category"]), ([], None))
        if not row["clip_id"] and not row["sources"] and hashes is not None:
            row["clip_id"] = ids[pair(0, 0, row["sample_id"], hashes)]
            row["stamp"] += f" {stamps[row['clip_id']]}"


def _safe(clips: Iterable[PlannedClip], rejections: parts.Rejections) -> Iterator[PlannedClip]:
    for clip in clips:
        if _hostile(clip.audio_path):
            rejections.append(
                rejection("import", clip.clip_id, Reason.HOSTILE_NAME, clip.audio_path, clip.category)
            )
        else:
            yield clip


def _hostile(*paths: str) -> str:
    """The first path that leaves its folder; "" for none."""
    bad = (path for path in paths if ".." in path.split("/") or "\\" in path or path.startswith("/"))
    return next(bad, "")


def _unique(samples: Iterable[PlannedSample], rejections: parts.Rejections) -> Iterator[PlannedSample]:
    seen: set[str] = set()
    for sample in samples:
        sample_id, category = sample.sample_id, sample.category or None
        hostile = _hostile(sample.image_path, sample.mask_path, sample.audio_path)
        if sample_id in seen:
            rejections.append(
                rejection("import", sample_id, Reason.DUPLICATE_ID, "the first one stays", category)
            )
        elif hostile:
            rejections.append(rejection("import", sample_id, Reason.HOSTILE_NAME, hostile, category))
        else:
            seen.add(sample_id)
            yield sample


def _planned_samples(samples: Iterable[PlannedSample], folder: str) -> list[dict[str, Any]]:
    return [
        {
            **asdict(sample),
            "sample_id": sample.sample_id,
            "key": format.key_of(sample.sample_id),
            "stamp": _stamp(
                folder, sample.image_path, sample.mask_path, sample.colours_path, sample.audio_path
            ),
        }
        for sample in samples
    ]


def _stamp(folder: str, *paths: str) -> str:
    """Size and time of each file, so that a changed one is written again."""
    urls = [storage.join(folder, path) for path in paths if path]
    return " ".join(_stamp_of(url) for url in urls)


def _stamp_of(url: str) -> str:
    try:
        return storage.stamp(url)
    except FileNotFoundError:
        return "-"


def _planned_clips(heard: Iterable[PlannedSample | PlannedClip], folder: str) -> list[dict[str, Any]]:
    """One row a clip and split, with every category that it is heard for."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for sample in (each for each in heard if each.clip_id):
        row = rows.setdefault(
            (sample.clip_id, sample.split),
            {"clip_id": sample.clip_id, "key": format.key_of(sample.clip_id), "split": sample.split,
             "official_split": sample.official_split or sample.split, "video_id": sample.video_id,
             "audio_path": sample.audio_path, "window": sample.window, "start_s": sample.start_s,
             "label": sample.label, "categories": []},
        )  # fmt: skip
        row["categories"] = sorted({*row["categories"], *sample.heard_as})
    by_id: dict[str, dict[str, Any]] = {}
    for (clip_id, _), row in sorted(rows.items(), key=lambda item: -format.SPLITS.index(item[0][1])):
        by_id.setdefault(clip_id, row)  # heard in two splits it is in one pool alone: that of test, then val
    return [{**row, "pool": True, "stamp": _stamp(folder, row["audio_path"])} for row in by_id.values()]


def _cut(rows: list[dict[str, Any]]) -> dict[str, pa.Table]:
    """Shard path -> the planned rows of that shard."""
    sizes = Counter(_folder(row) for row in rows)
    cuts: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        folder = _folder(row)
        index = format.shard_index(row["key"], format.shard_count(sizes[folder], _SAMPLES_PER_SHARD))
        row = {**row, "shard": format.shard_path(folder, index)}
        cuts.setdefault(row["shard"], []).append(row)
    return {path: pa.Table.from_pylist(cuts[path]) for path in sorted(cuts)}


def _folder(row: dict[str, Any]) -> str:
    return format.POOL if row.get("pool") else row["split"]


def _write_clips(table: pa.Table, folder: str, out: str) -> Written:
    def encode(row: dict[str, Any]) -> parts.Encoded:
        flac, duration_s = media.sound(storage.join(folder, row["audio_path"]), row["window"])
        content = Content.of(flac)
        record = ClipRecord(
            id=row["clip_id"],
            key=row["key"],
            video_id=row["video_id"],
            start_s=row["start_s"] + max(0, row["window"]) * sound.HOP_SAMPLES / sound.RATE_HZ,
            duration_s=duration_s,
            label=msgspec.structs.replace(records.NO_LABEL, label=row["label"]),
            official_split=row["official_split"],
            sha256=content.sha256,
            categories=tuple(row["categories"]),
            split=row["split"],
        )
        return record, {"flac": content}

    return parts.write(table, out, "import", encode, code_versions())


def _write_samples(
    table: pa.Table, folder: str, out: str, heard: Mapping[str, Mapping[str, Any]], found: Found
) -> Written:
    classes = found.classes

    def encode(row: dict[str, Any]) -> parts.Encoded:
        kind = row["kind"]
        clip = heard.get(row["clip_id"] or next((source["clip_id"] for source in row["sources"]), ""))
        if clip is None and kind not in ("silence", "noise"):
            why = (
                f"its clip {row['clip_id']} cannot be used" if row["clip_id"] else "its category has no clip"
            )
            raise Rejected(Reason.NO_CLIP, why)
        if clip and clip["split"] != row["split"]:
            raise Rejected(Reason.NO_CLIP, f"its clip {row['clip_id']} is heard in {clip['split']}")
        source, jpg, width, height = media.photo(storage.join(folder, row["image_path"]))
        mask_url = storage.join(folder, row["mask_path"])
        if kind:
            numbers = np.zeros((height, width), np.uint8)
            mask = numbers > 0
        elif classes:
            numbers = media.class_mask(
                mask_url, storage.join(folder, row["colours_path"]), len(classes), width, height, found.values
            )
            mask = numbers > 0
        else:
            mask = media.mask(mask_url, width, height)
            if not mask.any() and not format.is_frame(row["image_id"]):
                raise Rejected(Reason.MASK_EMPTY, "no pixel set")
        photo, png = Content.of(jpg), Content.of(masks.png(mask))
        sound_of: dict[str, Any] = {}
        if clip:
            flac, heard_clip = read_clip(out, clip)
            sound_of = {"audio": heard_clip.audio}
        if kind:
            hears = (heard_clip.audio, flac.data) if clip else None
            sound_of, flac = negatives.sounding(row["key"], kind, hears, row["names"])
        record = SampleRecord(
            key=row["key"],
            sample_id=row["sample_id"],
            split=row["split"],
            category=row["category"],
            component=row["component"],
            pairing=records.Pairing(seed=negatives.SEED),
            image=records.Image(
                id=row["image_id"],
                corpus=row["image_id"].partition(":")[0],
                width=width,
                height=height,
                sha256=photo.sha256,
                source_sha256=Content.of(source).sha256,
                photo_keys=(row["image_id"],),
                labels=(),
            ),
            mask=_mask(() if kind else (row["mask_id"],), mask, png.sha256),
            **sound_of,
        )
        members = {"flac": flac, "jpg": photo, "mask.png": png}
        if kind:
            return record, {**members, format.CLASSES: Content.of(masks.grey_png(numbers))}
        if row["sources"]:
            return mixtures.told(record, members, numbers, classes, row["sources"], heard, out)
        return recordings.told(record, members, numbers, classes) if classes else (record, members)

    targets = recordings.TARGETS if classes else ()
    return parts.write(table, out, "import", encode, code_versions(), targets)


def _mask(ids: tuple[str, ...], mask: np.ndarray, sha256: str) -> records.Mask:
    """What a record says of a mask; an empty one (a frame where nothing seen makes a sound) has a box of zeros."""
    area = int(mask.sum())
    y, x = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = (int(x[0]), int(y[0]), int(x[-1] - x[0] + 1), int(y[-1] - y[0] + 1)) if area else (0, 0, 0, 0)
    return records.Mask(
        ids=ids,
        policy="instance" if ids else "union",
        area_px=area,
        area_fraction=area / mask.size,
        bbox=box,
        sha256=sha256,
    )
