"""Several clips to one sound, the same on every machine: whole numbers only, and decimals where a logarithm is needed.

Gains are tenths of a decibel and pans are thousandths, so that a record holds them exactly. As factors both are
rounded to 1/65536, and sums are kept in 64 bits until the last rounding.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import cache
from math import isqrt

import numpy as np

from shards.sound import RATE_HZ

RULES = ("vpo", "equal_rms", "snr")
CROPS = ("first", "middle", "loudest")
PAN_LAWS = ("linear", "constant_power")
DELAY_SAMPLES = 11  # between the ears, of what comes from one side: 0.69 ms, about what a head makes
GAIN_DB = (-120.0, 60.0)  # what a track may have: more would not fit the sums

_ONE = 1 << 16
_HOP = RATE_HZ // 10  # between two places where `loudest` listens
_HIGHEST, _LOWEST = 32767 << 16, -(32768 << 16)
_EXACT = Context(prec=28)


@dataclass(frozen=True)
class Track:
    """One source: (n,) int16, what is done to it, and how the two ears hear it.

    gain_db: to a tenth. pan: 0 (left) to 1 (right), to a thousandth. delay: samples by which the left ear hears it
    later than the right one; negative: the right ear.
    """

    pcm: np.ndarray
    gain_db: float = 0.0
    pan: float = 0.5
    delay: int = 0


@dataclass(frozen=True)
class Mix:
    """pcm: (n,) int16 in mono, (n, 2) in stereo, left first. scale: what the sum was multiplied by, a multiple of
    1/65536, so that it fits 16 bits; clipped: values that would not have fitted."""

    pcm: np.ndarray
    scale: float
    clipped: int


def crop_start(pcm: np.ndarray, samples: int, rule: str) -> int:
    """First sample of the part of a clip that is heard, by one of CROPS; 0 where the clip is not longer.

    `loudest`: the part with the most energy of those that begin at a tenth of a second; of equals the first.
    """
    spare = len(pcm) - samples
    if spare <= 0 or rule == "first":
        return 0
    if rule == "middle":
        return spare // 2
    blocks = np.zeros((-(-len(pcm) // _HOP), _HOP))
    blocks.reshape(-1)[: len(pcm)] = pcm
    sums = np.concatenate([[0.0], np.cumsum(np.einsum("ij,ij->i", blocks, blocks))])
    begins, number = blocks[:, : samples % _HOP], samples // _HOP
    rest = np.append(np.einsum("ij,ij->i", begins, begins), 0.0)
    starts = np.arange(spare // _HOP + 1)
    return int(_HOP * np.argmax(sums[starts + number] - sums[starts] + rest[starts + number]))


def cropped(pcm: np.ndarray, start: int, samples: int) -> np.ndarray:
    """(samples,) int16 of a clip from `start` on; a clip that is shorter is repeated until it fills them."""
    return np.resize(pcm[start : start + samples] if len(pcm) > samples else pcm, samples)


def energy(pcm: np.ndarray) -> int:
    """Sum of squares of whole numbers, exact: in doubles, below 2^53."""
    values = pcm.astype(np.float64)
    return int(np.einsum("i,i", values, values))  # not BLAS, whose threads fight those of the build


def gain_to(level_db: float, pcm: np.ndarray) -> float:
    """The gain, to a tenth of a decibel, that brings (n,) whole numbers to an RMS of `level_db` below 32768.

    Raises:
        ValueError: it is silent.
    """
    found = energy(pcm)
    if not found:
        raise ValueError("silence has no level")
    wanted = _EXACT.multiply(Decimal(len(pcm) << 30), _EXACT.power(10, _tenths(level_db) / Decimal(100)))
    tenths = _EXACT.multiply(_EXACT.log10(_EXACT.divide(wanted, Decimal(found))), Decimal(100))
    return int(tenths.to_integral_value()) / 10


def gains(rule: str, pcms: Sequence[np.ndarray], level_db: float, below_db: Sequence[float]) -> list[float]:
    """The gain of each source by one of RULES, to a tenth of a decibel.

    `vpo`: none, the raw sum. `equal_rms`: all sources are equally loud. `snr`: each is as much less loud than the
    loudest as `below_db` says, which is as long as `pcms`. Both bring the sum, before it is panned, to an RMS of
    `level_db`, so that loudness does not tell how many sources there are.
    """
    if rule == "vpo" or not pcms:
        return [0.0] * len(pcms)
    levels = [level_db - below if rule == "snr" else level_db for below in below_db]
    found = [gain_to(level, pcm) for level, pcm in zip(levels, pcms, strict=True)]
    together = np.zeros(len(pcms[0]), np.int64)
    for pcm, gain in zip(pcms, found, strict=True):
        together += np.multiply(pcm, factor(gain), dtype=np.int64)
    together >>= 16
    more = gain_to(level_db, together) if together.any() else 0.0
    return [(round(10 * gain) + round(10 * more)) / 10 for gain in found]


def noise(seed: int, key: str, samples: int) -> np.ndarray:
    """(samples,) int16, white and uniform over all values: the raw bits of Philox under the sha256 of (seed, key)."""
    digest = hashlib.sha256(f"noise\x1f{seed}\x1f{key}".encode()).digest()
    bits = np.random.Philox(key=int.from_bytes(digest[:16], "big")).random_raw(-(-samples // 4))
    return bits.astype("<u8").view("<i2")[:samples].astype(np.int16)


def delay(pan: float) -> int:
    """Samples by which the left ear hears later what comes from `pan`."""
    side = 2 * _thousandths(pan) - 1000
    return (abs(side) * DELAY_SAMPLES + 500) // 1000 * (1 if side > 0 else -1)


def render(tracks: Sequence[Track], samples: int, channels: int = 1, law: str = "") -> Mix:
    """The sum of all tracks, `samples` long; no track is silence.

    Args:
        tracks: each `samples` long. channels: 1, where pans and delays say nothing, or 2.
        law: one of PAN_LAWS, in stereo. `linear` gives 1 - pan and pan of the amplitude, `constant_power` their square
            roots.

    Raises:
        ValueError: a track of another length, or a gain outside GAIN_DB.
    """
    total = np.zeros((samples, channels), np.int64)
    for track in tracks:
        if len(track.pcm) != samples:
            raise ValueError(f"a track of {len(track.pcm)} samples in a mix of {samples}")
        loud = np.multiply(track.pcm, factor(track.gain_db), dtype=np.int64)
        if channels == 1:
            total[:, 0] += loud
            continue
        for channel, (part, late) in enumerate(_ears(track, law)):
            total[late:, channel] += loud[: samples - late] * part
    if channels > 1:
        total = (total + (_ONE >> 1)) >> 16
    # Now in 1/65536 of a step.
    highest, lowest = int(total.max(initial=0)), int(total.min(initial=0))
    scale, clipped = _ONE, 0
    if highest > _HIGHEST or lowest < _LOWEST:
        clipped = int(np.count_nonzero((total > _HIGHEST) | (total < _LOWEST)))
        if highest > _HIGHEST:
            scale = min(scale, _HIGHEST * _ONE // highest)
        if lowest < _LOWEST:
            scale = min(scale, _LOWEST * _ONE // lowest)
        total = (total * scale + (1 << 31)) >> 32
    else:
        total = (total + (1 << 15)) >> 16
    pcm = total.astype(np.int16)
    return Mix(pcm[:, 0] if channels == 1 else pcm, scale / _ONE, clipped)


@cache
def factor(gain_db: float) -> int:
    """A gain as a factor of the amplitude, in 1/65536."""
    if not GAIN_DB[0] <= gain_db <= GAIN_DB[1]:
        raise ValueError(f"a gain of {gain_db} dB; from {GAIN_DB[0]:g} to {GAIN_DB[1]:g} dB")
    exact = _EXACT.multiply(Decimal(_ONE), _EXACT.power(10, _tenths(gain_db) / Decimal(200)))
    return int(exact.to_integral_value())


def _ears(track: Track, law: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Of the left and the right ear the part of the amplitude, in 1/65536, and the samples it hears later."""
    right = _thousandths(track.pan)
    parts = [_root(part) if law == "constant_power" else _linear(part) for part in (1000 - right, right)]
    return (parts[0], max(0, track.delay)), (parts[1], max(0, -track.delay))


def _linear(thousandths: int) -> int:
    return (_ONE * thousandths + 500) // 1000


def _root(thousandths: int) -> int:
    return (isqrt(4 * _ONE * _ONE * thousandths // 1000) + 1) // 2


def _tenths(decibels: float) -> Decimal:
    return Decimal(round(decibels * 10))


def _thousandths(pan: float) -> int:
    if not 0 <= pan <= 1:
        raise ValueError(f"a pan of {pan}; from 0 (left) to 1 (right)")
    return round(pan * 1000)
