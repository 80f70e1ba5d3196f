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
        mixed = mix64(keys)  # one to one, and evenly spread as _Buckets needs them
        order = np.argsort(mixed, kind="stable")
        first = _first_of_equals(mixed[order])
        self._positions, self._count = order[first], len(keys)
        self._buckets = _Buckets(mixed[self._positions])

    def __len__(self) -> int:
        return self._count

    def find(self, keys: np.ndarray) -> np.ndarray:
        """(n,) int64 positions, -1 where a key is absent."""
        heads = _first_of_equals(keys)  # rows of one photo stand together: look it up once
        slots = self._buckets.find(mix64(keys[heads]))
        positions = np.full(len(slots), -1, dtype=np.int64)
        positions[slots >= 0] = self._positions[slots[slots >= 0]]
        return positions[np.cumsum(heads) - 1]


class Seen:
    """The keys met so far: 12 to 16 bytes a key, in runs whose lengths at least double (so there are few)."""

    def __init__(self) -> None:
        self._runs: list[_Buckets] = []

    def first(self, keys: np.ndarray) -> np.ndarray:
        """(n,) bool: True where a key is met for the first time, in this call and all before."""
        mixed = mix64(keys)
        order = np.argsort(mixed, kind="stable")
        rows = order[_first_of_equals(mixed[order])]
        for run in self._runs:
            rows = rows[run.find(mixed[rows]) < 0]
        if len(rows):
            self._runs.append(_Buckets(mixed[rows]))
        while len(self._runs) > 1 and len(self._runs[-2].keys) < 2 * len(self._runs[-1].keys):
            self._runs[-2:] = [_Buckets(np.sort(np.concatenate([run.keys for run in self._runs[-2:]])))]
        fresh = np.zeros(len(keys), dtype=bool)
        fresh[rows] = True
        return fresh


class _Buckets:
    """Sorted distinct keys, spread evenly over 64 bits: a key's leading bits tell the few slots it may be in."""

    def __init__(self, keys: np.ndarray) -> None:
        bits = max(1, len(keys).bit_length())
        self.keys, self._shift = keys, np.uint64(64 - bits)
        sizes = np.bincount((keys >> self._shift).astype(np.int64), minlength=1 << bits)
        self._starts = np.concatenate([np.zeros(1, np.int32), np.cumsum(sizes, dtype=np.int32)])

    def find(self, keys: np.ndarray) -> np.ndarray:
        """(n,) int64 slots, -1 where a key is absent."""
        found = np.full(len(keys), -1, dtype=np.int64)
        bucket = (keys >> self._shift).astype(np.int64)
        rows, slots, ends = np.arange(len(keys)), self._starts[bucket], self._starts[bucket + 1]
        while True:
            open_ = slots < ends
            rows, slots, ends = rows[open_], slots[open_], ends[open_]
            if len(rows) == 0:
                return found
            hits = self.keys[slots] == keys[rows]
            found[rows[hits]] = slots[hits]
            slots = np.where(hits, ends, slots + 1)


def distinct(keys: np.ndarray) -> np.ndarray:
    """The keys sorted, each once."""
    ordered = np.sort(keys)
    return ordered[_first_of_equals(ordered)]


def _first_of_equals(keys: np.ndarray) -> np.ndarray:
    """(n,) bool: False where a key is the one before it."""
    first = np.ones(len(keys), dtype=bool)
    first[1:] = keys[1:] != keys[:-1]
    return first
