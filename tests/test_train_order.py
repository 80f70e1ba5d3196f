"""The order of samples: pure, complete, mixed inside windows only, and fixed for all time."""

import hashlib

import numpy as np
import pytest

from avs_train.data.order import epoch_order, rank_part, shard_order, steps_per_epoch

SIZES = [5, 3, 8, 1, 4, 7]


@pytest.mark.parametrize("window", [1, 2, 6, 100])
def test_an_epoch_has_every_sample_once(window):
    assert sorted(epoch_order(1, 0, SIZES, window)) == list(range(sum(SIZES)))


def test_shards_are_read_window_by_window():
    shard_of = np.repeat(np.arange(len(SIZES)), SIZES)
    shards = shard_order(3, 2, len(SIZES))
    order = shard_of[epoch_order(3, 2, SIZES, 2)]
    place = 0
    for first in range(0, len(shards), 2):
        members = shards[first : first + 2]
        count = sum(SIZES[shard] for shard in members)
        assert set(order[place : place + count]) == set(members)
        place += count


def test_samples_inside_a_window_are_mixed():
    order = epoch_order(0, 0, [50, 50], 2)
    assert 15 < (order[:50] < 50).sum() < 35
    assert not np.array_equal(order, np.arange(100))


def test_epochs_and_seeds_differ_and_repeat():
    assert np.array_equal(epoch_order(1, 4, SIZES, 2), epoch_order(1, 4, SIZES, 2))
    assert not np.array_equal(epoch_order(1, 4, SIZES, 2), epoch_order(1, 5, SIZES, 2))
    assert not np.array_equal(epoch_order(1, 4, SIZES, 2), epoch_order(2, 4, SIZES, 2))


def test_the_order_is_the_one_that_old_checkpoints_mean():
    """A change here makes every saved step point at other samples."""
    order = epoch_order(7, 3, [100, 37, 64, 12], 3)
    assert hashlib.sha256(order.astype("<i8").tobytes()).hexdigest()[:16] == "9a230dcb67578b8e"


def test_every_place_is_as_likely_for_every_sample():
    places = np.array([np.argsort(epoch_order(0, epoch, [4, 4, 4], 3)) for epoch in range(2000)])
    assert np.allclose(places.mean(axis=0), 5.5, atol=0.35)  # 4.5 standard errors


def test_ranks_share_a_batch_without_overlap():
    batch = list(range(24))
    for world in (1, 2, 3, 4, 8):
        assert [x for rank in range(world) for x in batch[rank_part(24, rank, world)]] == batch


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"8 cannot be shared equally by 3 ranks"):
        rank_part(8, 0, 3)
    with pytest.raises(
        ValueError, match=r"5 samples do not fill one global batch of 8: set train.batch_size to 5"
    ):
        steps_per_epoch(5, 8)
