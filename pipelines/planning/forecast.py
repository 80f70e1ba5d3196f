"""How long a build takes: its steps, and what bounds each.

A step is processor seconds, bytes and requests, shared by as many workers as it has tasks. Workers wait for bytes and
answers; a store as a whole answers so many requests a second. Steps follow one another.
"""

import tomllib
from dataclasses import asdict, dataclass, fields
from math import ceil, inf
from pathlib import Path
from typing import Any

from pipelines.build.index import CLIPS_PER_GROUP, MASKS_PER_GROUP
from pipelines.media import images
from pipelines.planning.workload import Workload
from pipelines.recipes.recipe import Recipe
from shards import storage

RATES = Path(__file__).with_name("rates.toml")


@dataclass(frozen=True)
class Seconds:
    """Processor seconds of one core for one item."""

    start: float  # a build: imports, drawing the graph, barriers
    index: dict[str, float]  # a mask or clip listed, by corpus; "other": of any that is not named
    categorize_mask: float  # a mask listed: kept or rejected, its photo's names brought together
    categorize_clip: float  # a clip listed: categorized, stamped, split
    measure: float  # a categorized mask: measured, grouped by photo, selected
    convert: float  # a categorized clip
    shard: float  # a sample: paired, sent to its shard, written
    finish_sample: float
    finish_shard: float


@dataclass(frozen=True)
class Bytes:
    """Bytes of one item; photos and clips of counted corpora have their own."""

    photo: float
    clip: float  # a media file before conversion
    flac: float
    mask_png: float
    record: float  # KEY.json and the tar headers of a sample


@dataclass(frozen=True)
class Kept:
    """Fractions that the rules keep."""

    samples: float  # of the pairs (photo, category) that the label map links
    paired: float  # of those, with a clip of their split
    clips: float  # of categorized clips


@dataclass(frozen=True)
class Rates:
    """What one item costs; `rates.toml` says how each number was measured."""

    seconds: Seconds
    bytes: Bytes
    kept: Kept


@dataclass(frozen=True)
class Place:
    """Workers of one core each, and the store that they share; a local disk has no latency and no limit."""

    workers: int
    worker_mbit: float = inf  # network of one worker, Mbit/s
    latency_s: float = 0.0  # of one request
    requests_per_s: float = inf  # that the store answers

    @classmethod
    def object_store(cls, workers: int) -> "Place":
        """As S3 is from the same region: ASSUMED 1 Gbit/s a worker, 20 ms a request, 5,000 requests a second."""
        return cls(workers, worker_mbit=1_000, latency_s=0.02, requests_per_s=5_000)


@dataclass(frozen=True)
class Step:
    """One step. `tasks`: what can run at the same time; 1 for a step in one process."""

    name: str
    items: float
    unit: str
    tasks: int
    cpu_s: float
    bytes: float = 0  # read and written
    requests: float = 0

    def seconds(self, place: Place) -> tuple[float, str]:
        """Seconds, and what bounds them: "one process", "tasks", "store", "network" or "processor"."""
        waiting_s = self.bytes * 8 / (place.worker_mbit * 1e6)
        waiting_s += self.requests * place.latency_s / storage.REQUESTS
        shared = (self.cpu_s + waiting_s) / min(place.workers, self.tasks)
        store = self.requests / place.requests_per_s
        if store > shared:
            return store, "store"
        if self.tasks == 1:
            return shared, "one process"
        if place.workers > self.tasks:
            return shared, "tasks"
        return shared, "network" if waiting_s > self.cpu_s else "processor"


@dataclass(frozen=True)
class Forecast:
    """A whole build. `steps`: each with its seconds and what bounds them."""

    samples: float
    clips: float
    shards: int
    dataset_bytes: float
    steps: tuple[tuple[Step, float, str], ...]

    @property
    def seconds(self) -> float:
        return sum(seconds for _, seconds, _ in self.steps)

    @property
    def limit(self) -> tuple[Step, float, str]:
        """The step that takes longest."""
        return max(self.steps, key=lambda step: step[1])

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "samples": round(self.samples),
            "clips": round(self.clips),
            "shards": self.shards,
            "bytes": round(self.dataset_bytes),
            "hours": self.seconds / 3600,
            "limit": self.limit[0].name,
            "steps": [
                {**asdict(step), "hours": seconds / 3600, "limited_by": bound}
                for step, seconds, bound in self.steps
            ],
        }


def load_rates(path: Path = RATES) -> Rates:
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return Rates(Seconds(**table["seconds"]), Bytes(**table["bytes"]), Kept(**table["kept"]))


def forecast(work: Workload, recipe: Recipe, rates: Rates, place: Place) -> Forecast:
    """The build of `build/graph.py` in its order: counts, bytes, and the time of each step."""
    s, b, kept = rates.seconds, rates.bytes, rates.kept
    photo, clip = work.photo_bytes or b.photo, work.clip_bytes or b.clip
    cap = recipe.select.per_class_cap or inf
    pairs = sum(work.candidates.values())
    of_pair = work.categorized_masks / pairs if pairs and recipe.select.instances == "instance" else 1.0
    samples = (
        sum(min(cap, count * of_pair * kept.samples) for count in work.candidates.values()) * kept.paired
    )
    if recipe.scene.targets:
        samples = _scenes(recipe, samples, min(samples, work.photos))
    if recipe.split.exact:
        samples = min(samples, recipe.split.train + recipe.split.val + recipe.split.test)
    clips = work.categorized_clips * kept.clips
    shards, pool = (
        _tasks(samples, recipe.shards.samples_per_shard),
        _tasks(clips, recipe.shards.clips_per_shard),
    )
    groups = _tasks(work.masks, MASKS_PER_GROUP) + _tasks(work.clips, CLIPS_PER_GROUP)
    sample_bytes = photo + b.mask_png + b.flac + b.record
    steps = (
        Step("start", 1, "build", 1, s.start),
        Step(
            "index", work.masks + work.clips, "row", 1,
            sum(rows * s.index.get(name, s.index["other"]) for name, rows in work.listed.items()),
            work.annotation_bytes,
        ),
        Step(
            "categorize", work.masks + work.clips, "row", groups,
            work.masks * s.categorize_mask + work.clips * s.categorize_clip,
            work.annotation_bytes / 2, 2 * groups,
        ),
        Step(
            "measure", work.categorized_masks, "mask", groups, work.categorized_masks * s.measure,
            work.photos * min(photo, images.HEADER_BYTES) + work.mask_files * b.mask_png,
            2 * work.photos + 2 * work.mask_files,
        ),
        Step(
            "convert", work.categorized_clips, "clip", pool, work.categorized_clips * s.convert,
            work.categorized_clips * clip + clips * b.flac, 3 * work.categorized_clips + 3 * pool,
        ),
        Step(
            "shard", samples, "sample", shards, samples * s.shard,
            samples * (photo + b.flac + sample_bytes), 3 * samples + 3 * shards,
        ),
        Step("finish", samples, "sample", 1, samples * s.finish_sample + (shards + pool) * s.finish_shard),
    )  # fmt: skip
    return Forecast(
        samples,
        clips,
        shards + pool,
        samples * sample_bytes + clips * b.flac,
        tuple((step, *step.seconds(place)) for step in steps),
    )


def _scenes(recipe: Recipe, singles: float, photos: float) -> float:
    """Scenes of photos that have `singles` sources together, as if these fell on them by chance.

    An upper bound where the recipe hears sounds off the screen: how many photos surely lack a source, nothing counts.
    """
    split, scene = recipe.split, recipe.scene
    training = split.train / (split.train + split.val + split.test)
    each = singles / photos if photos else 0.0
    possible = {"single": singles, "mixture_of_2": photos * each**2 / 2, "mixture_of_3": photos * each**3 / 6}
    made = sum(
        (
            training * getattr(scene.shares, share.name)
            + (1 - training) * getattr(scene.evaluation, share.name)
        )
        * possible.get(share.name, photos)
        for share in fields(scene.shares)
    )
    return min(made, scene.most_per_photo * photos) if scene.most_per_photo else made


def _tasks(items: float, per_task: int) -> int:
    return max(1, ceil(items / per_task))
