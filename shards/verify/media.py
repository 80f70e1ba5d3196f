"""A photo, a mask and a sound, decoded and held against their row and record."""

import io
from collections.abc import Iterator
from typing import Any

import soundfile

from shards import format
from shards.pictures import PictureError
from shards.records import ClipRecord, SampleRecord
from shards.sound import MAX_AUDIO_S, RATE_HZ
from shards.verify import pictures, scenes
from shards.verify.job import Job


def faults(
    row: dict[str, Any], parts: dict[str, bytes], record: SampleRecord | ClipRecord | None, job: Job
) -> Iterator[str]:
    """What is wrong in the media of a sample or a clip.

    Args:
        parts: its members, by extension.
        record: None: it has none that could be read, and nothing is held against it.
    """
    checks = [_sound(row, parts["flac"])]
    if job.entry.split != format.POOL:
        checks.append(pictures.check(row, parts))
    if isinstance(record, SampleRecord) and record.sound and job.targets:
        checks.append(scenes.check(record, parts, job))
    for check in checks:
        try:
            yield from check
        except PictureError as error:
            yield str(error)
        except (OSError, SyntaxError, ValueError, KeyError, TypeError, soundfile.SoundFileError) as error:
            yield f"does not decode: {type(error).__name__}: {error}"


def _sound(row: dict[str, Any], flac: bytes) -> Iterator[str]:
    sound, rate = soundfile.read(io.BytesIO(flac), dtype="int16", always_2d=True)
    channels = (1, 2) if "kind" in row else (1,)
    if rate != RATE_HZ or sound.shape[1] not in channels or not 0 < len(sound) <= MAX_AUDIO_S * RATE_HZ:
        yield (
            f"flac: {len(sound)} samples, {rate} Hz, {sound.shape[1]} channels; the format has 16 kHz "
            f"{'mono' if len(channels) == 1 else 'mono or stereo'} up to 10 s"
        )
    if abs(len(sound) / rate - row["duration_s"]) > 1e-6:
        yield f"flac: {len(sound) / rate} s; the table says {row['duration_s']}"
