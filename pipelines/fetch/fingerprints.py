"""Near duplicates: pairs of photos or of clips that show or sound the same.

Photos: 64-bit perceptual hashes at a Hamming distance of at most `max_bits`. By the pigeonhole principle two
such hashes agree in at least one of max_bits + 1 bands of bits, so only photos that share a band are compared.

Clips: the fingerprint of Haitsma and Kalker, "A Highly Robust Audio Fingerprinting System" (ISMIR 2002): the
signs of energy differences between neighbouring bands and neighbouring frames, 32 bits a frame. Frames are
0.37 s long and 46 ms apart (the paper: 11.6 ms), 33 bands from 300 to 2000 Hz. Clips that share a frame's
word are aligned there; they are the same sound where the bit error rate over the overlap is at most
`max_error` (the paper: 0.35; two unrelated clips have 0.5).
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
import pyarrow as pa
import scipy.fft

PHOTO_PAIRS = pa.schema({"photo_key_a": pa.string(), "photo_key_b": pa.string(), "distance": pa.int32()})
CLIP_PAIRS = pa.schema({"clip_id_a": pa.string(), "clip_id_b": pa.string(), "distance": pa.float32()})

_FRAME, _HOP, _BANDS = 5920, 740, 33
_MIN_OVERLAP = 40  # frames, 1.9 s
_NEIGHBOURS = 8  # of the frames with the same word, sorted by clip, so many that follow are looked at


def photo_pairs(hashes: Mapping[str, bytes], max_bits: int = 4) -> pa.Table:
    """Pairs of keys (a < b) whose 8-byte hashes differ in at most `max_bits` bits, with their distance."""
    keys = sorted(hashes)
    values = np.frombuffer(b"".join(hashes[key] for key in keys), dtype=">u8").astype(np.uint64)
    found: dict[tuple[int, int], int] = {}
    edges = np.linspace(0, 64, max_bits + 2).astype(int)
    for low, high in pairwise(edges):
        band = (values >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)
        for members in _groups(band):
            distance = np.bitwise_count(values[members][:, None] ^ values[members][None, :])
            near = np.triu(distance <= max_bits, 1)
            for a, b in zip(*np.nonzero(near), strict=True):
                i, j = int(members[a]), int(members[b])
                found[min(i, j), max(i, j)] = int(distance[a, b])
    pairs = sorted(found.items())
    return pa.table(
        {
            "photo_key_a": [keys[i] for (i, _), _ in pairs],
            "photo_key_b": [keys[j] for (_, j), _ in pairs],
            "distance": [distance for _, distance in pairs],
        },
        schema=PHOTO_PAIRS,
    )


def _groups(values: np.ndarray, largest: int = 4096) -> Iterator[np.ndarray]:
    """Indices of equal values, for every value that occurs more than once, in blocks of at most `largest`."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(values[order]) != 0, True])
    for begin, end in pairwise(starts):
        for block in range(begin, end, largest):
            if (members := order[block : min(end, block + largest)]).size > 1:
                yield members


def sound_words(samples: np.ndarray) -> np.ndarray:
    """uint32 words, one a frame, of (n,) float32 at 16 kHz; empty for less than two frames."""
    if len(samples) < _FRAME + _HOP:
        return np.empty(0, np.uint32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, _FRAME)[::_HOP]
    edges = (np.geomspace(300.0, 2000.0, _BANDS + 1) * _FRAME / 16_000).astype(int)
    spectra = scipy.fft.rfft(
        frames * np.hanning(_FRAME).astype(np.float32)
    )  # numpy's takes three times as long
    heard = spectra[:, edges[0] : edges[-1]]
    energy = np.add.reduceat(heard.real**2 + heard.imag**2, edges[:-1] - edges[0], axis=1)
    difference = energy[:, :-1] - energy[:, 1:]
    bits = (difference[1:] - difference[:-1]) > 0
    return np.packbits(bits, axis=1).view(">u4").reshape(-1).astype(np.uint32)


def clip_pairs(words: Mapping[str, np.ndarray], max_error: float = 0.30) -> pa.Table:
    """Pairs of keys (a < b) whose sound agrees, with the bit error rate over their overlap."""
    keys = sorted(key for key in words if len(words[key]) >= _MIN_OVERLAP)
    rows: list[tuple[str, str, float]] = []
    if keys:
        clip = np.repeat(np.arange(len(keys)), [len(words[key]) for key in keys])
        offset = np.concatenate([np.arange(len(words[key])) for key in keys])
        candidates = np.unique(_meetings(np.concatenate([words[key] for key in keys]), clip, offset), axis=0)
        best: dict[tuple[int, int], float] = {}
        for a, b, shift in candidates.tolist():
            error = _error(words[keys[a]], words[keys[b]], shift)
            if error <= max_error:
                best[a, b] = min(error, best.get((a, b), 1.0))
        rows = [(keys[a], keys[b], error) for (a, b), error in sorted(best.items())]
    columns = zip(*rows, strict=True) if rows else ([], [], [])
    return pa.table(dict(zip(CLIP_PAIRS.names, map(list, columns), strict=True)), schema=CLIP_PAIRS)


def _meetings(words: np.ndarray, clip: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """(n, 3) int64: clip a < clip b with a word in common, and how many frames later it comes in a than in b."""
    order = np.argsort(words, kind="stable")
    found = []
    for step in range(1, _NEIGHBOURS + 1):
        a, b = order[:-step], order[step:]
        same = (words[a] == words[b]) & (clip[a] != clip[b])
        a, b = a[same], b[same]
        found.append(np.stack([clip[a], clip[b], offset[a] - offset[b]], axis=1))
    return np.concatenate(found)


def _error(a: np.ndarray, b: np.ndarray, shift: int) -> float:
    """Share of differing bits where `b` is moved `shift` frames later; 1 where the overlap is too short."""
    begin, end = max(0, shift), min(len(a), len(b) + shift)
    if end - begin < _MIN_OVERLAP:
        return 1.0
    return float(np.bitwise_count(a[begin:end] ^ b[begin - shift : end - shift]).sum()) / (32 * (end - begin))
