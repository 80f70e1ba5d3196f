"""A window of any sound file, for prediction outside a dataset."""

from pathlib import Path

import numpy as np
import soundfile
import soxr

from avs_train.data.decode import RATE_HZ, WINDOW_SAMPLES, DecodeError, fill_window, window_start


def window(path: Path, number: int = 1) -> np.ndarray:
    """One VGGish window of a file: mono mean, 16 kHz; (15600,) float32 in [-1, 1].

    Raises:
        DecodeError: neither libsndfile nor FFmpeg reads it.
    """
    samples, rate_hz = _read(path)
    mono = samples.mean(axis=1)
    if rate_hz != RATE_HZ:
        mono = soxr.resample(mono, rate_hz, RATE_HZ, quality="HQ")
    start = window_start(len(mono), number)
    return fill_window(mono[start : start + WINDOW_SAMPLES].astype(np.float32))


def _read(path: Path) -> tuple[np.ndarray, int]:
    """(n, channels) float32 and the rate in Hz."""
    try:
        return soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError:
        return _read_with_ffmpeg(path)


def _read_with_ffmpeg(path: Path) -> tuple[np.ndarray, int]:
    import av

    try:
        with av.open(str(path)) as container:
            rate_hz = container.streams.audio[0].rate
            resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate_hz)
            frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
            frames += resampler.resample(None)
    except (av.FFmpegError, IndexError) as error:
        raise DecodeError(f"{path} holds no sound that can be read: {error}") from error
    return np.concatenate([frame.to_ndarray().ravel() for frame in frames])[:, None], rate_hz
