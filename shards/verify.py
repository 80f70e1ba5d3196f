"""Re-read all of a dataset and say what is wrong and where. Trusts nothing that it can compute again."""

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

import msgspec
import numpy as np
import pyarrow as pa
import soundfile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from shards import format, jpeg, pictures, places, processes, records, run_lengths, scene, storage, tables
from shards.manifest import ShardEntry, TableEntry
from shards.reader import Dataset
from shards.records import Audio, ClipRecord, Pairing, SampleRecord
from shards.sound import MAX_AUDIO_S, RATE_HZ, pcm_of, pcm_to_flac
from shards.tables import column


@dataclass(frozen=True)
class Fault:
    """`where`: a file, or a file and a key; `what`: what was found and what the format asks for."""

    where: str
    what: str


@dataclass(frozen=True)
class _Job:
    """One shard to check, with what the tables say of it."""

    url: str
    entry: ShardEntry
    rows: list[dict[str, Any]]
    clips: dict[str, dict[str, Any]]  # rows of the pool that its samples hear, by clip id
    seed: int
    targets: tuple[str, ...]
    classes: dict[str, int]

    @property
    def extensions(self) -> tuple[str, ...]:
        return format.CLIP_MEMBERS if self.entry.split == format.POOL else format.sample_members(self.targets)


@dataclass
class _ShardCheck:
    faults: list[Fault] = field(default_factory=list)
    photo_keys: set[str] = field(default_factory=set)


def verify(
    url: str,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    held_out: Mapping[str, frozenset[str]] | None = None,
) -> list[Fault]:
    """Every fault of a dataset; none: it is as the format asks.

    Args:
        workers: processes that read shards.
        progress: called with (shards read, shards in all).
        held_out: videos that training must not hear, by the name of the list that says so.

    Raises:
        DatasetError: there is no manifest of this format, so nothing to verify.
    """
    dataset = Dataset(url)
    faults = [
        fault
        for name, entry in dataset.manifest.tables.items()
        for fault in _table_faults(dataset, name, entry)
    ]
    if faults:
        return faults  # the tables say where everything is: without them nothing below means anything
    samples, pool = dataset.table(format.SAMPLES), dataset.table(format.POOL_TABLE)
    clips = {row["clip_id"]: row for row in pool.to_pylist()}
    faults += _file_faults(dataset) + _count_faults(dataset, samples) + _funnel_faults(dataset, samples)
    faults += _leaks(samples, clips)
    for name, videos in (held_out or {}).items():
        faults += _heard(clips, name, videos)
    made = dataset.manifest
    entries = [*made.shards, *made.pool_shards]
    classes = {name: number for number, name in enumerate(made.classes, start=1)}
    jobs = []
    for entry in entries:
        rows = _rows_of(samples if entry.split != format.POOL else pool, entry)
        heard = {name: clips[name] for row in rows for name in _heard_clips(row) if name in clips}
        jobs.append(_Job(dataset.url, entry, rows, heard, made.seed, made.targets, classes))
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


def _run(jobs: list[_Job], workers: int) -> Iterator[_ShardCheck]:
    with processes.pool(min(workers, len(jobs))) as each:
        yield from each(_check_shard, jobs)


def _heard_clips(row: Mapping[str, Any]) -> list[str]:
    """Clip ids of a row of samples.parquet or pool.parquet, of a dataset of scenes or not."""
    return row["clip_ids"] if "clip_ids" in row else [row["clip_id"]]


def _rows_of(table: pa.Table, entry: ShardEntry) -> list[dict[str, Any]]:
    return table.filter(pa.compute.equal(table["shard"], entry.path)).to_pylist()


def _table_faults(dataset: Dataset, name: str, entry: TableEntry) -> Iterator[Fault]:
    url = storage.join(dataset.url, name)
    try:
        size = storage.size(url)
        found = storage.sha256(url) if size == entry.bytes else "not looked at"
    except FileNotFoundError:
        yield Fault(name, "missing, but the manifest lists it")
        return
    if found != entry.sha256:
        yield Fault(name, f"sha256 {found}, {size} bytes; the manifest says {entry.sha256}, {entry.bytes}")
        return
    try:
        table = tables.read(url, schema=dataset.manifest.schemas[name])
    except (tables.TableError, OSError) as error:
        yield Fault(name, f"no readable table: {error}")
        return
    if table.num_rows != entry.rows:
        yield Fault(name, f"{table.num_rows} rows; the manifest says {entry.rows}")
    if name != format.REJECTIONS:
        yield from (Fault(name, what) for what in places.faults(name, table, dataset.manifest))


def _file_faults(dataset: Dataset) -> list[Fault]:
    listed = {entry.path for entry in (*dataset.manifest.shards, *dataset.manifest.pool_shards)}
    found = {
        f"{split}/{name}"
        for split in (*format.SPLITS, format.POOL)
        for name in storage.names(storage.join(dataset.url, split))
    }
    faults = []
    for path in sorted({*found, *filter(storage.litter, storage.names(dataset.url))} - listed):
        whose = storage.litter(path)
        if whose is None:
            what = "not in the manifest: left over, or put there by hand"
        elif whose.is_gone() is False:
            what = f"process {whose.process} on {whose.host} is writing it: wait until that has ended"
        else:
            what = (
                f"left unfinished by process {whose.process} on {whose.host}; no part of the dataset: remove it, or "
                "run the command that made the dataset again, which removes it"
            )
        faults.append(Fault(path, what))
    return faults


def _count_faults(dataset: Dataset, samples: pa.Table) -> list[Fault]:
    faults = [] if len(samples) else [Fault(format.SAMPLES, "not one sample: there is nothing to use")]
    several = "categories" in samples.column_names
    rows = samples.select(["split", "categories" if several else "category", "key"]).to_pylist()
    for split in format.SPLITS:
        inside = [row for row in rows if row["split"] == split]
        categories = Counter(
            name for row in inside for name in (row["categories"] if several else [row["category"]])
        )
        told = dataset.manifest.counts.get(split)
        if told != {"samples": len(inside), "categories": dict(categories)}:
            faults.append(
                Fault(format.MANIFEST, f"counts of {split}: {told}; {format.SAMPLES} has {dict(categories)}")
            )
    twice = [key for key, number in Counter(row["key"] for row in rows).items() if number > 1]
    return faults + [Fault(format.SAMPLES, f"key {key} is there more than once") for key in twice]


def _funnel_faults(dataset: Dataset, samples: pa.Table) -> list[Fault]:
    faults = []
    columns = [
        name for name in ("stage", "unit", "reason") if name in dataset.table(format.REJECTIONS).column_names
    ]
    grouped = dataset.table(format.REJECTIONS, columns).group_by(columns).aggregate([([], "count_all")])
    found = {tuple(row[name] for name in columns): row["count_all"] for row in grouped.to_pylist()}
    told: Counter[tuple[str, ...]] = Counter()
    last = [step for step in dataset.manifest.funnel if step["unit"] == "samples"][-1:]
    for step in dataset.manifest.funnel:
        where = f"{format.MANIFEST}: funnel, {step['stage']} of {step['unit']}"
        if step["in"] != step["kept"] + sum(step["rejected"].values()):
            faults.append(
                Fault(where, f"in {step['in']} is not kept {step['kept']} + rejected {step['rejected']}")
            )
        for reason, number in step["rejected"].items():
            known = {"stage": step["stage"], "unit": step["unit"], "reason": reason}
            told[tuple(known[name] for name in columns)] += number
        if step in last and step["kept"] != samples.num_rows:
            faults.append(Fault(where, f"kept {step['kept']}; {format.SAMPLES} has {samples.num_rows} rows"))
    for key in sorted(set(found) | set(told), key=str):
        if found.get(key, 0) != told[key]:
            faults.append(
                Fault(format.REJECTIONS, f"{found.get(key, 0)} rows of {key}; the funnel says {told[key]}")
            )
    return faults


def _leaks(samples: pa.Table, clips: Mapping[str, dict[str, Any]]) -> list[Fault]:
    faults = []
    scenes = "clip_ids" in samples.column_names
    for name, what in (
        ("image_id", "image"),
        ("component", "photograph"),
        ("video_ids" if scenes else "video_id", "video"),
        ("clip_ids" if scenes else "clip_id", "clip"),
    ):
        values = zip(samples[name].to_pylist(), samples["split"].to_pylist(), strict=True)
        pairs = {
            (one, split) for value, split in values for one in (value if name.endswith("s") else [value])
        }
        for value, number in sorted(Counter(value for value, _ in pairs).items()):
            if number > 1:
                faults.append(Fault(format.SAMPLES, f"{what} {value} is in {number} splits: it leaks"))
    for clip in clips.values():
        if clip["split"] == "train" and clip["official_split"] not in ("train", ""):  # "": it has none
            faults.append(
                Fault(
                    format.POOL_TABLE,
                    f"{clip['clip_id']} is official {clip['official_split']}, heard in train",
                )
            )
    columns = ["key", "split"] + (["clip_ids"] if scenes else ["category", "clip_id"])
    for row in samples.select(columns).to_pylist():
        where = f"{format.SAMPLES}: {row['key']}"
        for clip_id in _heard_clips(row):
            known = clips.get(clip_id)
            if known is None:
                faults.append(Fault(where, f"hears {clip_id}, which is not in the pool"))
            elif known["split"] != row["split"] or row.get("category") not in (None, *known["categories"]):
                faults.append(
                    Fault(
                        where,
                        f"{row.get('category', 'a scene')} in {row['split']} hears {clip_id}, which the pool has for "
                        f"{', '.join(known['categories'])} in {known['split']}",
                    )
                )
    return faults


def _heard(clips: Mapping[str, dict[str, Any]], name: str, videos: frozenset[str]) -> list[Fault]:
    """Held-out videos in training; a `video_id` may have more than YouTube's 11 characters, as AVSBench's do."""
    return [
        Fault(
            f"{format.POOL_TABLE}: {clip['clip_id']}",
            f"video {clip['video_id']} is heard in train, but {name} holds it out: build again with --held-out and "
            "that list",
        )
        for clip in clips.values()
        if clip["split"] == "train" and not videos.isdisjoint((clip["video_id"], clip["video_id"][:11]))
    ]


def _check_shard(job: _Job) -> _ShardCheck:
    """One shard, read once from its begin to its end, a sample at a time."""
    entry, check = job.entry, _ShardCheck()
    url = storage.join(job.url, entry.path)
    try:
        with storage.open_read(url) as file:
            size, digest = storage.size(url), hashlib.sha256()
            for row in job.rows:
                _check_row(job, row, _members(file, row, job, check, digest), check)
            end = file.read(len(format.END_OF_ARCHIVE) + 1)
            digest.update(end)
    except FileNotFoundError:
        check.faults.append(Fault(entry.path, "missing, but the manifest lists it"))
        return check
    sha256 = digest.hexdigest()
    if (size, sha256) != (entry.bytes, entry.sha256):
        what = f"{size} bytes, sha256 {sha256}; the manifest says {entry.bytes}, {entry.sha256}"
        check.faults.append(Fault(entry.path, what))
    if end != format.END_OF_ARCHIVE:
        check.faults.append(Fault(entry.path, "does not end with two blocks of zeros"))
    return check


def _members(
    file: IO[bytes], row: dict[str, Any], job: _Job, check: _ShardCheck, digest: Any
) -> dict[str, bytes]:
    """The members of the next row, extension -> content, with headers and padding as the format has them."""
    found = {}
    for extension in job.extensions:
        name, where = column(extension), f"{job.entry.path}: {row['key']}.{extension}"
        size = row[f"{name}_size"]
        header, content, padding = (
            file.read(length) for length in (format.BLOCK, size, len(format.padding(size)))
        )
        for part in (header, content, padding):
            digest.update(part)
        if header != format.tar_header(f"{row['key']}.{extension}", size):
            what = "another name, size, mode, owner, time or type in its header than the table's and the format's"
            check.faults.append(Fault(where, what))
        if any(padding):
            check.faults.append(Fault(where, "padded with other bytes than zeros"))
        if (sha256 := hashlib.sha256(content).hexdigest()) != row[f"{name}_sha256"]:
            what = f"{len(content)} bytes, sha256 is not {row[f'{name}_sha256']} but {sha256}"
            check.faults.append(Fault(where, what))
        found[extension] = content
    return found


def _check_row(job: _Job, row: dict[str, Any], parts: dict[str, bytes], check: _ShardCheck) -> None:
    where = f"{job.entry.path}: {row['key']}"
    checks = [_check_sound(row, parts)]
    if job.entry.split == format.POOL:
        checks += [_check_clip_record(row, parts)]
    else:
        checks += [_check_sample_record(row, parts, job, check), _check_pictures(row, parts)]
        if job.targets:
            checks += [_check_scene(row, parts, job)]
    for one in checks:
        try:
            for what in one:
                check.faults.append(Fault(where, what))
        except (records.RecordError, pictures.PictureError) as error:
            check.faults.append(Fault(where, str(error)))
        except (OSError, SyntaxError, ValueError, KeyError, TypeError, soundfile.SoundFileError) as error:
            check.faults.append(Fault(where, f"does not decode: {type(error).__name__}: {error}"))


def _check_sound(row: dict[str, Any], parts: dict[str, bytes]) -> Iterator[str]:
    sound, rate = soundfile.read(io.BytesIO(parts["flac"]), dtype="int16", always_2d=True)
    channels = (1, 2) if "kind" in row else (1,)
    if rate != RATE_HZ or sound.shape[1] not in channels or not 0 < len(sound) <= MAX_AUDIO_S * RATE_HZ:
        yield (
            f"flac: {len(sound)} samples, {rate} Hz, {sound.shape[1]} channels; the format has 16 kHz "
            f"{'mono' if len(channels) == 1 else 'mono or stereo'} up to 10 s"
        )
    if abs(len(sound) / rate - row["duration_s"]) > 1e-6:
        yield f"flac: {len(sound) / rate} s; the table says {row['duration_s']}"


def _check_clip_record(row: dict[str, Any], parts: dict[str, bytes]) -> Iterator[str]:
    record = records.decode(parts["json"], ClipRecord)
    yield from _differences(record, row, format.CLIP_MEMBERS, {"flac": record.sha256}, record.id)


def _check_sample_record(
    row: dict[str, Any], parts: dict[str, bytes], job: _Job, check: _ShardCheck
) -> Iterator[str]:
    record = records.decode(parts["json"], SampleRecord)
    image, mask = record.image, record.mask
    check.photo_keys.update(image.photo_keys)
    heard = record.audio.sha256 if record.audio else record.sound.sha256 if record.sound else ""
    hashes = {"flac": heard, "jpg": image.sha256, "mask.png": mask.sha256}
    yield from _differences(record, row, job.extensions, hashes, record.sample_id)
    if (record.scene_kind is msgspec.UNSET) == bool(job.targets):
        yield f"json: {'no scene' if job.targets else 'a scene'}; the manifest's targets are {list(job.targets)}"
    if record.sample_id != records.sample_id_of(record):
        yield f"json: sample_id {record.sample_id!r} is not {records.sample_id_of(record)!r}, what the record says"
    if image.corpus != image.id.partition(":")[0]:
        yield f"json: image {image.id} is not of corpus {image.corpus}"
    if image.id not in image.photo_keys:
        yield f"json: photo_keys {list(image.photo_keys)} without the image's id {image.id}"
    if record.pairing != Pairing(seed=job.seed):
        yield f"json: {record.pairing}; the manifest's seed is {job.seed}, and the shards hold epoch 0"
    for audio in record.clips:
        clip = job.clips.get(audio.id)
        if clip and _of_clip(audio, clip) != clip["json_sha256"]:
            yield f"json: audio is not what the pool's record of {audio.id} says"


def _check_scene(row: dict[str, Any], parts: dict[str, bytes], job: _Job) -> Iterator[str]:
    """A scene's sources, its sound rendered again from the pool, and its targets drawn again."""
    record = records.decode(parts["json"], SampleRecord)
    if not record.sound:
        return  # told by `_check_sample_record`
    yield from scene.contradictions(record)
    for source in record.sources:
        if (source.instances is msgspec.UNSET) == ("instances" in job.targets):
            yield f"json: {source.category}: instances {source.instances}; targets are {', '.join(job.targets)}"
        known = job.clips.get(source.audio.id) if source.audio else None
        if known and record.kind != records.RECORDING and source.category not in known["categories"]:
            yield f"json: {source.category} hears {known['clip_id']}, which the pool has for {known['categories']}"
    if all(audio.id in job.clips for audio in record.clips):
        yield from _check_rendered(record, parts["flac"], job)
    pictures.check_mask(parts["mask.png"])
    with PngImageFile(io.BytesIO(parts["mask.png"])) as image:
        mask = np.asarray(image) > 0
    if (record.image.height, record.image.width) != mask.shape:
        return  # told by `_check_pictures`
    if "instances" in job.targets:
        yield from _check_instances(record, mask)
    if "classes" in job.targets:
        yield from _check_classes(record, parts, mask, job)


def _check_rendered(record: SampleRecord, flac: bytes, job: _Job) -> Iterator[str]:
    def clip(audio: Audio) -> np.ndarray:
        row = job.clips[audio.id]
        return pcm_of(
            storage.read_range(storage.join(job.url, row["shard"]), row["flac_offset"], row["flac_size"])
        )

    assert record.sound  # the caller looked
    made = scene.rendered(record, clip)
    if pcm_to_flac(made.pcm) != flac:
        yield "flac: is not what its sources give, rendered again from the pool"
    if (made.scale, made.clipped) != (record.sound.scale, record.sound.clipped):
        yield f"json: scale {record.sound.scale}, clipped {record.sound.clipped}; rendered {made.scale}, {made.clipped}"


def _check_instances(record: SampleRecord, mask: np.ndarray) -> Iterator[str]:
    together = np.zeros_like(mask)
    for source in record.sources:
        drawn = np.zeros_like(mask)
        for instance in source.instances or ():
            drawn |= run_lengths.pixels(instance.counts, *mask.shape)
        if np.count_nonzero(drawn) != source.area_px:
            yield f"json: {source.category}: instances of {np.count_nonzero(drawn)} pixels; area_px {source.area_px}"
        together |= drawn
    if (together != mask).any():
        yield "json: the instances are not what mask.png covers"


def _check_classes(
    record: SampleRecord, parts: dict[str, bytes], mask: np.ndarray, job: _Job
) -> Iterator[str]:
    pictures.check_mask(parts[format.CLASSES], format.CLASSES)
    with PngImageFile(io.BytesIO(parts[format.CLASSES])) as image:
        mode, found = image.mode, np.asarray(image)
    numbers = {job.classes.get(name, 0) for name in record.categories} | {0, format.IGNORE}
    if mode != "L" or found.shape != mask.shape or not set(np.unique(found).tolist()) <= numbers:
        yield f"{format.CLASSES}: mode {mode}, {found.shape[::-1]}, values {np.unique(found)[:9]}; of {numbers}"
    elif record.kind == records.RECORDING and set(np.unique(found).tolist()) | {0, format.IGNORE} != numbers:
        yield f"{format.CLASSES}: shows {np.unique(found)}; the record's classes are {record.category!r}"
    elif ((found > 0) != mask).any():
        yield f"{format.CLASSES}: covers other pixels than mask.png"
    elif "instances" in job.targets:
        drawn = scene.class_pixels(scene.layers(record, job.classes), *mask.shape)
        if (drawn != found).any():
            yield f"{format.CLASSES}: is not what its instances give, drawn again"


def _of_clip(audio: Audio, clip: dict[str, Any]) -> str:
    """Hash of the KEY.json that the pool has for this audio: no need to read it there."""
    told = msgspec.structs.asdict(audio)
    record = ClipRecord(**told, categories=tuple(clip["categories"]), split=clip["split"])
    return hashlib.sha256(records.encode(record)).hexdigest()


def _differences(
    record: SampleRecord | ClipRecord,
    row: dict[str, Any],
    extensions: tuple[str, ...],
    hashes: dict[str, str],
    identity: str,
) -> Iterator[str]:
    """Where a record and its row do not agree, hashes and key included."""
    told = records.row(record, row["shard"], records.members_of(row, extensions))
    for name, value in told.items():
        if value != row[name]:
            yield f"json: {name} {value!r}; the table says {row[name]!r}"
    for extension, sha256 in hashes.items():
        if sha256 != row[f"{column(extension)}_sha256"]:
            yield f"json: sha256 of {extension} {sha256}; the table says {row[f'{column(extension)}_sha256']}"
    if record.key != format.key_of(identity):
        yield f"key {record.key} is not that of {identity}"


def _check_pictures(row: dict[str, Any], parts: dict[str, bytes]) -> Iterator[str]:
    size = pictures.check_photo(parts["jpg"])
    with JpegImageFile(io.BytesIO(parts["jpg"])) as photo:
        photo.draft(
            "L", (max(1, size[0] // 8), max(1, size[1] // 8))
        )  # every coded byte is read, few pixels made
        photo.load()
    if size != (row["width"], row["height"]):
        yield f"jpg: {size[0]} x {size[1]}; the table says {row['width']} x {row['height']}"
    if jpeg.cleared(parts["jpg"]) != parts["jpg"]:
        yield "jpg: its metadata tell readers to turn it, which would not turn the mask"
    pictures.check_mask(parts["mask.png"])
    with PngImageFile(io.BytesIO(parts["mask.png"])) as mask:
        mode, pixels = mask.mode, np.asarray(mask)
    if mode != "L" or pixels.shape[::-1] != size or ((pixels != 0) & (pixels != 255)).any():
        yield f"mask.png: mode {mode}, {pixels.shape[::-1]}; the format has one channel, 0 or 255, the photo's size"
        return
    area, box = int(np.count_nonzero(pixels)), _box(pixels)
    if area != row["area_px"] or box != tuple(row[f"bbox_{side}"] for side in "xywh"):
        yield f"mask.png: {area} pixels in {box}; the table says {row['area_px']}"
    if area / pixels.size != row["area_fraction"]:
        yield f"mask.png: {area / pixels.size} of the photo; the table says {row['area_fraction']}"
    if not area and "kind" not in row and not format.is_frame(row["image_id"]):
        yield "mask.png: no pixel is 255, and the photo is no frame of a video"


def _box(pixels: np.ndarray) -> tuple[int, int, int, int]:
    """x, y, width, height of what is not zero; zeros where everything is."""
    ys, xs = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
    if not len(xs):
        return 0, 0, 0, 0
    return int(xs[0]), int(ys[0]), int(xs[-1] - xs[0]) + 1, int(ys[-1] - ys[0]) + 1
