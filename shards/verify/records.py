"""A KEY.json, held against its row, the manifest and the pool."""

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

from shards import format, records, scene
from shards.records import Audio, ClipRecord, Pairing, RecordError, SampleRecord
from shards.tables import column
from shards.verify.job import Job, ShardCheck


def check(
    row: dict[str, Any], content: bytes, job: Job, noted: ShardCheck
) -> tuple[SampleRecord | ClipRecord | None, list[str]]:
    """The record in KEY.json, None where it is none, and what is wrong in it; notes the photographs of a sample."""
    try:
        if job.entry.split == format.POOL:
            clip = records.decode(content, ClipRecord)
            return clip, [*_differences(clip, row, format.CLIP_MEMBERS, {"flac": clip.sha256}, clip.id)]
        sample = records.decode(content, SampleRecord)
    except RecordError as error:
        return None, [str(error)]
    noted.photo_keys.update(sample.image.photo_keys)
    return sample, [*_of_sample(sample, row, job), *(_of_scene(sample, job) if sample.sound else ())]


def _of_sample(record: SampleRecord, row: dict[str, Any], job: Job) -> Iterator[str]:
    image, mask = record.image, record.mask
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


def _of_scene(record: SampleRecord, job: Job) -> Iterator[str]:
    yield from scene.contradictions(record)
    for source in record.sources:
        if (source.instances is msgspec.UNSET) == ("instances" in job.targets):
            yield f"json: {source.category}: instances {source.instances}; targets are {', '.join(job.targets)}"
        known = job.clips.get(source.audio.id) if source.audio else None
        if known and record.kind != records.RECORDING and source.category not in known["categories"]:
            yield f"json: {source.category} hears {known['clip_id']}, which the pool has for {known['categories']}"


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
