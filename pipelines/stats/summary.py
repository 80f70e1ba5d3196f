"""Numbers about a dataset: from its manifest and four columns of `samples.parquet`, never from its media."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shards import format, manifest
from shards.manifest import Manifest
from shards.reader import Dataset
from shards.sound import MAX_AUDIO_S

AREA_EDGES = np.logspace(-4, 0, 33)  # fractions of the image, eight bins a decade
DURATION_EDGES = np.linspace(0, MAX_AUDIO_S, 21)  # seconds


@dataclass(frozen=True)
class Step:
    """One row of the manifest's funnel; entered == kept + sum(rejected.values())."""

    stage: str
    unit: str
    entered: int
    kept: int
    rejected: dict[str, int]


@dataclass(frozen=True)
class Summary:
    """What the page and the plots show.

    Attributes:
        per_category: category -> samples of (train, val, test); the largest category first.
        area, duration: split -> counts per bin of AREA_EDGES and DURATION_EDGES, (bins,) int64. A value outside
            the edges counts in the outermost bin.
        area_quantiles, duration_quantiles: 5 %, 50 % and 95 % over all samples; empty without samples.
    """

    manifest: Manifest
    per_category: dict[str, tuple[int, ...]]
    area: dict[str, np.ndarray]
    duration: dict[str, np.ndarray]
    area_quantiles: tuple[float, ...]
    duration_quantiles: tuple[float, ...]
    images: int
    clips: int
    videos: int
    funnel: tuple[Step, ...]

    @property
    def samples(self) -> int:
        return sum(sum(row) for row in self.per_category.values())

    def of_split(self, split: str) -> int:
        return sum(row[format.SPLITS.index(split)] for row in self.per_category.values())


def summarise(dataset: Dataset) -> Summary:
    """Read the tables once and count."""
    columns = ["split", "category", "area_fraction", "duration_s", "image_id", "clip_id", "video_id"]
    table = dataset.table(columns=columns)
    area, duration = (table[name].to_numpy() for name in ("area_fraction", "duration_s"))
    split = table["split"].to_numpy(zero_copy_only=False)
    return Summary(
        manifest=dataset.manifest,
        per_category=_per_category(table),
        area={name: _histogram(area[split == name], AREA_EDGES) for name in format.SPLITS},
        duration={name: _histogram(duration[split == name], DURATION_EDGES) for name in format.SPLITS},
        area_quantiles=_quantiles(area),
        duration_quantiles=_quantiles(duration),
        images=pc.count_distinct(table["image_id"]).as_py(),
        clips=pc.count_distinct(table["clip_id"]).as_py(),
        videos=pc.count_distinct(table["video_id"]).as_py(),
        funnel=tuple(_step(entry) for entry in dataset.manifest.funnel),
    )


def _per_category(table: pa.Table) -> dict[str, tuple[int, ...]]:
    counts: dict[str, list[int]] = {}
    for row in table.group_by(["category", "split"]).aggregate([([], "count_all")]).to_pylist():
        counts.setdefault(row["category"], [0] * len(format.SPLITS))[format.SPLITS.index(row["split"])] = row[
            "count_all"
        ]
    ranked = sorted(counts.items(), key=lambda item: (-sum(item[1]), item[0]))
    return {category: tuple(row) for category, row in ranked}


def _histogram(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]


def _quantiles(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in np.quantile(values, (0.05, 0.5, 0.95))) if len(values) else ()


def _step(entry: manifest.Step) -> Step:
    return Step(entry["stage"], entry["unit"], entry["in"], entry["kept"], dict(entry["rejected"]))
