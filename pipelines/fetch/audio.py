"""What `fetch` asks of a clip: that it decodes, is long and loud enough, and is not limited."""

import math
from dataclasses import dataclass, field
from typing import IO

import numpy as np

from pipelines.fetch.causes import Cause, Failure
from shards.rejections import Reason, Rejected
from shards.sound import RATE_HZ, decoder

_CAUSES = {
    Reason.AUDIO_TRUNCATED: Cause.AUDIO_TRUNCATED,
    Reason.AUDIO_TOO_LONG: Cause.TOO_LONG,
    Reason.AUDIO_TOO_SHORT: Cause.TOO_SHORT,
}


@dataclass(frozen=True)
class AudioRules:
    """Levels are dB below full scale. `max_clipped`: largest share of samples at full scale."""

    min_s: float = 1.0
    min_rms_db: float = -60.0
    max_clipped: float = 0.10


@dataclass(frozen=True)
class ClipRules:
    """`clip_s`: length of a clip. `max_bytes`: of the downloaded recording. `deadline_s`: for one download."""

    clip_s: float = 10.0
    max_bytes: int = 500_000_000
    deadline_s: float = 900.0
    stall_s: float = 30.0
    listening: AudioRules = field(default_factory=AudioRules)


def cut(
    source: str | IO[bytes],
    start_s: float,
    duration_s: float,
    min_s: float = 1.0,
    max_file_s: float | None = None,
) -> np.ndarray:
    """`duration_s` of sound from `start_s`, or less where the recording ends; not less than `min_s`.

    A cut by container (ffmpeg's `-ss` with stream copy, yt-dlp's download sections) begins at a keyframe, up to
    seconds early. Here the first sample is the right one.

    Returns:
        (n,) float32 in [-1, 1], 16 kHz mono.

    Raises:
        Failure: DECODE_ERROR, AUDIO_TRUNCATED where the recording ends early, TOO_SHORT, TOO_LONG where it goes on
            after `max_file_s`.
    """
    try:
        samples = decoder.decode(source, start_s=start_s, duration_s=duration_s, max_file_s=max_file_s)
    except Rejected as error:
        raise Failure(_CAUSES.get(error.reason, Cause.DECODE_ERROR), error.detail) from error
    found_s = len(samples) / RATE_HZ
    if found_s < min_s:
        raise Failure(
            Cause.TOO_SHORT,
            f"{found_s:.3f} s from {start_s:g} s to the end of the recording; at least {min_s:g} s are needed",
        )
    return samples


def check(samples: np.ndarray, rules: AudioRules) -> None:
    """Raise Failure SILENT or CLIPPED where (n,) float32 `samples` break the rules."""
    level_db = 10.0 * math.log10(max(float(np.var(samples, dtype=np.float64)), 1e-12))
    if level_db < rules.min_rms_db:
        raise Failure(Cause.SILENT, f"level {level_db:.1f} dB is below {rules.min_rms_db:g} dB")
    clipped = float(np.mean(np.abs(samples) >= 32767 / 32768))
    if clipped > rules.max_clipped:
        raise Failure(
            Cause.CLIPPED,
            f"{clipped:.1%} of the samples are at full scale, at most {rules.max_clipped:.1%} may be",
        )
