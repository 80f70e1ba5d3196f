"""Re-read a whole dataset and say what is wrong and where. Trusts nothing that it can compute again."""

import hashlib
import io
import json
import multiprocessing
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import soundfile
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from shards import format, jpeg, storage, tables
from shards.manifest import ShardEntry, TableEntry
from shards.reader import Dataset
from shards.tables import column

_TABLES = {
    format.SAMPLES: tables.SAMPLES,
    format.POOL_TABLE: tables.POOL,
    format.REJECTIONS: tables.REJECTIONS,
}


@dataclass(frozen=True)
class Fault:
    """`where`: a file, or a file and a key; `what`: what was found and what the format asks for."""

    where: str
    what: str


@dataclass
class _ShardCheck:
    faults: list[Fault] = field(default_factory=list)
    photo_keys: set[str] = field(default_factory=set)


def verify(url: str, workers: int = 1, progress: Callable[[int, int], None] | None = None) -> list[Fault]:
    """Every fault of a dataset; none: it is whole.

    Args:
        workers: processes that read shards.
        progress: called with (shards read, shards in all).

    Raises:
        DatasetError: there is no manifest of this format, so nothing to verify.
    """
    dataset = Dataset(url)
    faults = [
        fault
        for name, entry in dataset.manifest.tables.items()
        for fault in _table_faults(dataset, name, entry)
    ]
    faults += [
        Fault(name, "not in the manifest's tables") for name in _TABLES if name not in dataset.manifest.tables
    ]
    if faults:
        return faults  # the tables say where everything is: without them nothing below means anything
    samples, pool = dataset.table(format.SAMPLES), dataset.table(format.POOL_TABLE)
    faults += _file_faults(dataset) + _count_faults(dataset, samples) + _funnel_faults(dataset, samples)
    faults += _leaks(samples, pool)
    entries = [*dataset.manifest.shards, *dataset.manifest.pool_shards]
    jobs = [
        (dataset.url, entry, _rows_of(samples if entry.split != format.POOL else pool, entry))
        for entry in entries
    ]
    photos: dict[str, str] = {}
    for number, (entry, check) in enumerate(zip(entries, _run(jobs, workers), strict=True), start=1):
        faults += check.faults
        for key in sorted(check.photo_keys):
            if photos.setdefault(key, entry.split) != entry.split:
                faults.append(
                    Fault(entry.path, f"photograph {key} is in {photos[key]} too: it leaks across splits")
                )
        if progress:
            progress(number, len(entries))
    return faults


def _run(jobs: list[Any], workers: int) -> Iterator[_ShardCheck]:
    if workers <= 1 or len(jobs) <= 1:
        yield from map(_check_shard, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_check_shard, jobs)


def _rows_of(table: pa.Table, entry: ShardEntry) -> list[dict[str, Any]]:
    return table.filter(pa.compute.equal(table["shard"], entry.path)).to_pylist()


def _table_faults(dataset: Dataset, name: str, entry: TableEntry) -> Iterator[Fault]:
    url = storage.join(dataset.url, name)
    if not storage.exists(url):
        yield Fault(name, "missing, but the manifest lists it")
    elif name not in _TABLES:
        yield Fault(name, f"the format has no such table, only {', '.join(_TABLES)}")
    elif (found := storage.sha256(url)) != entry.sha256:
        yield Fault(
            name,
            f"sha256 {found}, {storage.size(url)} bytes; the manifest says {entry.sha256}, {entry.bytes}",
        )
    else:
        table = dataset.table(name)
        if table.schema.remove_metadata() != _TABLES[name]:
            yield Fault(name, f"columns {table.schema.names}; the format has {_TABLES[name].names}")
        if table.num_rows != entry.rows:
            yield Fault(name, f"{table.num_rows} rows; the manifest says {entry.rows}")


def _file_faults(dataset: Dataset) -> list[Fault]:
    listed = {entry.path for entry in (*dataset.manifest.shards, *dataset.manifest.pool_shards)}
    found = {
        f"{split}/{name}"
        for split in (*format.SPLITS, format.POOL)
        for name in storage.names(storage.join(dataset.url, split))
    }
    return [
        Fault(path, "not in the manifest: left over, or put there by hand") for path in sorted(found - listed)
    ]


def _count_faults(dataset: Dataset, samples: pa.Table) -> list[Fault]:
    faults = []
    rows = samples.select(["split", "category", "key"]).to_pylist()
    found = {
        split: Counter(row["category"] for row in rows if row["split"] == split) for split in format.SPLITS
    }
    for split, categories in found.items():
        told = dataset.manifest.counts.get(split, {})
        if dict(categories) != told.get("categories") or sum(categories.values()) != told.get("samples"):
            faults.append(
                Fault(format.MANIFEST, f"counts of {split}: {told}; {format.SAMPLES} has {dict(categories)}")
            )
    twice = [key for key, number in Counter(row["key"] for row in rows).items() if number > 1]
    return faults + [Fault(format.SAMPLES, f"key {key} is there more than once") for key in twice]


def _funnel_faults(dataset: Dataset, samples: pa.Table) -> list[Fault]:
    faults = []
    rejections = dataset.table(format.REJECTIONS, ["stage", "reason"]).group_by(["stage", "reason"])
    found = {
        (row["stage"], row["reason"]): row["stage_count"]
        for row in rejections.aggregate([("stage", "count")]).to_pylist()
    }
    told: Counter[tuple[str, str]] = Counter()
    last = [step for step in dataset.manifest.funnel if step["unit"] == "samples"][-1:]
    for step in dataset.manifest.funnel:
        where = f"{format.MANIFEST}: funnel, {step['stage']} of {step['unit']}"
        if step["in"] != step["kept"] + sum(step["rejected"].values()):
            faults.append(
                Fault(where, f"in {step['in']} is not kept {step['kept']} + rejected {step['rejected']}")
            )
        for reason, number in step["rejected"].items():
            told[step["stage"], reason] += number
        if step in last and step["kept"] != samples.num_rows:
            faults.append(Fault(where, f"kept {step['kept']}; {format.SAMPLES} has {samples.num_rows} rows"))
    for key in sorted(set(found) | set(told)):
        if found.get(key, 0) != told[key]:
            faults.append(
                Fault(format.REJECTIONS, f"{found.get(key, 0)} rows of {key}; the funnel says {told[key]}")
            )
    return faults


def _leaks(samples: pa.Table, pool: pa.Table) -> list[Fault]:
    faults = []
    for name, what in (
        ("image_id", "image"),
        ("component", "photograph"),
        ("video_id", "video"),
        ("clip_id", "clip"),
    ):
        pairs = samples.select([name, "split"]).group_by([name, "split"]).aggregate([])
        for value, number in Counter(pairs[name].to_pylist()).items():
            if number > 1:
                faults.append(Fault(format.SAMPLES, f"{what} {value} is in {number} splits: it leaks"))
    clips = {row["clip_id"]: row for row in pool.to_pylist()}
    for clip in clips.values():
        if clip["split"] == "train" and clip["official_split"] != "train":
            faults.append(
                Fault(
                    format.POOL_TABLE,
                    f"{clip['clip_id']} is official {clip['official_split']}, heard in train",
                )
            )
    for row in samples.select(["key", "split", "category", "clip_id", "flac_sha256"]).to_pylist():
        clip = clips.get(row["clip_id"])
        if clip is None:
            faults.append(
                Fault(f"{format.SAMPLES}: {row['key']}", f"hears {row['clip_id']}, which is not in the pool")
            )
        elif (clip["split"], clip["flac_sha256"]) != (row["split"], row["flac_sha256"]) or (
            row["category"] not in clip["categories"]
        ):
            faults.append(
                Fault(
                    f"{format.SAMPLES}: {row['key']}",
                    f"does not agree with its clip {row['clip_id']} in the pool",
                )
            )
    return faults


def _check_shard(job: tuple[str, ShardEntry, list[dict[str, Any]]]) -> _ShardCheck:
    url, entry, rows = job
    check = _ShardCheck()
    try:
        content = storage.read_bytes(storage.join(url, entry.path))
    except FileNotFoundError:
        check.faults.append(Fault(entry.path, "missing, but the manifest lists it"))
        return check
    extensions = format.CLIP_MEMBERS if entry.split == format.POOL else format.SAMPLE_MEMBERS
    check.faults += [Fault(entry.path, what) for what in _check_file(content, entry, rows, extensions)]
    for row in rows:
        where, parts = f"{entry.path}: {row['key']}", {}
        for extension in extensions:
            name = column(extension)
            start = row[f"{name}_offset"]
            parts[extension] = content[start : start + row[f"{name}_size"]]
            if hashlib.sha256(parts[extension]).hexdigest() != row[f"{name}_sha256"]:
                check.faults.append(Fault(f"{where}.{extension}", f"sha256 is not {row[f'{name}_sha256']}"))
        for one in (_check_clip,) if entry.split == format.POOL else (_check_clip, _check_sample):
            try:
                for what in one(row, parts, check):
                    check.faults.append(Fault(where, what))
            except (OSError, SyntaxError, ValueError, KeyError, TypeError, soundfile.SoundFileError) as error:
                check.faults.append(Fault(where, f"does not decode: {type(error).__name__}: {error}"))
    return check


def _check_file(
    content: bytes, entry: ShardEntry, rows: list[dict[str, Any]], extensions: tuple[str, ...]
) -> Iterator[str]:
    """The tar as a file: its hash, and each member where the table says."""
    sha256 = hashlib.sha256(content).hexdigest()
    if (len(content), sha256) != (entry.bytes, entry.sha256):
        yield f"{len(content)} bytes, sha256 {sha256}; the manifest says {entry.bytes}, {entry.sha256}"
    if len(rows) != entry.samples:
        yield f"{len(rows)} rows in the table; the manifest says {entry.samples}"
    planned = [
        (f"{row['key']}.{extension}", row[f"{column(extension)}_offset"], row[f"{column(extension)}_size"])
        for row in rows
        for extension in extensions
    ]
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            members = tar.getmembers()
    except tarfile.TarError as error:
        yield f"no readable tar: {error}"
        return
    for number, member in enumerate(members[: len(planned)]):
        found = (member.name, member.offset_data, member.size)
        if found != planned[number]:
            yield f"member {number} is {found} (name, offset, size); the table says {planned[number]}"
            break
    if len(members) != len(planned):
        yield f"{len(members)} members; the table says {len(planned)}"
    for member in members:
        if (member.mode, member.uid, member.gid, member.mtime, member.isfile()) != (0o644, 0, 0, 0, True):
            yield f"{member.name} has another mode, owner, time or type than the format's"


def _check_clip(row: dict[str, Any], parts: dict[str, bytes], _: _ShardCheck) -> Iterator[str]:
    sound, rate = soundfile.read(io.BytesIO(parts["flac"]), dtype="int16", always_2d=True)
    if (
        rate != format.RATE_HZ
        or sound.shape[1] != 1
        or not 0 < len(sound) <= format.MAX_AUDIO_S * format.RATE_HZ
    ):
        yield f"flac: {len(sound)} samples, {rate} Hz, {sound.shape[1]} channels; the format has 16 kHz mono up to 10 s"
    if abs(len(sound) / rate - row["duration_s"]) > 1e-6:
        yield f"flac: {len(sound) / rate} s; the table says {row['duration_s']}"
    record = json.loads(parts["json"])
    if format.json_bytes(record) != parts["json"]:
        yield "json: not in canonical form"
    told = record.get("audio", record)
    if (told["id"], told["sha256"]) != (row["clip_id"], row["flac_sha256"]):
        yield f"json: audio {told['id']} with another hash than the table's {row['clip_id']}"
    identity = row.get("sample_id", row["clip_id"])
    if row["key"] != format.key_of(identity) or record["key"] != row["key"]:
        yield f"key {row['key']} is not that of {identity}"


def _check_sample(row: dict[str, Any], parts: dict[str, bytes], check: _ShardCheck) -> Iterator[str]:
    record = json.loads(parts["json"])
    check.photo_keys.update(record["image"]["photo_keys"])
    for name in ("sample_id", "split", "category", "component"):
        if record[name] != row[name]:
            yield f"json: {name} {record[name]!r}; the table says {row[name]!r}"
    for ext in ("jpg", "mask.png"):
        told = record["image" if ext == "jpg" else "mask"]["sha256"]
        if told != row[f"{column(ext)}_sha256"]:
            yield f"json: sha256 of {ext} {told}; the table says {row[f'{column(ext)}_sha256']}"
    with JpegImageFile(io.BytesIO(parts["jpg"])) as photo:
        photo.load()
        size = photo.size
    with Image.open(io.BytesIO(parts["mask.png"])) as mask:
        mode, pixels = mask.mode, np.asarray(mask)
    if size != (row["width"], row["height"]):
        yield f"jpg: {size[0]} x {size[1]}; the table says {row['width']} x {row['height']}"
    if jpeg.cleared(parts["jpg"]) != parts["jpg"]:
        yield "jpg: its metadata tell readers to turn it, which would not turn the mask"
    if mode != "L" or pixels.shape[::-1] != size or not np.isin(pixels, (0, 255)).all():
        yield f"mask.png: mode {mode}, {pixels.shape[::-1]}; the format has one channel, 0 or 255, the photo's size"
        return
    ys, xs = np.nonzero(pixels)
    box = (int(xs.min()), int(ys.min()), int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1) if len(xs) else None
    if len(xs) != row["area_px"] or box != tuple(row[f"bbox_{side}"] for side in "xywh"):
        yield f"mask.png: {len(xs)} pixels in {box}; the table says {row['area_px']}"
