"""Cut a clip out of a recording by sample: decode with PyAV, resample to 16 kHz mono, write FLAC.

A cut by container (ffmpeg's `-ss` with stream copy, yt-dlp's download sections) begins at a keyframe, up to
seconds early. Here the frames are decoded from a little before the clip and trimmed by their timestamps, so
the first sample is the right one.
"""

import io
import math
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import soundfile
import soxr

from pipelines.fetch.causes import Cause, Failure

RATE_HZ = 16_000
TOLERANCE_S = 0.010
# Decoded and dropped: codecs need packets before the first right sample (Opus 80 ms, MP3 and AAC some frames).
_PREROLL_S = 2.0
_MAX_RATE_HZ = 384_000


@dataclass(frozen=True)
class Clip:
    """`samples`: (n,) float32 in [-1, 1], 16 kHz mono. `source_s`: length of the whole recording, 0 if it does
    not tell.
    """

    samples: np.ndarray
    source_s: float

    @property
    def duration_s(self) -> float:
        return len(self.samples) / RATE_HZ


def cut(file: str | io.BytesIO, start_s: float, duration_s: float, min_s: float = 1.0) -> Clip:
    """`duration_s` of audio from `start_s`, or less where the recording ends; not less than `min_s`.

    Raises:
        Failure: DECODE_ERROR, TOO_SHORT, or TRUNCATED where the audio ends more than 10 ms before the
        recording says it does.
    """
    try:
        with av.open(file, "r") as container:
            clip = _decode(container, start_s, duration_s)
    except (av.error.FFmpegError, ValueError, OverflowError) as error:
        raise Failure(Cause.DECODE_ERROR, f"{type(error).__name__}: {error}") from error
    if clip.duration_s < min_s:
        known = f", the recording is {clip.source_s:.2f} s long" if clip.source_s else ""
        raise Failure(
            Cause.TOO_SHORT,
            f"{clip.duration_s:.3f} s from {start_s:g} s; at least {min_s:g} s are needed{known}",
        )
    return clip


def _decode(container: av.container.InputContainer, start_s: float, duration_s: float) -> Clip:
    if not container.streams.audio:
        raise Failure(Cause.BAD_CONTENT, "no audio track")
    stream = container.streams.audio[0]
    rate = stream.rate
    if not rate or rate > _MAX_RATE_HZ:
        raise Failure(Cause.DECODE_ERROR, f"sample rate {rate} Hz")
    base = stream.time_base or Fraction(1, rate)
    origin_s = float((stream.start_time or 0) * base)
    first, count = round(start_s * rate), round(duration_s * rate)
    if start_s > _PREROLL_S:
        container.seek(int((start_s - _PREROLL_S + origin_s) / base), stream=stream, backward=True)
    mono = np.zeros(count, np.float32)
    filled_to, ended, clock = 0, True, _SampleClock(rate)
    for frame in container.decode(stream):
        block = _mono(frame)
        stamp = None
        if frame.pts is not None:
            stamp = round((float(frame.pts * (frame.time_base or base)) - origin_s) * rate)
        position = clock.position(stamp, len(block), settled=filled_to > 0)
        expected = position + len(block)
        begin, end = max(position, first), min(expected, first + count)
        if begin < end:
            mono[begin - first : end - first] = block[begin - position : end - position]
            filled_to = end - first
        if position >= first + count:
            ended = False
            break
    if filled_to == count:
        ended = False
    source_s = _length_s(container, stream)
    got_s = start_s + filled_to / rate
    if (
        ended
        and source_s
        and got_s < min(source_s, start_s + duration_s) - max(TOLERANCE_S, _slack_s(stream))
    ):
        raise Failure(
            Cause.TRUNCATED, f"the audio ends at {got_s:.3f} s, the recording says {source_s:.3f} s"
        )
    mono = mono[:filled_to]
    samples = mono if rate == RATE_HZ else soxr.resample(mono, rate, RATE_HZ, quality="HQ")
    wanted = math.floor(len(mono) * RATE_HZ / rate + 0.5)
    return Clip(_fit(samples, wanted), source_s)


class _SampleClock:
    """Where each frame begins, in samples from the start of the recording.

    Samples are counted; where the count begins is the median of what the timestamps say, since a container
    rounds them (WebM to 1 ms). Only a jump of more than 20 ms is a gap.
    """

    def __init__(self, rate: int) -> None:
        self._gap = 0.02 * rate
        self._counted, self._begins = 0, [0]
        self._fresh = True

    def position(self, stamp: int | None, length: int, settled: bool) -> int:
        """The first sample of a frame of `length` samples; once `settled` only a gap moves the count's begin."""
        if stamp is not None:
            begin = stamp - self._counted
            if self._fresh or abs(begin - self._begin) > self._gap:
                self._counted, self._begins, self._fresh = 0, [stamp], False
            elif not settled:
                self._begins.append(begin)
        found = self._begin + self._counted
        self._counted += length
        return found

    @property
    def _begin(self) -> int:
        return sorted(self._begins)[len(self._begins) // 2]


def _slack_s(stream: av.AudioStream) -> float:
    """How far a container's length may be off: codecs pad the last frame, and some count the encoder's delay."""
    return 2 * (stream.codec_context.frame_size or 1152) / stream.rate + 0.05


def _length_s(container: av.container.InputContainer, stream: av.AudioStream) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration and not container.streams.video else 0.0


def _mono(frame: av.AudioFrame) -> np.ndarray:
    """(n,) float32, the mean of all channels."""
    values = frame.to_ndarray()
    if values.dtype.kind == "u":
        scaled = (values.astype(np.float32) - 128.0) / 128.0
    elif values.dtype.kind == "i":
        scaled = values.astype(np.float32) / 2.0 ** (8 * values.dtype.itemsize - 1)
    else:
        scaled = values.astype(np.float32)
    if frame.format.is_planar:
        return scaled.mean(axis=0)
    return scaled.reshape(-1, len(frame.layout.channels)).mean(axis=1)


def _fit(samples: np.ndarray, length: int) -> np.ndarray:
    return samples[:length] if len(samples) >= length else np.pad(samples, (0, length - len(samples)))


def to_flac(samples: np.ndarray) -> bytes:
    """16 kHz mono 16-bit FLAC of (n,) float32; values beyond [-1, 1) are limited."""
    pcm = np.clip(np.round(samples * 32768.0), -32768, 32767).astype(np.int16)
    buffer = io.BytesIO()
    soundfile.write(buffer, pcm, RATE_HZ, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


@dataclass(frozen=True)
class AudioRules:
    """Levels are dB below full scale. `max_clipped`: largest share of samples at full scale."""

    min_s: float = 1.0
    min_rms_db: float = -60.0
    max_clipped: float = 0.10


def check(samples: np.ndarray, rules: AudioRules) -> None:
    """Raise Failure SILENT or CLIPPED where (n,) float32 `samples` break the rules."""
    rms_db = 10.0 * math.log10(max(float(np.mean(np.square(samples, dtype=np.float64))), 1e-12))
    if rms_db < rules.min_rms_db:
        raise Failure(Cause.SILENT, f"level {rms_db:.1f} dB is below {rules.min_rms_db:g} dB")
    clipped = float(np.mean(np.abs(samples) >= 32767 / 32768))
    if clipped > rules.max_clipped:
        raise Failure(
            Cause.CLIPPED,
            f"{clipped:.1%} of the samples are at full scale, at most {rules.max_clipped:.1%} may be",
        )
