"""The order of samples: a pure function of (seed, epoch), so that the loader's whole state is one integer.

An epoch shuffles the shards, then the samples inside each run of `window` shards. A reader therefore needs only
`window` shards at hand, whatever the size of the dataset.
"""

from collections.abc import Sequence

import numpy as np

from shards.errors import AvsError
from shards.hashing import hash64, mix64


class SettingError(AvsError, ValueError):
    """A setting that does not fit the data or the number of ranks; says which one would."""


def epoch_order(seed: int, epoch: int, shard_sizes: Sequence[int], window: int) -> np.ndarray:
    """Every sample once, in the order of one epoch.

    Built from hashes, not from a random generator, so that no version of any library changes it.

    Args:
        shard_sizes: samples per shard, in the order of samples.parquet.
        window: shards whose samples are mixed; 1 keeps shards apart, `len(shard_sizes)` shuffles everything.
    Returns:
        (sum(shard_sizes),) int64 row numbers.
    """
    sizes = np.asarray(shard_sizes, dtype=np.int64)
    place = np.empty(len(sizes), dtype=np.int64)
    place[shard_order(seed, epoch, len(sizes))] = np.arange(len(sizes))
    total = int(sizes.sum())
    sample_draw = mix64(np.arange(total, dtype=np.uint64) ^ np.uint64(hash64("samples", seed, epoch)))
    return np.lexsort((sample_draw, np.repeat(place // window, sizes)))


def shard_order(seed: int, epoch: int, shards: int) -> np.ndarray:
    """(shards,) int64: the shards in the order in which an epoch needs them."""
    draw = mix64(np.arange(shards, dtype=np.uint64) ^ np.uint64(hash64("shards", seed, epoch)))
    return np.argsort(draw, kind="stable")


def steps_per_epoch(samples: int, batch_size: int) -> int:
    """Whole global batches in an epoch. The few samples left over differ each epoch, because the order does.

    Raises:
        SettingError: there is not one whole batch.
    """
    if samples < batch_size:
        raise SettingError(
            f"{samples} samples do not fill one global batch of {batch_size}: "
            f"set train.batch_size to {samples} or less, or use more data"
        )
    return samples // batch_size


def rank_part(batch_size: int, rank: int, world: int) -> slice:
    """The part of each global batch that `rank` of `world` trains on; all parts have the same size.

    Raises:
        SettingError: the ranks cannot share the batch equally.
    """
    if batch_size % world:
        raise SettingError(
            f"a global batch of {batch_size} cannot be shared equally by {world} ranks: "
            f"set train.batch_size to a multiple of {world}"
        )
    part = batch_size // world
    return slice(rank * part, (rank + 1) * part)
