"""The active order: most doubtful samples first, told from the tables alone. It finds faults; it estimates nothing.

Doubtful is a small mask, one that the photo's edge cuts, a sound whose FLAC takes far more or fewer bytes a second than
the others of its category (near silence and steady noise take few and many), and a clip that `avs-data fetch` found to
be nearly the same as one of another label.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from shards import format, storage, tables
from shards.reader import Dataset

SMALL = 0.02  # of the photo
OUTLIER = 4.0  # deviations, from the median by the median
NEAR_CLIPS = "_fetch/near_duplicate_clips.parquet"
_COLUMNS = (
    "area_fraction",
    "width",
    "height",
    "bbox_x",
    "bbox_y",
    "bbox_w",
    "bbox_h",
    "duration_s",
    "flac_size",
)


@dataclass(frozen=True)
class Doubt:
    """Why a sample is doubtful, and how much: the sum of its reasons, each in (0, 1]."""

    score: float
    why: str


def doubts(dataset: Dataset, corpora: str = "") -> dict[str, Doubt]:
    """Doubts by the key of their sample.

    Args:
        corpora: folder or URL of the corpora, whose near-duplicate clips are read where `avs-data fetch` found some.
    """
    scenes = bool(dataset.manifest.targets)
    clips = "clip_ids" if scenes else "clip_id"
    table = dataset.table(columns=["key", "category", clips, *_COLUMNS])
    found: list[list[tuple[float, str]]] = [[] for _ in range(table.num_rows)]
    for row, score, why in (*_masks(table), *_sounds(table)):
        found[row].append((score, why))
    heard = table[clips].to_pylist()
    twins = _twins(dataset, corpora) if corpora else {}
    for row, ids in enumerate(heard if scenes else ([clip] for clip in heard)):
        for clip in ids:
            if clip in twins:
                found[row].append((1.0, f"its clip is nearly the same as {twins[clip]}"))
    keys = table["key"].to_pylist()
    return {
        key: Doubt(sum(score for score, _ in reasons), "; ".join(why for _, why in reasons))
        for key, reasons in zip(keys, found, strict=True)
        if reasons
    }


def _masks(table: pa.Table) -> Iterable[tuple[int, float, str]]:
    """(row, score, why) of masks; an empty one belongs to a scene without a source."""
    area, width, height, x, y, w, h = (table[name].to_numpy() for name in _COLUMNS[:7])
    for row in np.flatnonzero((area > 0) & (area < SMALL)):
        yield int(row), float(1 - area[row] / SMALL), f"its mask is {100 * area[row]:.2g} % of the photo"
    cut = (x == 0).astype(int) + (y == 0) + (x + w == width) + (y + h == height)
    for row in np.flatnonzero((area > 0) & (cut > 0)):
        yield int(row), float(cut[row]) / 8, f"its mask meets {cut[row]} edge(s) of the photo"


def _sounds(table: pa.Table) -> Iterable[tuple[int, float, str]]:
    """(row, score, why) of sounds that are unlike those of their category."""
    length = np.maximum(table["duration_s"].to_numpy(), 0.1)
    rate = np.log(table["flac_size"].to_numpy() / length)
    names, codes = np.unique(np.array(table["category"].to_pylist(), object), return_inverse=True)
    for code in range(len(names)):
        rows = np.flatnonzero(codes == code)
        away = rate[rows] - np.median(rate[rows])
        spread = 1.4826 * np.median(np.abs(away))  # a deviation, were they normal
        if spread > 0:
            for row, steps in zip(rows, away / spread, strict=True):
                if abs(steps) > OUTLIER:
                    which = "fuller" if steps > 0 else "emptier"
                    score = min(1.0, abs(float(steps)) / (4 * OUTLIER))
                    yield int(row), score, f"its sound is {which} than others of its category"


def _twins(dataset: Dataset, corpora: str) -> dict[str, str]:
    """Clips of the pool that are nearly the same as one of other categories -> that one, and its categories."""
    url = storage.join(corpora, NEAR_CLIPS)
    if not storage.exists(url):
        return {}
    pool = dataset.table(format.POOL_TABLE, ["clip_id", "categories"])
    categories = dict(zip(pool["clip_id"].to_pylist(), pool["categories"].to_pylist(), strict=True))
    pairs = tables.read(url, ["clip_id_a", "clip_id_b"])
    both = list(zip(pairs["clip_id_a"].to_pylist(), pairs["clip_id_b"].to_pylist(), strict=True))
    found: dict[str, str] = {}
    for one, other in (*both, *((other, one) for one, other in both)):
        if one in categories and other in categories and set(categories[one]).isdisjoint(categories[other]):
            found.setdefault(one, f"{other} ({', '.join(categories[other])})")
    return found
