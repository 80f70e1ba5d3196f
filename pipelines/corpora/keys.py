"""Ids as 64-bit numbers: joins and duplicate checks over millions of rows in a few bytes a row.

A number of its own stays exact. A text becomes a 64-bit hash; two of n different texts share one with a
probability of about n^2 / 2^65 (2e-7 for the 2.7 million masks of Open Images).
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shards.hashing import hash64, mix64

_LONGEST = 512  # bytes


def text_keys(texts: pa.Array) -> np.ndarray:
    """(n,) uint64, a hash of the bytes of each text of a string or binary array. A null counts as empty."""
    if pc.any(
        pc.greater(pc.binary_length(texts), _LONGEST)
    ).as_py():  # not an id, yet it must not fill the memory
        texts = pa.array([_shortened(value) for value in texts.cast(pa.binary()).to_pylist()], pa.binary())
    data = np.frombuffer(texts.buffers()[2] or b"", dtype=np.uint8)
    offsets = np.frombuffer(texts.buffers()[1], dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    lengths = np.diff(offsets)
    words = max(1, -(-int(lengths.max(initial=0)) // 8))
    padded = np.zeros((len(texts), words * 8), dtype=np.uint8)
    padded[np.arange(words * 8) < lengths[:, None]] = (
        data[offsets[0] : offsets[-1]] if len(texts) else data[:0]
    )
    keys = mix64(lengths)
    for start, word in enumerate(padded.view("<u8").T):
        keys = np.where(lengths > start * 8, mix64(keys ^ word), keys)
    return keys


def _shortened(value: bytes | None) -> bytes | None:
    return value if value is None or len(value) <= _LONGEST else b"\0%d" % hash64(value)


class Positions:
    """Where a key is in the array it was made from; of equal keys, the first."""

    def __init__(self, keys: np.ndarray) -> None:
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        first = _first_of_equals(ordered)
        self._sorted, self._positions = ordered[first], order[first]

    def find(self, keys: np.ndarray) -> np.ndarray:
        """(n,) int64 positions, -1 where a key is absent."""
        heads = _first_of_equals(keys)  # rows of one photo stand together: look it up once
        wanted = keys[heads]
        order = np.argsort(wanted)
        found, slots = _search(self._sorted, wanted[order])
        positions = np.full(len(wanted), -1, dtype=np.int64)
        positions[order[found]] = self._positions[slots[found]]
        return positions[np.cumsum(heads) - 1]


class Seen:
    """The keys met so far: 8 bytes a key, in sorted runs whose lengths at least double (so there are few)."""

    def __init__(self) -> None:
        self._runs: list[np.ndarray] = []

    def first(self, keys: np.ndarray) -> np.ndarray:
        """(n,) bool: True where a key is met for the first time, in this call and all before."""
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        is_first = _first_of_equals(ordered)
        unique, rows = ordered[is_first], order[is_first]
        new = np.ones(len(unique), dtype=bool)
        for run in self._runs:
            new &= ~_search(run, unique)[0]
        if new.any():
            self._runs.append(unique[new])
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            self._runs[-2:] = [np.sort(np.concatenate(self._runs[-2:]))]
        fresh = np.zeros(len(keys), dtype=bool)
        fresh[rows[new]] = True
        return fresh


def _first_of_equals(keys: np.ndarray) -> np.ndarray:
    """(n,) bool: False where a key is the one before it."""
    first = np.ones(len(keys), dtype=bool)
    first[1:] = keys[1:] != keys[:-1]
    return first


def _search(ordered: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of the sorted `keys` are in `ordered` (n, bool), and where. Sorted keys walk through memory in one go."""
    if len(ordered) == 0:
        return np.zeros(len(keys), dtype=bool), np.zeros(len(keys), dtype=np.int64)
    slots = np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)
    return ordered[slots] == keys, slots
