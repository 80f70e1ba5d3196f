"""The main job on one page: corpora -> label map -> triplets -> shards.

Annotations are indexed to Parquet first. Then Beam moves Arrow tables of references through the stages; photos,
masks and sounds are read by the worker that writes the shard they go into, never shuffled.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import AsIter, AsSingleton

from label_maps import LabelMap
from pipelines.build import absence, compose, finish, merge, pair, pool, select, split
from pipelines.build.absence import Families
from pipelines.build.categorize import categorize_clips, categorize_masks
from pipelines.build.exclude import Excluded, exclude_clips, exclude_samples
from pipelines.build.outcome import Outcome
from pipelines.build.samples import shard_samples
from pipelines.build.scenes import shard_scenes
from pipelines.build.shuffle import Cut, Grouping, Join, Regroup
from pipelines.build.slices import Slice
from pipelines.build.stages import (
    Accounts,
    Apply,
    KeepLowest,
    PlanShards,
    ReadTables,
    SumCounts,
)
from pipelines.recipes.recipe import Recipe
from shards import format, storage
from shards.manifest import HeldOutList

NEAR_PHOTOS, NEAR_CLIPS = "near_duplicate_photos", "near_duplicate_clips"  # what `avs-data fetch` finds
MASKS_PER_BUCKET = 20_000  # what one worker joins at a time: decides memory, never the output
CLIPS_PER_BUCKET = 2_000
MASKS_PER_REJECTION_BUCKET = 200_000  # decides the order of rejections.parquet


@dataclass(frozen=True)
class Job:
    """Everything a worker needs to know. Paths and URLs must mean the same on every worker."""

    recipe: Recipe
    label_map: LabelMap
    whole_map: LabelMap  # before it was cut to the recipe's categories
    corpora: str
    out: str
    work: str  # folder for what the build needs while it runs
    corpus_names: tuple[str, ...]  # of those that are there and asked for
    indexed: finish.Counts  # what the index kept and dropped
    masks: int  # rows of all masks.parquet
    clips: int  # rows of all clips.parquet
    held_out: frozenset[str] = frozenset()  # video ids
    held_out_lists: tuple[HeldOutList, ...] = ()  # where they come from, for the manifest
    near_photos: bool = False  # corpora/_fetch/near_duplicate_photos.parquet is there
    near_videos: dict[str, str] = field(default_factory=dict)  # videos with near-duplicate clips, by group
    # corpus -> id space of its photos, where two that are read share one: `merge` brings their samples together
    id_spaces: dict[str, str] = field(default_factory=dict)
    limit: int = 0  # samples at most; 0: all
    pinned: dict[str, int] = field(default_factory=dict)  # shards of the version it follows, per split
    taken_down: dict[str, str] = field(
        default_factory=dict
    )  # photographs and videos that stay out, with the reason
    excluded: Excluded = field(default_factory=Excluded)  # what people judged bad
    report: str = ""  # a dry run writes its counts here, and nothing else

    @property
    def index(self) -> str:
        """Folder of the index."""
        return storage.join(self.work, "index")

    @property
    def indexes(self) -> list[str]:
        """Its folders with masks.parquet, clips.parquet and so on, one a corpus."""
        return [storage.join(self.index, corpus) for corpus in self.corpus_names]

    @property
    def decoded(self) -> str:
        """The photos that need no decoding; see `decoded`."""
        return storage.join(self.work, "decoded")

    @property
    def parked(self) -> str:
        """Folder of tables that wait for others."""
        return storage.join(self.work, "parked")

    def masks_by(self, column: str) -> Grouping:
        """Tables of masks, samples or photos with all rows of the same value."""
        return Grouping(self.parked, column, 1 + self.masks // MASKS_PER_BUCKET)

    def clips_by(self, column: str) -> Grouping:
        return Grouping(self.parked, column, 1 + self.clips // CLIPS_PER_BUCKET)


def near_duplicates(corpora: str) -> str:
    """The folder with the tables NEAR_PHOTOS and NEAR_CLIPS."""
    return storage.join(corpora, "_fetch")


def wire(p: beam.Pipeline, job: Job) -> None:
    """Draw the whole job."""
    accounts = Accounts(Grouping(job.parked, "item", 1 + job.masks // MASKS_PER_REJECTION_BUCKET))
    accounts.counted.append(p | "Take index counts" >> beam.Create([job.indexed]))
    masks = p | "Read masks" >> ReadTables(job.indexes, "masks")
    clips = p | "Read clips" >> ReadTables(job.indexes, "clips")

    clips = plan_clips(clips, job, accounts)
    pools = convert(clips, job, accounts)
    samples = plan_samples(masks, job, accounts)
    triplets = join(samples, pools, job, accounts)
    if job.report:
        _ = sum_counts(accounts) | "Report counts" >> beam.Map(partial(finish.write_report, job.report))
        return
    written = write(triplets, job, accounts)
    complete(p, written, pools, job, accounts)


def plan_clips(clips: Any, job: Job, accounts: Accounts) -> Any:
    """Clips to those with a category, media and a split."""
    recipe = job.recipe
    categorized = partial(categorize_clips, label_map=job.label_map, taken_down=job.taken_down)
    selected = partial(pool.select_clips, corpora=job.corpora, rules=recipe.select, label_map=job.label_map)
    parted = partial(split.split_clips, held_out=job.held_out, seed=recipe.seed, sizes=recipe.split)
    clips = clips | "Categorize clips" >> Apply(accounts, "categorize", "clips", categorized)
    if job.excluded.clips:
        out = partial(exclude_clips, excluded=job.excluded)
        clips = clips | "Exclude clips" >> Apply(accounts, "exclude", "clips", out)
    return (
        clips
        | "Select clips" >> Apply(accounts, "select", "clips", selected)
        | "Name recordings" >> beam.Map(split.name_recordings, job.near_videos).with_output_types(pa.Table)
        | "Bring recordings together" >> Regroup(job.clips_by("recording"))
        | "Split clips" >> Apply(accounts, "split", "clips", parted)
    )


def convert(clips: Any, job: Job, accounts: Accounts) -> Any:
    """Clips to the pool: each decoded once and written to the pool's shards."""
    if job.report:
        return clips | "Plan pool" >> Apply(accounts, "convert", "clips", pool.plan_conversion)
    recipe = job.recipe
    converted = partial(
        pool.convert_clips, corpora=job.corpora, out=job.out, rules=recipe.select, label_map=job.label_map
    )
    return (
        clips
        | "Plan pool shards"
        >> PlanShards(job.parked, recipe.shards.clips_per_shard, job.clips, None, job.pinned)
        | "Convert clips" >> Apply(accounts, "convert", "clips", converted)
    )


def plan_samples(masks: Any, job: Job, accounts: Accounts) -> Any:
    """Masks to samples with a split: instances joined, rules kept, photos of one component together."""
    recipe = job.recipe
    categorized = partial(
        categorize_masks,
        label_map=job.label_map,
        taken_down=job.taken_down,
        mask_sources=recipe.select.mask_sources,
    )
    measured = partial(select.measure, corpora=job.corpora, rules=recipe.select)
    scenes = bool(recipe.scene.targets)
    schema = select.WITH_INSTANCES if scenes else select.CANDIDATES
    selected = partial(select.select, rules=recipe.select, label_map=job.label_map, schema=schema)
    parted = partial(split.split_samples, seed=recipe.seed, sizes=recipe.split)
    by_name = job.masks_by("name")
    names = [
        masks
        | "Name photos" >> beam.Map(split.photo_names).with_output_types(pa.Table)
        | "Cut names" >> Cut(by_name)
    ]
    if job.near_photos:
        pairs = masks.pipeline | "Read near-duplicates" >> ReadTables(
            [near_duplicates(job.corpora)], NEAR_PHOTOS
        )
        named = pairs | "Name pairs" >> beam.Map(split.pair_names).with_output_types(pa.Table)
        names.append(named | "Cut pairs" >> Cut(by_name))
    linked = (
        tuple(names)
        | "Gather names" >> beam.Flatten()
        | "Bring names together" >> Join(by_name)
        | "Find shared names" >> beam.FlatMap(split.linked_nodes)
        | "Collect links" >> beam.combiners.ToList()
        | "Join components" >> beam.Map(split.components)
    )
    unmarked = (
        masks.pipeline
        | "Read unmarked objects" >> ReadTables(job.indexes, "unmarked")
        | "Name their categories"
        >> beam.Map(select.unmarked_objects, job.label_map, recipe.select.mask_sources).with_output_types(
            pa.Table
        )
    )
    found = (
        masks
        | "Categorize masks" >> Apply(accounts, "categorize", "masks", categorized)
        | "Tell what is exhaustive"
        >> beam.Map(select.tell_exhaustive, job.label_map).with_output_types(pa.Table)
        | "Measure masks" >> Apply(accounts, "measure", "masks", measured)
    )
    samples = (
        (found, unmarked)
        | "Gather objects" >> beam.Flatten()
        | "Bring images together" >> Regroup(job.masks_by("image_id"))
        | "Tell what is unmarked" >> beam.Map(select.tell_unmarked).with_output_types(pa.Table)
        | "Select samples" >> Apply(accounts, "select", "masks", selected)
    )
    if job.id_spaces:
        samples = (
            samples
            | "Name photographs"
            >> beam.Map(merge.name_photographs, job.id_spaces).with_output_types(pa.Table)
            | "Bring photographs together" >> Regroup(job.masks_by("photograph"))
            | "Merge corpora" >> Apply(accounts, "merge", "samples", partial(merge.merge, whole=scenes))
        )
    if job.excluded.samples and not scenes:
        samples = without_bad(samples, job, accounts)
    if recipe.select.per_class_cap:
        cap = {"": recipe.select.per_class_cap}
        samples = samples | "Cap classes" >> KeepLowest(accounts, "cap", "category", cap, recipe.seed)
    if job.limit and not scenes:
        samples = limited(samples, job, accounts)
    samples = samples | "Split samples" >> Apply(accounts, "split", "samples", parted, AsSingleton(linked))
    if scenes:
        samples = compose_scenes(samples, masks, linked, job, accounts)
        samples = without_bad(samples, job, accounts) if job.excluded.samples else samples
        samples = limited(samples, job, accounts) if job.limit else samples
    if recipe.split.exact:
        sizes = {name: getattr(recipe.split, name) for name in format.SPLITS}
        samples = samples | "Trim splits" >> KeepLowest(accounts, "trim", "split", sizes, recipe.seed)
    return samples


def without_bad(samples: Any, job: Job, accounts: Accounts) -> Any:
    out = partial(exclude_samples, excluded=job.excluded)
    return samples | "Exclude samples" >> Apply(accounts, "exclude", "samples", out)


def limited(samples: Any, job: Job, accounts: Accounts) -> Any:
    sizes = {"": job.limit}
    return samples | "Limit samples" >> KeepLowest(accounts, "limit", None, sizes, job.recipe.seed)


def compose_scenes(samples: Any, masks: Any, linked: Any, job: Job, accounts: Accounts) -> Any:
    """Samples to scenes; of off-screen sound's photos all is brought together that is known to be in them, and not."""
    families, audible = Families(job.whole_map), job.label_map.hearing
    if job.recipe.scene.shares.off_screen or job.recipe.scene.evaluation.off_screen:
        p = masks.pipeline
        tables = {
            "masks": masks,
            "unmarked": p | "Read objects of photos" >> ReadTables(job.indexes, "unmarked"),
            "photos": p | "Read photos" >> ReadTables(job.indexes, "photos"),
        }
        known = (
            tuple(
                table | f"Take labels of {name}" >> beam.Map(absence.labels).with_output_types(pa.Table)
                for name, table in tables.items()
            )
            | "Gather labels" >> beam.Flatten()
            | "Bring labels together" >> Regroup(job.masks_by("image_id"))
            | "Tell what is shown" >> beam.Map(absence.known, families).with_output_types(pa.Table)
            | "Name components"
            >> beam.Map(compose.known_rows, AsSingleton(linked)).with_output_types(pa.Table)
        )
        samples = (
            (samples | "Make room" >> beam.Map(compose.rows).with_output_types(pa.Table), known)
            | "Gather photos" >> beam.Flatten()
            | "Bring linked photographs together" >> Regroup(job.masks_by("component"))
        )
    made = partial(compose.scenes, recipe=job.recipe, families=families, audible=audible)
    return (
        samples
        | "Compose scenes" >> beam.Map(made).with_output_types(pa.Table)
        | "Keep what is certain" >> Apply(accounts, "compose", "samples", compose.certain)
    )


def join(samples: Any, pools: Any, job: Job, accounts: Accounts) -> Any:
    """Samples to triplets: the frozen pairing with a clip of the same split and category."""
    drawable = (
        pools
        | "Take what pairing needs" >> beam.Map(pair.slim)
        | "Collect pool" >> beam.combiners.ToList()
        | "Park pool" >> beam.Map(pair.park, job.parked)
    )
    function = pair.pair_scenes if job.recipe.scene.targets else pair.pair
    paired = partial(_paired, function, seed=job.recipe.seed)
    return samples | "Pair with clips" >> Apply(accounts, "pair", "samples", paired, AsSingleton(drawable))


def _paired(function: Callable[..., Outcome], samples: pa.Table, pool: Slice, seed: int) -> Outcome:
    return function(samples, pair.parked(pool), seed)


def write(triplets: Any, job: Job, accounts: Accounts) -> Any:
    """Triplets to shards, one worker a shard."""
    shard = shard_scenes if job.recipe.scene.targets else shard_samples
    written = partial(
        shard,
        corpora=job.corpora,
        out=job.out,
        recipe=job.recipe,
        label_map=job.label_map,
        decoded_url=job.decoded,
    )
    return (
        triplets
        | "Plan shards"
        >> PlanShards(job.parked, job.recipe.shards.samples_per_shard, job.masks, "split", job.pinned)
        | "Write shards" >> Apply(accounts, "shard", "samples", written)
    )


def complete(p: beam.Pipeline, written: Any, pools: Any, job: Job, accounts: Accounts) -> None:
    """Tables, then the manifest: from here on it is a dataset."""
    shards = (written | "Name shards" >> beam.Map(_shard), pools | "Name pool shards" >> beam.Map(_shard))
    accounts.reject(p | "Read index rejections" >> ReadTables(job.indexes, "rejections"))
    rejections = (
        tuple(accounts.rejected)
        | "Gather rejections" >> beam.Flatten()
        | "Bring rejections together" >> Join(accounts.grouping)
        | "Write rejections" >> beam.Map(finish.write_rejections, job.out, accounts.grouping)
    )
    _ = sum_counts(accounts) | "Finish dataset" >> beam.Map(
        partial(finish.finish, job.out, job.recipe, job.label_map, job.held_out_lists),
        AsIter(shards | "Gather shards" >> beam.Flatten()),
        AsIter(rejections),
    )


def sum_counts(accounts: Accounts) -> Any:
    gathered = tuple(accounts.counted) | "Gather counts" >> beam.Flatten()
    return gathered | "Sum counts" >> beam.CombineGlobally(SumCounts())


def _shard(table: pa.Table) -> str:
    return table["shard"][0].as_py()
