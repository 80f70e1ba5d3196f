"""Randomness is a hash of (seed, key): order, workers and reruns change nothing."""

import hashlib
from collections.abc import Sequence

import numpy as np

_SEPARATOR = b"\x1f"  # ASCII unit separator: cannot occur in ids, so ("a", "bc") and ("ab", "c") differ


def hash64(*parts: object) -> int:
    """First 8 bytes, big endian, of the sha256 of the parts' decimal or text form."""
    joined = _SEPARATOR.join(str(part).encode() for part in parts)
    return int.from_bytes(hashlib.sha256(joined).digest()[:8], "big")


def unit(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone (53 bits, so it never rounds up to 1)."""
    return (hash64(*parts) >> 11) / 2.0**53


def mix64(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser on uint64, elementwise: every input bit moves every output bit."""
    with np.errstate(over="ignore"):
        z = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def pool_hashes(clip_ids: Sequence[str]) -> np.ndarray:
    """uint64 hash of every clip of a pool, computed once and given to `pair`."""
    return np.array([hash64("clip", clip_id) for clip_id in clip_ids], dtype=np.uint64)


def pair(seed: int, epoch: int, sample_id: str, pool: np.ndarray) -> int:
    """Index of the clip that `sample_id` hears in `epoch`; epoch 0 is the frozen pairing.

    Rendezvous hashing: every clip of the pool draws a number from (seed, epoch, sample, clip) and the
    lowest wins. Taking a clip away re-pairs only the samples that heard it; adding one takes its fair
    share of samples and leaves the others alone.

    Args:
        pool: (n,) uint64 from `pool_hashes`, clips sorted by id. n >= 1.
    """
    if len(pool) == 0:
        raise ValueError(f"sample {sample_id!r} has an empty clip pool: pair needs at least one clip")
    return int(np.argmin(mix64(pool ^ np.uint64(hash64("pair", seed, epoch, sample_id)))))


def spread(keys: Sequence[str], groups: Sequence[str], number: int) -> list[int]:
    """Positions of `number` items to look at: one of each group in turn, each group's items in an order by hash."""
    turns: dict[str, list[int]] = {}
    for place in sorted(range(len(keys)), key=lambda place: hash64("contact sheet", keys[place])):
        turns.setdefault(groups[place], []).append(place)
    names = sorted(turns, key=lambda name: hash64("contact sheet", name))
    ranked = sorted(
        (turn, order, place)
        for order, name in enumerate(names)
        for turn, place in enumerate(turns[name][:number])
    )
    return [place for _, _, place in ranked[:number]]
