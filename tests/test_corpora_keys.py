"""Keys, positions and duplicates against plain Python."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.corpora import names
from pipelines.corpora.keys import Positions, Seen, distinct, text_keys

TEXTS = st.lists(
    st.sampled_from(["", "a", "a\0", "a\0\0", "b", "aaaaaaaa", "aaaaaaaab", "é", "x" * 300])
    | st.text(max_size=12)
)
NUMBERS = st.lists(st.integers(0, 20))


@settings(deadline=None)
@given(TEXTS)
def test_equal_texts_and_only_they_share_a_key(texts):
    keys = text_keys(pa.array(texts, pa.string()))
    assert keys.dtype == np.uint64
    assert len(keys) == len(texts)
    assert len(set(keys.tolist())) == len(set(texts))


@settings(deadline=None)
@given(TEXTS, st.integers(0, 3))
def test_a_slice_has_the_keys_of_its_texts(texts, start):
    array = pa.array(texts, pa.string())
    assert text_keys(array[start:]).tolist() == text_keys(array).tolist()[start:]


@settings(deadline=None)
@given(NUMBERS, NUMBERS)
def test_positions_are_those_of_list_index(keys, asked):
    found = Positions(np.array(keys, dtype=np.uint64)).find(np.array(asked, dtype=np.uint64))
    assert found.tolist() == [keys.index(key) if key in keys else -1 for key in asked]


@settings(deadline=None)
@given(st.lists(NUMBERS))
def test_seen_is_a_set(batches):
    seen, known = Seen(), set()
    for batch in batches:
        expected = [key not in known and key not in batch[:row] for row, key in enumerate(batch)]
        known |= set(batch)
        assert seen.first(np.array(batch, dtype=np.uint64)).tolist() == expected


@settings(deadline=None)
@given(
    st.lists(
        st.text(max_size=4) | st.sampled_from([".", "..", "", "a/b", "a\\b", "\n", "x" * 256, "é" * 128])
    )
)
def test_names_are_judged_alike_alone_and_together(texts):
    assert names.safe(pa.array(texts, pa.string())).tolist() == [names.is_safe(text) for text in texts]


def test_what_is_safe():
    assert all(map(names.is_safe, ["a.png", "-x", "...", "a..b", "é", " "]))
    assert not any(
        map(names.is_safe, ["", ".", "..", "../a", "/a", "a/b", "a\\b", "a\nb", "a\0", "x" * 256, "é" * 128])
    )


def test_one_huge_text_takes_no_huge_memory():
    texts = ["a" * 5_000_000, *map(str, range(10_000)), "a" * 5_000_000, "b" * 5_000_000]
    keys = text_keys(pa.array(texts, pa.string()))  # padded to one width it would be 50 GB
    assert len(set(keys.tolist())) == len(texts) - 1
    assert keys[0] == keys[-2]
    assert keys[1:5].tolist() == text_keys(pa.array(["0", "1", "2", "3"])).tolist()


@settings(deadline=None)
@given(NUMBERS)
def test_distinct_is_a_sorted_set(keys):
    assert distinct(np.array(keys, dtype=np.uint64)).tolist() == sorted(set(keys))


def test_many_keys_are_all_found_again_and_no_others():
    keys = np.random.default_rng(0).integers(0, 2**63, 100_000, dtype=np.uint64)
    dense = np.arange(100_000, dtype=np.uint64)
    for known in (keys, dense):
        assert Positions(known).find(known[::-1]).tolist() == list(range(len(known)))[::-1]
        assert (Positions(known).find(known + np.uint64(2**63)) == -1).all()
        seen = Seen()
        assert all(seen.first(part).all() for part in np.array_split(known, 37))
        assert not any(seen.first(part).any() for part in np.array_split(known, 41))
