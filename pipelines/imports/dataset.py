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

import numpy as np
import pyarrow as pa

from pipelines.build import finish, parts
from pipelines.build.outcome import Outcome
from pipelines.imports import media
from pipelines.imports.planned import Found, LayoutError, PlannedSample
from pipelines.media import masks
from shards import format, manifest, storage, tables
from shards.guard import guarded
from shards.rejections import Reason, Rejected, rejection
from shards.tables import REJECTIONS
from shards.writer import Content, Member

_SAMPLES_PER_SHARD = 256
_NO_LABEL = dict.fromkeys(
    ("source", "source_id", "name", "synset", "relation", "decided_by", "decided_on"), ""
)  # no label map was asked


def write(
    found: Found,
    folder: str,
    out: str,
    *,
    workers: int = 2,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Counter[str]:
    """Write the dataset `out` from the files below `folder`.

    Args:
        progress: told shards done and shards in all.
    Returns:
        Samples per split, and dropped items per reason.
    Raises:
        LayoutError: not one sample of the plan is there.
    """
    rejections = list(found.rejections)
    samples = list(_unique(found.samples, rejections))
    clips = _planned_clips(samples, folder)
    planned = _planned_samples(samples, folder)
    pool_cuts, sample_cuts = _cut(clips), _cut(planned)
    total = len(pool_cuts) + len(sample_cuts)
    written: list[str] = []

    def run(cuts: Mapping[str, pa.Table], work: Callable[[pa.Table], Outcome]) -> Iterator[Outcome]:
        with ThreadPoolExecutor(workers) as pool:
            for path, outcome in zip(cuts, pool.map(work, cuts.values()), strict=True):
                written.extend([path] if outcome.kept.num_rows else [])
                rejections.extend(outcome.rejected.to_pylist())
                progress(len(written), total)
                yield outcome

    heard = {
        row["clip_id"]: row
        for outcome in run(pool_cuts, partial(_write_clips, folder=folder, out=out))
        for row in outcome.kept.to_pylist()
    }
    kept = sum(
        outcome.kept.num_rows
        for outcome in run(sample_cuts, partial(_write_samples, folder=folder, out=out, heard=heard))
    )
    if kept == 0:
        raise LayoutError(
            f"{folder}: none of {len(found.samples)} samples can be used; the first reason: "
            + (
                f"{rejections[0]['reason']}: {rejections[0]['detail']}"
                if rejections
                else "the tables are empty"
            )
        )
    parts.sweep(out, written)
    _complete(found, out, sorted(written), len(found.samples) + len(found.rejections), kept, rejections)
    return Counter(str(each["reason"]) for each in rejections) + Counter({"kept": kept})


def _unique(samples: Iterable[PlannedSample], rejections: parts.Rejections) -> Iterator[PlannedSample]:
    seen: set[str] = set()
    for sample in samples:
        sample_id = _sample_id(sample)
        paths = (sample.image_path, sample.mask_path, sample.audio_path)
        hostile = [path for path in paths if ".." in path.split("/") or "\\" in path or path.startswith("/")]
        if sample_id in seen:
            rejections.append(
                rejection("import", sample_id, Reason.DUPLICATE_ID, "the first one stays", sample.category)
            )
        elif hostile:
            rejections.append(
                rejection("import", sample_id, Reason.HOSTILE_NAME, hostile[0], sample.category)
            )
        else:
            seen.add(sample_id)
            yield sample


def _sample_id(sample: PlannedSample) -> str:
    return format.sample_id(sample.image_id, sample.category, sample.mask_id)


def _planned_samples(samples: Iterable[PlannedSample], folder: str) -> list[dict[str, Any]]:
    return [
        {
            **asdict(sample),
            "sample_id": _sample_id(sample),
            "key": format.key_of(_sample_id(sample)),
            "stamp": _stamp(folder, sample.image_path, sample.mask_path, sample.audio_path),
        }
        for sample in samples
    ]


def _stamp(folder: str, *paths: str) -> str:
    """Size and time of each file, so that a changed one is written again."""
    urls = [storage.join(folder, path) for path in paths]
    return " ".join(_stamp_of(url) for url in urls)


def _stamp_of(url: str) -> str:
    try:
        return storage.stamp(url)
    except FileNotFoundError:
        return "-"


def _planned_clips(samples: Iterable[PlannedSample], folder: str) -> list[dict[str, Any]]:
    """One row a clip and split, with every category that it is heard for."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for sample in samples:
        row = rows.setdefault(
            (sample.clip_id, sample.split),
            {"clip_id": sample.clip_id, "key": format.key_of(sample.clip_id), "split": sample.split,
             "video_id": sample.video_id, "audio_path": sample.audio_path, "window": sample.window, "categories": []},
        )  # fmt: skip
        if sample.category not in row["categories"]:
            row["categories"] = sorted([*row["categories"], sample.category])
    by_id: dict[str, dict[str, Any]] = {}
    for (clip_id, _), row in sorted(rows.items()):
        by_id.setdefault(clip_id, row)  # a clip heard in two splits is in the pool of the first alone
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


def _write_clips(table: pa.Table, folder: str, out: str) -> Outcome:
    lengths: dict[str, float] = {}

    def encode(row: dict[str, Any], rejections: parts.Rejections) -> parts.Encoded | None:
        made = guarded(
            row["clip_id"], lambda: media.sound(storage.join(folder, row["audio_path"]), row["window"])
        )
        if isinstance(made, Rejected):
            rejections.append(
                rejection("import", row["clip_id"], made.reason, made.detail, row["categories"][0])
            )
            return None
        flac, duration_s = made
        lengths[row["key"]] = duration_s
        sound = Content.of(flac)
        record = {
            **_clip_record(row, duration_s, sound.sha256),
            "categories": row["categories"],
            "split": row["split"],
        }
        return row["key"], {"flac": sound, "json": Content.of(format.json_bytes(record))}

    def describe(row: dict[str, Any], members: Mapping[str, Member]) -> dict[str, Any]:
        own = {name: row[name] for name in ("key", "clip_id", "video_id", "split", "categories", "shard")}
        return {**own, **parts.member_columns(members), "label": row["categories"][0], "start_s": _start_s(row),
                "duration_s": lengths[row["key"]], "official_split": row["split"]}  # fmt: skip

    return parts.write(table, out, tables.POOL, encode, describe)


def _start_s(row: Mapping[str, Any]) -> float:
    return max(0, row["window"]) * media.HOP / format.RATE_HZ


def _clip_record(row: Mapping[str, Any], duration_s: float, sha256: str) -> dict[str, Any]:
    return {
        "id": row["clip_id"], "key": format.key_of(row["clip_id"]), "video_id": row["video_id"],
        "start_s": _start_s(row), "duration_s": duration_s, "label": _NO_LABEL, "official_split": row["split"],
        "sha256": sha256, **dict.fromkeys(("licence", "author", "url"), ""),
    }  # fmt: skip


def _write_samples(table: pa.Table, folder: str, out: str, heard: Mapping[str, Mapping[str, Any]]) -> Outcome:
    about: dict[str, dict[str, Any]] = {}

    def contents(row: dict[str, Any]) -> dict[str, Content]:
        clip = heard.get(row["clip_id"])
        if clip is None:
            raise Rejected(Reason.NO_CLIP, f"its clip {row['clip_id']} cannot be used")
        source, jpg, width, height = media.photo(storage.join(folder, row["image_path"]))
        mask = media.mask(storage.join(folder, row["mask_path"]), width, height)
        flac = storage.read_range(storage.join(out, clip["shard"]), clip["flac_offset"], clip["flac_size"])
        sound, photo, png = Content(flac, clip["flac_sha256"]), Content.of(jpg), Content.of(masks.png(mask))
        about[row["key"]] = facts = {"width": width, "height": height, **_measured(mask)}
        facts["duration_s"] = clip["duration_s"]
        hashes = {"source": Content.of(source).sha256, "photo": photo.sha256, "mask": png.sha256}
        record = _sample_record(row, facts, hashes, sound.sha256)
        return {"flac": sound, "jpg": photo, "json": Content.of(format.json_bytes(record)), "mask.png": png}

    def encode(row: dict[str, Any], rejections: parts.Rejections) -> parts.Encoded | None:
        made = guarded(row["sample_id"], lambda: contents(row))
        if isinstance(made, Rejected):
            rejections.append(
                rejection("import", row["sample_id"], made.reason, made.detail, row["category"])
            )
            return None
        return row["key"], made

    def describe(row: dict[str, Any], members: Mapping[str, Member]) -> dict[str, Any]:
        own = {name: row[name] for name in tables.SAMPLES.names if name in row}
        return {**own, **parts.member_columns(members), **about[row["key"]], "mask_ids": [row["mask_id"]]}

    return parts.write(table, out, tables.SAMPLES, encode, describe)


def _measured(mask: np.ndarray) -> dict[str, Any]:
    """Area and box of a mask; an empty one (a frame where nothing seen makes a sound) has a box of zeros."""
    area = int(mask.sum())
    y, x = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = [int(x[0]), int(y[0]), int(x[-1] - x[0] + 1), int(y[-1] - y[0] + 1)] if area else [0, 0, 0, 0]
    return {"area_px": area, "area_fraction": area / mask.size,
            **dict(zip(("bbox_x", "bbox_y", "bbox_w", "bbox_h"), box, strict=True))}  # fmt: skip


def _sample_record(
    row: Mapping[str, Any], facts: Mapping[str, Any], hashes: Mapping[str, str], sound_sha256: str
) -> dict[str, Any]:
    """KEY.json, as `shards/README.md` has it; texts are empty where the published dataset does not tell."""
    unknown = dict.fromkeys(("licence", "licence_url", "author", "url"), "")
    return {
        "key": row["key"], "sample_id": row["sample_id"], "split": row["split"], "category": row["category"],
        "component": row["component"], "pairing": {"seed": 0, "epoch": 0},
        "image": {"id": row["image_id"], "corpus": row["image_id"].partition(":")[0], "width": facts["width"],
                  "height": facts["height"], "sha256": hashes["photo"], "source_sha256": hashes["source"],
                  "labels": [], **unknown, "photo_keys": [row["image_id"]]},
        "mask": {"ids": [row["mask_id"]], "policy": "instance", "area_px": facts["area_px"],
                 "area_fraction": facts["area_fraction"], "sha256": hashes["mask"], "exhaustive": "",
                 "bbox": [facts[f"bbox_{side}"] for side in "xywh"]},
        "audio": _clip_record(row, facts["duration_s"], sound_sha256),
    }  # fmt: skip


def _complete(
    found: Found, out: str, paths: list[str], planned: int, kept: int, rejections: parts.Rejections
) -> None:
    """Tables, then the manifest."""
    by_split = {
        split: [p for p in paths if p.startswith(f"{split}/")] for split in (*format.SPLITS, format.POOL)
    }
    loaded = {path: parts.load(out, path) for path in paths}

    def rows(splits: Iterable[str]) -> Iterator[pa.Table]:
        return (loaded[path].rows for split in splits for path in by_split[split])

    ordered = sorted(rejections, key=lambda row: [row[name] or "" for name in REJECTIONS.names])
    written = {
        format.SAMPLES: finish.write_table(out, format.SAMPLES, tables.SAMPLES, rows(format.SPLITS)),
        format.POOL_TABLE: finish.write_table(out, format.POOL_TABLE, tables.POOL, rows([format.POOL])),
        format.REJECTIONS: finish.write_table(
            out, format.REJECTIONS, REJECTIONS, [pa.Table.from_pylist(ordered, schema=REJECTIONS)]
        ),
    }
    entries = {
        kind: tuple(finish.shard_entry(loaded[path]) for split in splits for path in by_split[split])
        for kind, splits in (("shards", format.SPLITS), ("pool", (format.POOL,)))
    }
    counts: dict[str, Any] = {}
    for split in format.SPLITS:
        categories: Counter[str] = Counter()
        for entry in (entry for entry in entries["shards"] if entry.split == split):
            categories.update(entry.categories)
        counts[split] = {"samples": categories.total(), "categories": dict(sorted(categories.items()))}
    dropped = Counter(
        row["reason"] for row in rejections if "|" in (row["item"] or "") or row["reason"] == "bad_row"
    )
    text = f'import = "{found.name}"\n'
    made = manifest.Manifest(
        name=found.name, seed=0, recipe={"text": text, "sha256": hashlib.sha256(text.encode()).hexdigest()},
        label_map={"name": "", "version": "", "sha256": ""}, code=parts.code_versions(), counts=counts,
        shards=entries["shards"], pool_shards=entries["pool"], tables=written,
        funnel=({"stage": "import", "unit": "samples", "in": planned, "kept": kept,
                 "rejected": {str(reason): number for reason, number in sorted(dropped.items(), key=str)}},),
    )  # fmt: skip
    storage.write_atomic(storage.join(out, format.MANIFEST), manifest.dump(made))
