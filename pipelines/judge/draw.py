"""Which samples are looked at: those of lowest hash of each stratum, so that the same seed draws the same ones.

A stratum is a category, in a dataset of scenes a kind of scene and a category. A sample's number is a hash of (seed,
its id) alone: a new sample moves no other, and a larger draw holds the smaller one.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.judge.errors import JudgeError
from shards import hashing
from shards.manifest import Manifest

ALL = "all"  # the one stratum of a draw that is smaller than there are categories


@dataclass(frozen=True)
class Stratum:
    """How many samples a stratum has, and how many are drawn."""

    population: int
    drawn: int


@dataclass(frozen=True)
class Draw:
    """
    Attributes:
        strata: by name.
        rows: of the drawn samples, (n,) int64, in the order in which they are asked: after any number of them, every
            stratum is as far as the others.
        places: where each stands in that order, (n,) float64 in (0, 1).
    """

    strata: dict[str, Stratum]
    rows: np.ndarray
    places: np.ndarray


def strata_of(table: pa.Table, made: Manifest) -> list[str]:
    """The stratum of each row of samples.parquet, of which `category` and, of scenes, `kind` are needed."""
    categories: list[str] = table["category"].to_pylist()
    if not made.targets:
        return categories
    return [
        f"{kind} {name}".strip() for kind, name in zip(table["kind"].to_pylist(), categories, strict=True)
    ]


def hashes(sample_ids: Sequence[str]) -> np.ndarray:
    """uint64 (n,): what `ranks` needs of samples, whatever the seed."""
    return np.fromiter((hashing.hash64("judge", name) for name in sample_ids), np.uint64, len(sample_ids))


def ranks(hashed: np.ndarray, seed: int, what: str = "judge") -> np.ndarray:
    """uint64 (n,): the lowest are drawn."""
    return hashing.mix64(hashed ^ np.uint64(hashing.hash64(what, seed)))


def draw(
    hashed: np.ndarray,
    strata: Sequence[str],
    wanted: int,
    seed: int,
    *,
    equally: bool = False,
    had: Sequence[int] = (),
) -> Draw:
    """Draw `wanted` samples, all where there are fewer.

    Args:
        hashed: of `hashes`. strata: of each sample.
        equally: as many of each stratum, instead of in proportion to what it has.
        had: rows that an earlier, smaller draw took: they stay.

    Raises:
        JudgeError: no sample is wanted, or there is none.
    """
    if wanted < 1 or not len(hashed):
        raise JudgeError(
            f"{wanted} of {len(hashed)} samples: draw at least one, from a dataset that has some"
        )
    if wanted < len(set(strata)):
        strata = [ALL] * len(hashed)
    names = sorted(set(strata))
    numbers = {name: number for number, name in enumerate(names)}
    codes = np.fromiter((numbers[name] for name in strata), np.int64, len(strata))
    populations = dict(zip(names, np.bincount(codes).tolist(), strict=True))
    sizes = (_equal if equally else allocate)(populations, min(wanted, len(hashed)))
    kept = Counter(strata[row] for row in had)
    sizes = {name: max(size, kept[name]) for name, size in sizes.items()}
    found = ranks(hashed, seed)
    order = np.lexsort((found, codes))
    starts = np.searchsorted(codes[order], np.arange(len(names)))
    place = np.arange(len(order)) - starts[codes[order]]
    size = np.array([sizes[name] for name in names])[codes[order]]
    chosen = place < size
    rows = order[chosen]
    asked = np.lexsort((found[rows], (place[chosen] + 0.5) / size[chosen]))
    rows = rows[asked]
    return Draw(
        {name: Stratum(populations[name], sizes[name]) for name in names},
        rows,
        (np.arange(len(rows)) + 0.5) / len(rows),
    )


def allocate(populations: Mapping[str, int], wanted: int) -> dict[str, int]:
    """Samples of each stratum in proportion to what it has, by largest remainder, at least 1; equal remainders by name.

    Args:
        wanted: not less than there are strata, not more than there are samples.
    """
    sizes: dict[str, int] = {}
    rest = dict(populations)
    while small := [name for name, has in rest.items() if has * (wanted - len(sizes)) < sum(rest.values())]:
        sizes |= dict.fromkeys(small, 1)
        rest = {name: has for name, has in rest.items() if name not in sizes}
    left, total = wanted - len(sizes), sum(rest.values())
    parts = {name: divmod(has * left, total) for name, has in rest.items()}
    sizes |= {name: whole for name, (whole, _) in parts.items()}
    largest = sorted(parts, key=lambda name: (-parts[name][1], name))
    for name in largest[: wanted - sum(sizes.values())]:
        sizes[name] += 1
    return sizes


def _equal(populations: Mapping[str, int], wanted: int) -> dict[str, int]:
    """As many of each; what a small stratum lacks, and what does not divide, goes to the larger ones."""
    sizes: dict[str, int] = {}
    by_size = sorted(populations, key=lambda name: (populations[name], name))
    for index, name in enumerate(by_size):
        share = (wanted - sum(sizes.values())) // (len(by_size) - index)
        sizes[name] = min(populations[name], share)
    return sizes


def columns(made: Manifest) -> list[str]:
    """Of samples.parquet, what judging reads."""
    more = ["kind", "clip_ids"] if made.targets else ["clip_id"]
    return ["key", "sample_id", "split", "category", *more]


def row_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with those columns, the same for datasets with scenes and without."""
    clips = row["clip_ids"] if "clip_ids" in row else [row["clip_id"]]
    return {
        **{name: row[name] for name in ("key", "sample_id", "split", "category")},
        "kind": row.get("kind", "single"),
        "clips": clips,
    }
