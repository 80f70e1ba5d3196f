"""Numbers about a dataset: from its manifest and some columns of `samples.parquet`, of scenes from some records too."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shards import format, manifest
from shards.manifest import Manifest
from shards.reader import Dataset
from shards.sound import MAX_AUDIO_S

AREA_EDGES = np.logspace(-4, 0, 33)  # fractions of the image, eight bins a decade
_PLACE = ("json_offset", "json_size", "json_sha256")
MOST_RECORDS = 2_000  # of scenes that are read for what no table has
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
class Scenes:
    """What is heard in a dataset of scenes.

    Attributes:
        kinds: kind -> samples of (train, val, test); the most frequent first.
        clips: number of clips -> samples that hear so many.
        together: two categories -> samples in which both are seen and heard, the most frequent first.
        looked_at: records that were read, all or MOST_RECORDS of lowest key; gain_db, pan: 5 %, 50 % and 95 % of their
            sources, empty without sources; scaled: how many of them were brought down to fit 16 bits.
    """

    kinds: dict[str, tuple[int, ...]]
    clips: dict[int, int]
    together: dict[tuple[str, str], int]
    looked_at: int
    gain_db: tuple[float, ...]
    pan: tuple[float, ...]
    scaled: int


@dataclass(frozen=True)
class Summary:
    """What the page and the plots show.

    Attributes:
        per_category: category -> samples of (train, val, test); the largest category first.
        per_split: split -> samples.
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
    per_split: dict[str, int]
    scenes: Scenes | None = None

    @property
    def samples(self) -> int:
        return sum(self.per_split.values())

    def of_split(self, split: str) -> int:
        return self.per_split[split]


def summarise(dataset: Dataset) -> Summary:
    """Read the tables once and count."""
    scenes = bool(dataset.manifest.targets)
    heard = ("clip_ids", "video_ids", "categories", "kind") if scenes else ("clip_id", "video_id")
    table = dataset.table(columns=["split", "category", "area_fraction", "duration_s", "image_id", *heard])
    area, duration = (table[name].to_numpy() for name in ("area_fraction", "duration_s"))
    split = table["split"].to_numpy(zero_copy_only=False)
    seen = area > 0 if scenes else np.ones(len(area), bool)  # negatives have no mask
    clips, videos = (pc.list_flatten(table[name]) if scenes else table[name] for name in heard[:2])
    return Summary(
        manifest=dataset.manifest,
        per_category=_per_category(table),
        area={name: _histogram(area[seen & (split == name)], AREA_EDGES) for name in format.SPLITS},
        duration={name: _histogram(duration[split == name], DURATION_EDGES) for name in format.SPLITS},
        area_quantiles=_quantiles(area[seen]),
        duration_quantiles=_quantiles(duration),
        images=pc.count_distinct(table["image_id"]).as_py(),
        clips=pc.count_distinct(clips).as_py(),
        videos=pc.count_distinct(videos).as_py(),
        funnel=tuple(_step(entry) for entry in dataset.manifest.funnel),
        per_split={name: int((split == name).sum()) for name in format.SPLITS},
        scenes=_scenes(dataset, table) if scenes else None,
    )


def _scenes(dataset: Dataset, table: pa.Table) -> Scenes:
    together: Counter[tuple[str, str]] = Counter()
    for names in table["categories"].to_pylist():
        together.update(combinations(names, 2))
    ranked = sorted(together.items(), key=lambda item: (-item[1], item[0]))
    gains, pans, scaled, looked_at = [], [], 0, 0
    lowest = dataset.table(columns=["key", "shard", *_PLACE]).sort_by("key")[:MOST_RECORDS]
    for row in lowest.sort_by([("shard", "ascending"), ("json_offset", "ascending")]).to_pylist():
        record = json.loads(dataset.read_member(row, "json"))
        gains += [source["gain_db"] for source in record["sources"]]
        pans += [source["pan"] for source in record["sources"]]
        scaled += record["sound"]["scale"] < 1
        looked_at += 1
    return Scenes(
        kinds=_counted(zip(table["kind"].to_pylist(), table["split"].to_pylist(), strict=True)),
        clips=dict(sorted(Counter(map(len, table["clip_ids"].to_pylist())).items())),
        together=dict(ranked),
        looked_at=looked_at,
        gain_db=_quantiles(np.array(gains)),
        pan=_quantiles(np.array(pans)),
        scaled=scaled,
    )


def _per_category(table: pa.Table) -> dict[str, tuple[int, ...]]:
    """A scene counts for each category that is seen and heard in it."""
    splits = table["split"].to_pylist()
    if "categories" not in table.column_names:
        return _counted(zip(table["category"].to_pylist(), splits, strict=True))
    both = zip(table["categories"].to_pylist(), splits, strict=True)
    return _counted((name, split) for names, split in both for name in names)


def _counted(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[int, ...]]:
    """(value, split) to value -> number in (train, val, test), the most frequent value first."""
    counts: dict[str, list[int]] = {}
    for value, split in pairs:
        counts.setdefault(value, [0] * len(format.SPLITS))[format.SPLITS.index(split)] += 1
    ranked = sorted(counts.items(), key=lambda item: (-sum(item[1]), item[0]))
    return {value: tuple(row) for value, row in ranked}


def _histogram(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]


def _quantiles(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in np.quantile(values, (0.05, 0.5, 0.95))) if len(values) else ()


def _step(entry: manifest.Step) -> Step:
    return Step(entry["stage"], entry["unit"], entry["in"], entry["kept"], dict(entry["rejected"]))
