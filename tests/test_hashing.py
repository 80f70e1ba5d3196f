"""Pairing and splitting draw from hashes alone."""

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards import hashing


def splitmix64(value: int) -> int:
    """The finaliser in plain integers."""
    mask = (1 << 64) - 1
    z = (value + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


@given(
    st.integers(0, 9),
    st.integers(0, 99),
    st.text(max_size=20),
    st.sets(st.text(max_size=12), min_size=1, max_size=30),
)
def test_pair_agrees_with_a_plain_loop(seed: int, epoch: int, sample_id: str, clips: set[str]) -> None:
    pool = sorted(clips)

    def sha64(*parts: object) -> int:
        return int.from_bytes(hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()[:8], "big")

    sample = sha64("pair", seed, epoch, sample_id)
    draws = [splitmix64(sha64("clip", clip) ^ sample) for clip in pool]
    assert hashing.pair(seed, epoch, sample_id, hashing.pool_hashes(pool)) == draws.index(min(draws))


def test_taking_a_clip_away_re_pairs_only_those_who_heard_it() -> None:
    clips = [f"clip{number:03d}" for number in range(40)]
    fewer = [clip for clip in clips if clip != "clip007"]
    pool, smaller = hashing.pool_hashes(clips), hashing.pool_hashes(fewer)
    for number in range(500):
        heard = clips[hashing.pair(0, 0, f"sample{number}", pool)]
        now = fewer[hashing.pair(0, 0, f"sample{number}", smaller)]
        assert now == heard or heard == "clip007"


def test_pairing_is_uniform_and_differs_by_epoch_and_seed() -> None:
    pool = hashing.pool_hashes([str(number) for number in range(10)])
    drawn = [hashing.pair(0, 0, str(number), pool) for number in range(10_000)]
    expected = 1000
    chi_square = sum((count - expected) ** 2 / expected for count in Counter(drawn).values())
    assert chi_square < 27.9  # 9 degrees of freedom, p = 0.001
    for other in ((0, 1), (1, 0)):
        again = [hashing.pair(*other, str(number), pool) for number in range(10_000)]
        assert 0.08 < np.mean(np.array(drawn) == np.array(again)) < 0.12


def test_parts_are_kept_apart() -> None:
    assert hashing.hash64("a", "bc") != hashing.hash64("ab", "c")
    assert 0 <= hashing.unit(0, "x") < 1


def test_an_empty_pool_says_so() -> None:
    with pytest.raises(ValueError, match="empty clip pool"):
        hashing.pair(0, 0, "x", np.empty(0, np.uint64))
