"""Clips: any audio or video file to the shards' 16 kHz mono FLAC. Cut by sample, never at a keyframe."""

import io
from dataclasses import dataclass
from typing import IO

import av
import numpy as np
import soundfile
import soxr

from shards import storage
from shards.format import MAX_AUDIO_S, RATE_HZ
from shards.rejections import Reason, Rejected

_SOUNDFILE = (".wav", ".flac", ".ogg", ".oga", ".mp3", ".aiff", ".aif", ".opus")


@dataclass(frozen=True)
class Flac:
    """An encoded clip and its length in seconds."""

    content: bytes
    duration_s: float


def decode(url: str, max_file_s: float) -> np.ndarray:
    """The first 10 s of a media file: float32 in [-1, 1], shape (samples,), mono mean, 16 kHz.

    soundfile reads the plain audio formats, PyAV whatever else has an audio track.

    Raises:
        Rejected: not decodable, no audio track, or longer than `max_file_s`.
    """
    try:
        if url.lower().endswith(_SOUNDFILE):
            signal, rate = _decode_soundfile(url, max_file_s)
        else:
            signal, rate = _decode_av(url, max_file_s)
    except (soundfile.SoundFileError, av.FFmpegError, EOFError, ValueError) as error:
        raise Rejected(Reason.AUDIO_UNREADABLE, f"{type(error).__name__}: {_said(error)}") from error
    if not np.isfinite(signal).all():
        raise Rejected(Reason.AUDIO_UNREADABLE, "samples that are no numbers (NaN or infinite)")
    if rate != RATE_HZ and len(signal):
        signal = soxr.resample(signal, rate, RATE_HZ, quality="HQ")
    return signal[: int(MAX_AUDIO_S * RATE_HZ)]


def to_flac(url: str, *, min_duration_s: float, max_duration_s: float, silence_peak: float) -> Flac:
    """A clip as the shards hold it: 16 kHz, mono, 16 bit FLAC; the same file gives the same bytes.

    Raises:
        Rejected: unreadable, too short, too long, or silent.
    """
    signal = decode(url, max_duration_s)
    duration_s = len(signal) / RATE_HZ
    if duration_s < min_duration_s:
        raise Rejected(Reason.AUDIO_TOO_SHORT, f"{duration_s:.3f} s; at least {min_duration_s:g} s")
    peak = float(np.abs(signal).max(initial=0))
    if peak < silence_peak:
        raise Rejected(Reason.AUDIO_SILENT, f"peak {peak:.6f}; at least {silence_peak:g}")
    pcm = np.clip(np.rint(signal * 32767.0), -32768, 32767).astype(np.int16)
    buffer = io.BytesIO()
    soundfile.write(buffer, pcm, RATE_HZ, format="FLAC", subtype="PCM_16")
    return Flac(buffer.getvalue(), duration_s)


def _too_long(duration_s: float, max_file_s: float) -> Rejected:
    return Rejected(Reason.AUDIO_TOO_LONG, f"{duration_s:.1f} s; at most {max_file_s:g} s")


def _decode_soundfile(url: str, max_file_s: float) -> tuple[np.ndarray, int]:
    with _open(url) as file, soundfile.SoundFile(file) as sound:
        if not 1_000 <= sound.samplerate <= 384_000 or sound.channels > 32:
            raise ValueError(f"{sound.samplerate} Hz and {sound.channels} channels")
        if sound.frames / sound.samplerate > max_file_s:
            raise _too_long(sound.frames / sound.samplerate, max_file_s)
        wanted = (
            int(MAX_AUDIO_S * sound.samplerate) + sound.samplerate
        )  # one more second for the resampler's tail
        frames = sound.read(wanted, dtype="float32", always_2d=True)
        if len(frames) < min(wanted, sound.frames):
            raise ValueError(f"truncated: {len(frames)} of {min(wanted, sound.frames)} samples")
        return frames.mean(axis=1), sound.samplerate


def _decode_av(url: str, max_file_s: float) -> tuple[np.ndarray, int]:
    with _open(url) as file, av.open(file, "r") as container:
        if not container.streams.audio:
            raise ValueError("no audio track")
        if container.duration and container.duration / av.time_base > max_file_s:
            raise _too_long(container.duration / av.time_base, max_file_s)
        stream = container.streams.audio[0]
        rate = stream.rate
        resampler = av.AudioResampler(format="fltp", layout=stream.layout, rate=rate)
        wanted, have, parts = int((MAX_AUDIO_S + 1) * rate), 0, []
        for frame in container.decode(stream):
            for converted in resampler.resample(frame):
                parts.append(converted.to_ndarray())
                have += converted.samples
            if have >= wanted:
                break
        if not parts:
            raise ValueError("an audio track without samples")
        return np.concatenate(parts, axis=1).mean(axis=0, dtype=np.float32), rate


def _open(url: str) -> IO[bytes]:
    """A remote file is fetched whole: read through a decoder, a network that fails would look like a bad file."""
    return storage.open_read(url) if storage.is_local(url) else io.BytesIO(storage.read_bytes(url))


def _said(error: BaseException) -> str:
    """A decoder's words without the file's name, so that a rejection reads the same wherever the corpora lie."""
    words = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    return " ".join(words.split())[:200]
