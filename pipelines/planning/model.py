"""A build as a list of steps, and how long a cluster takes for each.

A step is many equal tasks. With p = min(workers, tasks) of them at a time, a step of S seconds whose longest task takes
s is done within S/p + (1 - 1/p) s: Graham's bound for list scheduling (Bell System Technical Journal 45, 1966), which
is S for one worker. A step also takes at least what the shared storage needs for its bytes and requests.
"""

from dataclasses import dataclass
from math import ceil

from pipelines.build.graph import CLIPS_PER_BUCKET, MASKS_PER_BUCKET, MASKS_PER_REJECTION_BUCKET
from pipelines.build.index import CLIPS_PER_GROUP, MASKS_PER_GROUP
from pipelines.media import images
from pipelines.planning.rates import Prices, Rates
from pipelines.planning.workload import Workload
from pipelines.recipes.recipe import Recipe
from shards import storage

MONTH_HOURS = 730


@dataclass(frozen=True)
class Cluster:
    """Workers of one core each and the storage they share."""

    workers: int
    worker_mbit: float = 1_000  # network of one worker, Mbit/s
    storage_mbit: float = 100_000  # of all workers together
    latency_s: float = 0.02  # of one request. 0: a local disk
    requests_per_s: float = 5_000  # that the storage answers
    straggler: float = 2.0  # the slowest task takes so many times the mean


@dataclass(frozen=True)
class Step:
    """One step.

    `tasks`: what can run at the same time; `each_s`: what every worker does first (a side input); `at_once`: requests
    that wait in one worker at a time.
    """

    name: str
    items: float
    unit: str
    tasks: int
    cpu_s: float
    read: float = 0  # bytes
    written: float = 0
    requests: float = 0
    each_s: float = 0
    at_once: int = 1
    serial: bool = False  # in one process, whatever the workers

    def waiting_s(self, cluster: Cluster) -> float:
        """Seconds that workers wait for bytes and answers, all together."""
        moving_s = (self.read + self.written) * 8 / (cluster.worker_mbit * 1e6)
        return moving_s + self.requests * cluster.latency_s / self.at_once


@dataclass(frozen=True)
class Line:
    """One step of a plan: wall seconds, cost of the workers meanwhile, and what bounds it."""

    step: Step
    seconds: float
    money: float
    bound: str  # one process | tasks | side input | storage | network | processor


@dataclass(frozen=True)
class Plan:
    """A whole build."""

    lines: tuple[Line, ...]
    samples: float
    shards: int
    dataset_bytes: float
    store_month: float  # money for keeping the dataset a month
    egress: float  # money for taking it out once
    pool_bytes: float  # memory of the pool in every worker

    @property
    def seconds(self) -> float:
        return sum(line.seconds for line in self.lines)

    @property
    def money(self) -> float:
        return sum(line.money for line in self.lines)

    @property
    def limit(self) -> Line:
        """The step that takes longest."""
        return max(self.lines, key=lambda line: line.seconds)


def plan(work: Workload, recipe: Recipe, rates: Rates, cluster: Cluster, prices: Prices) -> Plan:
    """Hours, bytes and money of a build, step by step."""
    lines = []
    for step in steps(work, recipe, rates):
        seconds, bound = duration(step, cluster)
        lines.append(Line(step, seconds, seconds / 3600 * cluster.workers * prices.core_hour, bound))
    stored = next(line.step.written for line in lines if line.step.name == "shard") + next(
        line.step.written for line in lines if line.step.name == "convert"
    )
    samples, clips = work.samples(rates.kept), work.matched_clips * rates.kept.clips
    return Plan(
        tuple(lines),
        samples,
        _tasks(samples, recipe.shards.samples_per_shard) + _tasks(clips, recipe.shards.clips_per_shard),
        stored,
        stored / 1e9 * prices.gb_month,
        stored / 1e9 * prices.gb_egress,
        clips * rates.bytes.pool_row,
    )


def duration(step: Step, cluster: Cluster) -> tuple[float, str]:
    """Wall seconds of one step, and what bounds it."""
    waiting_s = step.waiting_s(cluster)
    total = step.cpu_s + waiting_s
    parallel = 1 if step.serial else min(cluster.workers, step.tasks)
    longest = min(total, total / step.tasks * cluster.straggler)
    spread = total / parallel + (1 - 1 / parallel) * longest
    storage = max(
        (step.read + step.written) * 8 / (cluster.storage_mbit * 1e6), step.requests / cluster.requests_per_s
    )
    seconds = max(spread + step.each_s, storage)
    if storage > spread + step.each_s:
        bound = "storage"
    elif step.serial:
        bound = "one process"
    elif step.each_s > spread:
        bound = "side input"
    elif cluster.workers > step.tasks:
        bound = "tasks"
    else:
        bound = "network" if waiting_s > step.cpu_s else "processor"
    return seconds, bound


def steps(work: Workload, recipe: Recipe, rates: Rates) -> tuple[Step, ...]:
    """The build of `build/graph.py`, in order."""
    s, b, kept = rates.seconds, work.known(rates.bytes), rates.kept
    samples, clips = work.samples(kept), work.matched_clips * kept.clips
    shards = _tasks(samples, recipe.shards.samples_per_shard)
    pools = _tasks(clips, recipe.shards.clips_per_shard)
    groups, clip_groups = _tasks(work.masks, MASKS_PER_GROUP), _tasks(work.clips, CLIPS_PER_GROUP)
    buckets = 1 + int(work.masks) // MASKS_PER_BUCKET
    clip_buckets = 1 + int(work.clips) // CLIPS_PER_BUCKET
    rejected = work.masks - samples
    # A table is cut into slices by bucket or shard, all in one file; who joins them reads each by itself.
    masks_cut = min(work.matched_masks, groups * buckets)
    names_cut = min(work.masks, groups * buckets)
    rejected_cut = min(rejected, groups * (1 + int(work.masks) // MASKS_PER_REJECTION_BUCKET))
    samples_cut = min(samples, buckets * shards)
    clips_cut, pool_cut = (
        min(work.matched_clips, clip_groups * clip_buckets),
        min(clips, clip_buckets * pools),
    )
    index_s = work.lvis_masks * s.index_lvis + work.open_images_masks * s.index_open_images
    sample_bytes = b.photo + b.mask_png + b.flac + b.record

    def shuffle(
        name: str,
        items: float,
        unit: str,
        per_s: float,
        per_bytes: float,
        tables: int,
        cut: float,
        tasks: int,
    ) -> Step:
        moved = items * per_bytes + cut * b.slice
        return Step(
            name,
            items,
            unit,
            tasks,
            items * per_s + cut * s.slice,
            read=moved,
            written=moved,
            requests=tables + cut,
            at_once=storage.REQUESTS,
        )

    return (
        Step("start", 1, "build", 1, rates.start_s, serial=True),
        Step(
            "index", work.masks + work.clips, "row", 1, index_s + work.clips * s.index_vggsound,
            read=work.annotation_bytes, serial=True,
        ),
        Step(
            "match", work.masks, "mask", groups, work.masks * s.match, read=work.annotation_bytes / 2,
            requests=2 * groups,
        ),
        Step(
            "measure", work.matched_masks, "mask", groups, work.matched_masks * s.measure,
            read=work.photos * min(b.photo, images.HEADER_BYTES) + work.mask_files * b.mask_png,
            requests=2 * work.photos + 2 * work.mask_files, at_once=storage.REQUESTS,
        ),
        shuffle("group", work.matched_masks, "mask", s.group, b.mask_row, groups, masks_cut, min(groups, buckets)),
        Step("select", work.matched_masks, "mask", buckets, work.matched_masks * s.select),
        shuffle("link", work.masks, "mask", s.link, b.name_row, groups, names_cut, min(groups, buckets)),
        shuffle("reject", rejected, "row", s.reject, b.reject_row, groups, rejected_cut, groups),
        Step(
            "clips", work.clips, "clip", min(clip_groups, clip_buckets), work.clips * s.clips,
            requests=work.matched_clips, at_once=storage.REQUESTS,
        ),
        shuffle("gather clips", work.matched_clips, "clip", s.group, b.mask_row, clip_groups, clips_cut, clip_groups),
        shuffle("plan pool", clips, "clip", s.group, b.mask_row, 2 * clip_buckets, pool_cut, min(clip_buckets, pools)),
        Step(
            "convert", work.matched_clips, "clip", pools, work.matched_clips * s.convert,
            read=work.matched_clips * b.clip, written=clips * b.flac,
            requests=2 * work.matched_clips + 3 * pools, at_once=storage.REQUESTS,
        ),
        Step(
            "pair", samples, "sample", buckets, samples * s.pair, each_s=clips * s.load_pool,
            read=clips * b.pool_row,
        ),
        shuffle(
            "plan shards", samples, "sample", s.plan_shard, b.sample_row, 2 * buckets, samples_cut,
            min(buckets, shards),
        ),
        Step(
            "shard", samples, "sample", shards, samples * s.shard,
            read=samples * (b.photo + b.flac), written=samples * sample_bytes,
            requests=3 * samples + 3 * shards, at_once=storage.REQUESTS,
        ),
        Step(
            "finish", samples, "sample", 1,
            samples * s.finish_sample + (shards + pools) * s.finish_shard,
            read=samples * b.part_row, written=samples * b.part_row, requests=2 * (shards + pools), serial=True,
        ),
    )  # fmt: skip


def _tasks(items: float, per_task: int) -> int:
    return max(1, ceil(items / per_task))
