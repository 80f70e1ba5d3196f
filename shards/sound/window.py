"""The samples of one span of time, gathered from frames of any rate and number of channels, to 16 kHz mono."""

import numpy as np
import soxr

from shards.rejections import Reason, Rejected
from shards.sound import RATE_HZ

_RATES_HZ = (1_000, 384_000)
_MAX_SAMPLES_HZ = 3_072_000  # of all channels together: what bounds the memory of a window
_MAX_PEAK = 16.0  # 24 dB over full scale: not a loud sound but numbers in another unit
_QUIET = 0.1  # a mean 20 dB below the loudest channel has cancelled out
_SHARE = 0.1  # of the energy: in seconds that hold more, the mean may not cancel out


def plausible(channels: int, rate_hz: int) -> None:
    """Raise Rejected for a number of channels or a rate that no recording has."""
    lowest, highest = _RATES_HZ
    if not lowest <= rate_hz <= highest or not 0 < channels * rate_hz <= _MAX_SAMPLES_HZ:
        raise Rejected(Reason.AUDIO_UNREADABLE, f"{channels:,} channels at {rate_hz:,} Hz")


class Window:
    """Samples from `begin_s` to `end_s`; both count from the first sample of the sound.

    reached_s: the end of what was added so far, in the window or not.
    """

    def __init__(self, begin_s: float, end_s: float) -> None:
        self.begin_s, self.end_s, self.reached_s = begin_s, end_s, 0.0
        self._runs: list[tuple[int, int, list[np.ndarray]]] = []  # rate, channels, blocks

    def add(self, block: np.ndarray, rate_hz: int, at_s: float) -> None:
        """Take of (channels, n) float32 what lies in the window; blocks come in order and without gaps."""
        channels, count = block.shape
        self.reached_s = at_s + count / rate_hz
        begin = max(0, round((self.begin_s - at_s) * rate_hz))
        end = min(count, round((self.end_s - at_s) * rate_hz))
        if begin >= end:
            return
        if not self._runs or self._runs[-1][:2] != (rate_hz, channels):
            self._runs.append((rate_hz, channels, []))
        self._runs[-1][2].append(block[:, begin:end])

    def samples(self) -> np.ndarray:
        """(n,) float32, mono, 16 kHz; each change of rate or channels inside is followed.

        Raises:
            Rejected: values that are no sound.
        """
        monos: list[tuple[int, np.ndarray]] = []
        for rate_hz, _, blocks in self._runs:
            mono = to_mono(np.ascontiguousarray(np.concatenate(blocks, axis=1)), rate_hz)
            if monos and monos[-1][0] == rate_hz:
                mono = np.concatenate([monos.pop()[1], mono])
            monos.append((rate_hz, mono))
        parts = [_resampled(mono, rate_hz) for rate_hz, mono in monos]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def to_mono(channels: np.ndarray, rate_hz: int) -> np.ndarray:
    """(channels, n) float32 to (n,): the mean, or the loudest channel where the mean would cancel the sound out.

    It does where, in seconds that together hold more than a tenth of the energy, the mean is 20 dB or more below the
    loudest channel. Levels are deviations from the mean value, so that an offset is no sound.
    """
    highest = float(np.abs(channels).max(initial=0.0))
    if not highest <= _MAX_PEAK:
        what = (
            f"reach {highest:.4g}, where 1 is full scale" if np.isfinite(highest) else "are NaN or infinite"
        )
        raise Rejected(Reason.AUDIO_UNREADABLE, f"samples that {what}")
    if len(channels) == 1:
        return channels[0]
    mean = channels.mean(axis=0, dtype=np.float32)
    seconds = [slice(at, at + rate_hz) for at in range(0, channels.shape[1], rate_hz)]
    loudest = np.array([channels[:, second].var(axis=1).max() * len(mean[second]) for second in seconds])
    left = np.array([mean[second].var() * len(mean[second]) for second in seconds])
    lost = loudest[left < _QUIET**2 * loudest].sum()
    if lost <= _SHARE * loudest.sum():
        return mean
    return channels[int(channels.var(axis=1).argmax())]


def _resampled(mono: np.ndarray, rate_hz: int) -> np.ndarray:
    if rate_hz == RATE_HZ:
        return mono
    length = (2 * len(mono) * RATE_HZ + rate_hz) // (2 * rate_hz)  # rounded
    samples = soxr.resample(mono, rate_hz, RATE_HZ, quality="HQ")[:length]
    return np.pad(samples, (0, length - len(samples)))
