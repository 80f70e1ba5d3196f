"""A sound and a KEY.json, held against their row and the pool."""

import hashlib
import io
from collections.abc import Iterator
from typing import Any

import msgspec
import soundfile

from shards import format, records
from shards.records import Audio, ClipRecord, Pairing, SampleRecord
from shards.sound import MAX_AUDIO_S, RATE_HZ
from shards.tables import column
from shards.verify.job import Job, ShardCheck


def check_sound(row: dict[str, Any], parts: dict[str, bytes]) -> Iterator[str]:
    """The FLAC of a sample or a clip."""
    sound, rate = soundfile.read(io.BytesIO(parts["flac"]), dtype="int16", always_2d=True)
    channels = (1, 2) if "kind" in row else (1,)
    if rate != RATE_HZ or sound.shape[1] not in channels or not 0 < len(sound) <= MAX_AUDIO_S * RATE_HZ:
        yield (
            f"flac: {len(sound)} samples, {rate} Hz, {sound.shape[1]} channels; the format has 16 kHz "
            f"{'mono' if len(channels) == 1 else 'mono or stereo'} up to 10 s"
        )
    if abs(len(sound) / rate - row["duration_s"]) > 1e-6:
        yield f"flac: {len(sound) / rate} s; the table says {row['duration_s']}"


def check_clip(row: dict[str, Any], parts: dict[str, bytes]) -> Iterator[str]:
    """The record of a clip of the pool."""
    record = records.decode(parts["json"], ClipRecord)
    yield from _differences(record, row, format.CLIP_MEMBERS, {"flac": record.sha256}, record.id)


def check_sample(row: dict[str, Any], parts: dict[str, bytes], job: Job, check: ShardCheck) -> Iterator[str]:
    """The record of a sample; notes the photographs that it shows."""
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
