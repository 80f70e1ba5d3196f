"""The samples of one span of time, gathered from frames of any rate and number of channels, to 16 kHz mono."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import soxr

from shards.rejections import Reason, Rejected
from shards.sound import RATE_HZ

_RATES_HZ = (1_000, 384_000)
_MAX_SAMPLES_HZ = 3_072_000  # of all channels together: what bounds the memory of a window
_MAX_PEAK = 16.0  # 24 dB over full scale: not a loud sound but numbers in another unit
_LEAD_S = 1.0  # decoded before the window, for the resampler; whole samples at every rate
_TAIL_S = 0.1  # the same behind it
_QUIET = 0.1  # a mean 20 dB below the loudest channel has cancelled out
_SHARE = 0.1  # of the energy: in seconds that hold more, the mean may not cancel out

_Kind = tuple[int, int, np.dtype[Any]]  # of frames that follow each other: rate, channels, dtype


def plausible(channels: int, rate_hz: int) -> None:
    """Raise Rejected for a number of channels or a rate that no recording has."""
    lowest, highest = _RATES_HZ
    if not lowest <= rate_hz <= highest or not 0 < channels * rate_hz <= _MAX_SAMPLES_HZ:
        raise Rejected(Reason.AUDIO_UNREADABLE, f"{channels:,} channels at {rate_hz:,} Hz")


class Window:
    """Samples of `duration_s` from `start_s` on, counted from the first sample of the sound.

    begin_s, end_s: what is needed for them.
    reached_s: the end of what was added so far, in the window or not.
    """

    def __init__(self, start_s: float = 0.0, duration_s: float = 0.0) -> None:
        self._lead_s = _LEAD_S if start_s >= _LEAD_S else 0.0
        self._duration_s = duration_s
        self.begin_s, self.end_s = start_s - self._lead_s, start_s + duration_s + _TAIL_S
        self.reached_s = 0.0
        self._runs: list[tuple[_Kind, list[Sequence[np.ndarray]]]] = []

    def add(self, planes: Sequence[np.ndarray], channels: int, rate_hz: int, at_s: float) -> None:
        """Take of a frame what lies in the window; frames come in order and without gaps.

        Args:
            planes: (n,) of each channel, or one (n * channels,) of all channels by turns.
        """
        step = channels // len(planes)
        count = len(planes[0]) // step
        self.reached_s = at_s + count / rate_hz
        begin = max(0, round((self.begin_s - at_s) * rate_hz))
        end = min(count, round((self.end_s - at_s) * rate_hz))
        if begin >= end:
            return
        if end - begin < count:
            planes = [plane[begin * step : end * step] for plane in planes]
        kind = (rate_hz, channels, planes[0].dtype)
        if not self._runs or self._runs[-1][0] != kind:
            self._runs.append((kind, []))
        self._runs[-1][1].append(planes)

    def samples(self, until_s: float | None = None) -> np.ndarray:
        """(n,) float32, mono, 16 kHz; each change of rate or channels inside is followed.

        Args:
            until_s: what comes later is no sound.

        Raises:
            Rejected: values that are no sound.
        """
        monos: list[tuple[int, np.ndarray]] = []
        for (rate_hz, channels, _), frames in self._runs:
            mono = to_mono(_joined(frames, channels), rate_hz)
            if monos and monos[-1][0] == rate_hz:
                mono = np.concatenate([monos.pop()[1], mono])
            monos.append((rate_hz, mono))
        parts = [_resampled(mono, rate_hz) for rate_hz, mono in monos]
        samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        if until_s is not None:
            samples = samples[: max(0, round((until_s - self.begin_s) * RATE_HZ))]
        lead = round(self._lead_s * RATE_HZ)
        return samples[lead : lead + round(self._duration_s * RATE_HZ)]


def _joined(frames: list[Sequence[np.ndarray]], channels: int) -> np.ndarray:
    """(channels, n) float32 of frames of one kind; integers are scaled to [-1, 1)."""
    dtype, apart = frames[0][0].dtype, len(frames[0]) == channels
    count = sum(len(planes[0]) for planes in frames) // (1 if apart else channels)
    values = np.empty((channels, count), np.float32)
    if apart:
        for row, parts in zip(values, zip(*frames, strict=True), strict=True):
            np.concatenate(parts, out=row, casting="same_kind")
    else:
        turns = [plane.reshape(-1, channels).T for (plane,) in frames]
        np.concatenate(turns, axis=1, out=values, casting="same_kind")
    if dtype.kind != "f":
        half = np.float32(2.0 ** (8 * dtype.itemsize - 1))
        if dtype.kind == "u":
            values -= half
        values *= 1 / half  # a power of two: exact
    return values


def to_mono(channels: np.ndarray, rate_hz: int) -> np.ndarray:
    """(channels, n) float32 to (n,): the mean, or the loudest channel where the mean would cancel the sound out.

    It does where, in seconds that together hold more than a tenth of the energy, the mean is 20 dB or more below the
    loudest channel. Levels are deviations from the mean value, so that an offset is no sound.
    """
    highest = max(float(channels.max(initial=0.0)), -float(channels.min(initial=0.0)))
    if not highest <= _MAX_PEAK:
        what = (
            f"reach {highest:.4g}, where 1 is full scale" if np.isfinite(highest) else "are NaN or infinite"
        )
        raise Rejected(Reason.AUDIO_UNREADABLE, f"samples that {what}")
    if len(channels) == 1:
        return channels[0]
    mean = channels.mean(axis=0, dtype=np.float32)
    seconds = [slice(at, at + rate_hz) for at in range(0, channels.shape[1], rate_hz)]
    if all(_surely_heard(channels[:, second], mean[second]) for second in seconds):
        return mean
    loudest = np.array([channels[:, second].var(axis=1).max() * len(mean[second]) for second in seconds])
    left = np.array([mean[second].var() * len(mean[second]) for second in seconds])
    lost = loudest[left < _QUIET**2 * loudest].sum()
    if lost <= _SHARE * loudest.sum():
        return mean
    return channels[int(channels.var(axis=1).argmax())]


def _surely_heard(channels: np.ndarray, mean: np.ndarray) -> bool:
    """Whether the mean of (channels, n) is far from 20 dB below the loudest, told at a tenth of the cost."""
    loudest = max(float(np.dot(channel, channel)) for channel in channels)
    left = float(np.dot(mean, mean)) - float(mean.sum()) ** 2 / len(mean)
    return left >= 4 * _QUIET**2 * loudest  # which an offset makes larger only


def _resampled(mono: np.ndarray, rate_hz: int) -> np.ndarray:
    if rate_hz == RATE_HZ:
        return mono
    length = (2 * len(mono) * RATE_HZ + rate_hz) // (2 * rate_hz)  # rounded
    samples = soxr.resample(mono, rate_hz, RATE_HZ, quality="HQ")[:length]
    return np.pad(samples, (0, length - len(samples)))
