"""Run a build: check what is asked for, index, draw the Beam graph on the runner named, report."""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import label_maps
import pipelines.build.lean_beam  # noqa: F401  # before what imports Beam
from label_maps import LabelMap
from pipelines.build import decoded, exclude, finish, local_processes, runner, unchanged
from pipelines.build.categorize import label_map_of
from pipelines.build.graph import NEAR_CLIPS, NEAR_PHOTOS, Job, near_duplicates, wire
from pipelines.build.index import Count, Progress, index_each, sources, unit
from pipelines.build.local_runner import local_runner
from pipelines.build.scenes import classes
from pipelines.build.split import held_out_list, linked_videos, read_held_out
from pipelines.corpora import registry
from pipelines.recipes.recipe import Recipe
from shards import claims, manifest, new_dataset, storage, tables, takedowns
from shards.claims import WORK
from shards.errors import AvsError
from shards.manifest import HeldOutList

if TYPE_CHECKING:
    from pipelines.build.dask_runner import Cluster


class BuildError(AvsError):
    """A build that cannot start; the message says what to do."""


@dataclass(frozen=True)
class BuildOptions:
    """What a build is asked for besides its recipe."""

    corpora: str
    out: str
    workers: int = 1
    limit: int = 0
    dry_run: bool = False
    held_out: tuple[str, ...] = ()  # CSV files besides the recipe's
    base: str = ""  # the version that this one follows: keeps its number of shards, and its takedowns
    scheduler: str = ""  # of a Dask cluster to build on, tcp://HOST:8786
    beam: tuple[str, ...] = ()  # options for one of Beam's own runners
    patience_s: float = 60.0  # how long a cluster may stand still for want of memory
    alone_s: float = 600.0  # how long it may have no workers


def build(
    recipe: Recipe,
    options: BuildOptions,
    progress: Callable[[Progress], None] | None = None,
    begun: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] | None = None,
    tell: Callable[[str], None] | None = None,
) -> finish.Counts | None:
    """Build a dataset; a dry run gives its counts instead.

    Args:
        progress: called while the annotations are read.
        begun: called once they are, with how many masks and clips there are.
        say: told in words how a cluster is doing.
        tell: told where a cluster shows it, of workers that are sent away, and that there was nothing to do.

    Raises:
        BuildError, RunnerError, ClaimError, RecipeError, LabelMapError, CategoryError, CorpusError, ExcludeError:
            before anything is written.
        BuildStopped: a store or an engine failed later; the same command resumes from there.
        NoSamples: later, too.
    """
    chosen = runner.options(options.beam)
    options = replace(options, corpora=storage.absolute(options.corpora), out=storage.absolute(options.out))
    cluster = _cluster(options)
    if options.dry_run and (cluster or not runner.is_local(chosen)):
        raise BuildError("--dry-run counts on this machine: leave --scheduler and --runner out")
    if cluster and options.beam:
        raise BuildError(f"--scheduler needs no options of Beam: leave {' '.join(options.beam)} out")
    sources(options.corpora, recipe.corpora)  # nothing is claimed for corpora that are not there
    if cluster:
        page = cluster.check()
        if tell:
            tell(page)
    label_map = label_map_of(recipe.labels, options.corpora, recipe.corpora)
    classes(recipe, label_map)
    held_out, lists = _held_out(recipe, options)
    excluded = exclude.read(recipe)
    drawn = partial(_job, recipe, label_map, options, held_out, lists, excluded, progress)
    is_here = options.dry_run or not (cluster or options.beam)
    with local_processes.executor(options.workers if is_here else 1) as executor:
        here = local_runner(options.workers, executor) if is_here else None
        if options.dry_run:
            with tempfile.TemporaryDirectory() as folder:
                job = replace(drawn(folder, executor), report=storage.join(folder, "report.json"))
                if begun:
                    begun(job.masks, job.clips)
                runner.run(chosen, partial(wire, job=job), here)
                return finish.read_report(job.report)
        purpose = _purpose(recipe, label_map, options, excluded)
        claims.claim(options.out, purpose)
        work = storage.join(options.out, WORK)
        if options.base and (taken := takedowns.load(options.base)):
            storage.write_atomic(storage.join(options.out, takedowns.TAKEDOWNS), takedowns.dump(taken))
        job = drawn(work, executor)
        built_from = unchanged.inputs(job)
        if unchanged.is_finished(options.out, built_from):
            storage.remove(job.index)
            if tell:
                tell("Nothing that decides it has changed: the dataset stays as it is")
            return None
        new_dataset.begin(options.out, purpose)
        decoded.collect(options.corpora, job.decoded)
        if begun:
            begun(job.masks, job.clips)
        runner.run(chosen, partial(wire, job=job), cluster.runner(say, tell) if cluster else here)
    empty = storage.join(work, finish.EMPTY)
    told = storage.read_bytes(empty).decode() if storage.exists(empty) else ""
    for name in ("index", "decoded", "parked", "rejections", finish.EMPTY):
        storage.remove(storage.join(work, name))
    if told:
        raise new_dataset.NoSamples(told)
    unchanged.remember(options.out, built_from)
    return None


def _cluster(options: BuildOptions) -> "Cluster | None":
    if not options.scheduler:
        return None
    from pipelines.build.dask_runner import Cluster  # an extra

    return Cluster(options.scheduler, options.corpora, options.out, options.patience_s, options.alone_s)


def _job(
    recipe: Recipe,
    label_map: LabelMap,
    options: BuildOptions,
    held_out: frozenset[str],
    lists: tuple[HeldOutList, ...],
    excluded: exclude.Excluded,
    progress: Callable[[Progress], None] | None,
    work: str,
    executor: Executor | None,
) -> Job:
    found = index_each(options.corpora, storage.join(work, "index"), progress, recipe.corpora, executor)
    counts = {corpus: each.counts[corpus] for corpus, each in found.items()}
    return Job(
        recipe=recipe,
        label_map=label_map,
        whole_map=label_maps.load(recipe.labels.map),
        corpora=options.corpora,
        out=options.out,
        work=work,
        corpus_names=tuple(found),
        indexed=_indexed(counts),
        masks=sum(count.kept for corpus, count in counts.items() if unit(corpus) == "masks"),
        clips=sum(count.kept for corpus, count in counts.items() if unit(corpus) == "clips"),
        held_out=held_out,
        held_out_lists=lists,
        near_photos=recipe.split.near_duplicates and _near(options.corpora, NEAR_PHOTOS),
        near_videos=_near_videos(options.corpora) if recipe.split.near_duplicates else {},
        id_spaces=registry.shared_id_spaces(counts),
        limit=options.limit,
        excluded=excluded,
        pinned=_pinned(options),
        taken_down=takedowns.reasons(takedowns.load(options.base)) if options.base else {},
    )


def _pinned(options: BuildOptions) -> dict[str, int]:
    return manifest.shard_counts(manifest.load(options.base)) if options.base else {}


def _near(corpora: str, name: str) -> bool:
    return storage.exists(storage.join(near_duplicates(corpora), f"{name}.parquet"))


def _near_videos(corpora: str) -> dict[str, str]:
    if not _near(corpora, NEAR_CLIPS):
        return {}
    return linked_videos(tables.read(storage.join(near_duplicates(corpora), f"{NEAR_CLIPS}.parquet")))


def _indexed(found: Mapping[str, Count]) -> finish.Counts:
    """The index as the funnel's first steps."""
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for corpus, count in found.items():
        for event, number in {"in": count.rows, "kept": count.kept, **count.rejected}.items():
            counts["index", unit(corpus), event, ""] += number
    return dict(counts)


def _held_out(recipe: Recipe, options: BuildOptions) -> tuple[frozenset[str], tuple[HeldOutList, ...]]:
    videos: frozenset[str] = frozenset()
    lists: list[HeldOutList] = []
    for name in recipe.split.held_out:
        url = storage.join(options.corpora, name)
        if storage.exists(url):
            lists.append(held_out_list(url, name))
            videos |= read_held_out(url)
        else:
            lists.append({"list": name, "videos": None})
    for url in options.held_out:
        lists.append(held_out_list(url, url.rsplit("/", 1)[-1]))
        videos |= read_held_out(url)
    return videos, tuple(lists)


def _purpose(
    recipe: Recipe, label_map: LabelMap, options: BuildOptions, excluded: exclude.Excluded
) -> dict[str, Any]:
    """What --out is taken for: another dataset in it is never touched."""
    return {
        "command": "build",
        "corpora": options.corpora.rstrip("/"),
        "name": recipe.name,
        "recipe": recipe.sha256,
        "label_map": label_map.sha256,
        "limit": options.limit,
        "shards": _pinned(options),
        **({"excluded": excluded.sha256} if excluded.sha256 else {}),
    }
