"""Rates of this machine: the real stage functions on a sample of the user's corpora, timed one by one."""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import label_maps
from label_maps import LabelMap
from pipelines.build import finish, index, pair, pool, samples, select, slices, split, stages
from pipelines.build.match import match
from pipelines.demo import write_demo_corpora
from pipelines.planning.model import Cluster, plan
from pipelines.planning.rates import Bytes, Kept, Prices, Rates
from pipelines.planning.workload import counted
from pipelines.recipes.recipe import Recipe, load
from shards import format, storage
from shards.errors import AvsError

PHOTOS, CLIPS, SAMPLES = 2_000, 200, 500  # how large the sample is at most
FEW_ROWS = 20_000  # a corpus with fewer says nothing about the speed of reading it
SLICES = 64  # cut from one table
GROUPS = 16  # row groups of annotations
_BUILD = "import sys; from pipelines.cli import main; main(sys.argv[1:])"
_ALONE = Cluster(1, worker_mbit=1e9, storage_mbit=1e9, latency_s=0, requests_per_s=1e9)


class MeasureError(AvsError):
    """Corpora that cannot be measured; the message says what is missing."""


@dataclass
class _Clock:
    """Processor seconds by name, the least of several runs: other work on the machine only adds to them."""

    seconds: dict[str, float] = field(default_factory=dict)

    def time(self, name: str, function: Callable[..., Any], *arguments: Any, runs: int = 3) -> Any:
        for _ in range(runs):
            start = time.process_time()
            result = function(*arguments)
            spent = time.process_time() - start
            self.seconds[name] = min(spent, self.seconds.get(name, spent))
        return result


@dataclass(frozen=True)
class _Visual:
    listed: pa.Table
    rejected: pa.Table
    names: pa.Table
    matched: pa.Table
    measured: pa.Table
    selected: pa.Table


def measure(
    corpora: str, recipe: Recipe, label_map: LabelMap, known: Rates, tell: Callable[[str], None]
) -> Rates:
    """Rates from up to PHOTOS photos and CLIPS clips of `corpora`; reads all annotations once.

    Args:
        known: gives what the corpora are too small to tell. tell: is told what is being measured.

    Raises:
        MeasureError: the sample has nothing to pair.
        CorpusError: no corpus there.
    """
    clock = _Clock()
    with tempfile.TemporaryDirectory() as folder:
        tell("reading annotations")
        found, reading = _index(corpora, folder)
        tell("masks: match, measure, select")
        masks = _masks(clock, _table(found.masks), corpora, folder, recipe, label_map)
        tell("clips: select, convert")
        clips, converted = _clips(clock, _table(found.clips), corpora, folder, recipe, label_map)
        tell("samples: pair, write, finish")
        pools = clock.time("load_pool", pair.arranged, [_heard_by_all(pair.slim(converted))])
        parted = split.split_samples(masks.selected, {}, recipe.seed, recipe.split).kept
        parted = parted.set_column(
            parted.schema.get_field_index("split"), "split", pa.repeat("train", len(parted))
        )
        paired = clock.time("pair", pair.pair, parted, pools, recipe.seed).kept
        if not len(paired):
            raise MeasureError(
                f"no photo and clip of the first {PHOTOS} and {CLIPS} of {corpora} have the same category: "
                "fetch more, or measure on generated corpora (avs-data demo-corpora FOLDER)"
            )
        clock.time("plan_shard", _shuffle, paired, "sample_id", 1, folder)
        chosen = paired.slice(0, SAMPLES)
        many = min(25, len(chosen))
        places = (corpora, folder, recipe, label_map)
        _, many_s = _in_shards(clock, "small shards", chosen, many, *places)
        rows, one_s = _in_shards(clock, "shard", chosen, 1, *places)

    s = clock.seconds
    a_slice = s["slice"] / min(SLICES, len(masks.measured))
    per_shard = max(0.0, many_s - one_s) / max(1, many - 1)
    seconds = replace(
        known.seconds,
        **reading,
        match=s["match"] / len(masks.listed),
        link=max(0.0, s["link"] - a_slice) / len(masks.listed),
        measure=s["measure"] / len(masks.matched),
        reject=max(0.0, s["reject"] - a_slice) / len(_long(masks.rejected))
        if "reject" in s
        else known.seconds.reject,
        group=max(0.0, s["group"] - a_slice) / len(masks.measured),
        slice=a_slice,
        select=s["select"] / len(masks.measured),
        clips=s["clips"] / len(clips),
        convert=s["convert"] / len(clips),
        load_pool=s["load_pool"] / len(converted),
        pair=s["pair"] / len(parted),
        plan_shard=max(0.0, s["plan_shard"] - a_slice) / len(paired),
        shard=s["shard"] / len(chosen),
        finish_sample=max(0.0, one_s - per_shard) / len(rows),
        finish_shard=per_shard,
    )
    pairs = len(masks.matched.group_by(["image_id", "category"]).aggregate([]))
    sizes = _sizes(corpora, masks, clips, converted, paired, rows)
    kept = Kept(len(masks.selected) / pairs, known.kept.paired, len(converted) / len(clips))
    rates = Rates(known.machine, known.date, known.command, 0.0, seconds, sizes, kept)
    tell("a whole small build, for what is left")
    return replace(rates, start_s=_start(rates))


def _index(corpora: str, folder: str) -> tuple[index.IndexResult, dict[str, float]]:
    """The tables, and seconds a row of each corpus that has enough rows."""
    spent: dict[str, float] = {}
    last = time.process_time()

    def progress(read: index.Progress) -> None:
        nonlocal last
        now, corpus = time.process_time(), read.source.corpus
        spent[corpus] = spent.get(corpus, 0.0) + now - last
        last = now

    found = index.index(corpora, storage.join(folder, "index"), progress)
    return found, {
        f"index_{corpus}": spent[corpus] / count.rows
        for corpus, count in found.counts.items()
        if count.rows >= FEW_ROWS
    }


def _masks(
    clock: _Clock, listed: pa.Table, corpora: str, folder: str, recipe: Recipe, label_map: LabelMap
) -> _Visual:
    matched = clock.time("match", lambda: match(listed, label_map, item="mask_id", label_id="label_id").kept)
    there = pc.unique(matched.filter(pc.is_valid(matched["image_path"]))["image_id"])[:PHOTOS]
    matched = matched.filter(pc.is_in(matched["image_id"], there))
    if not len(matched):
        raise MeasureError(
            f"{corpora} has no photo with a mask of a linked category; avs-data fetch brings some"
        )
    rejected = match(listed, label_map, item="mask_id", label_id="label_id").rejected
    names = split.photo_names(listed)
    clock.time("link", lambda: split.linked_nodes(_shuffle(split.photo_names(listed), "name", 1, folder)))
    if len(rejected):
        clock.time("reject", _shuffle, _long(rejected), "item", 1, folder)
    measured = clock.time("measure", select.measure, matched, corpora, recipe.select).kept
    grouped = clock.time("group", _shuffle, measured, "image_id", 1, folder)
    few = measured.slice(0, SLICES)
    clock.time("slice", _shuffle, few, "mask_id", None, folder)
    selected = clock.time("select", select.select, grouped, recipe.select, label_map).kept
    return _Visual(listed, rejected, names, matched, measured, selected)


def _clips(
    clock: _Clock, listed: pa.Table, corpora: str, out: str, recipe: Recipe, label_map: LabelMap
) -> tuple[pa.Table, pa.Table]:
    clips = match(listed, label_map, item="clip_id", label_id="label").kept
    clips = clips.filter(pc.is_valid(clips["clip_path"])).slice(0, CLIPS)
    if not len(clips):
        raise MeasureError(f"{corpora} has no clip of a linked category; avs-data fetch brings some")

    def planned() -> pa.Table:
        chosen = split.name_recordings(pool.select_clips(clips, corpora, recipe.select, label_map).kept, {})
        return split.split_clips(chosen, frozenset(), recipe.seed, recipe.split).kept

    chosen = clock.time("clips", planned)
    chosen = chosen.append_column("shard", pa.repeat(format.shard_path(format.POOL, 0), len(chosen)))
    converted = clock.time(
        "convert", pool.write_clips, chosen, corpora, out, recipe.select, label_map, runs=1
    ).kept
    return chosen, converted


def _in_shards(
    clock: _Clock,
    name: str,
    chosen: pa.Table,
    shards: int,
    corpora: str,
    pool_folder: str,
    recipe: Recipe,
    label_map: LabelMap,
) -> tuple[pa.Table, float]:
    """Write samples in so many shards, and finish them: the rows of the last one, and the seconds of `finish`."""
    out, paths = storage.join(pool_folder, str(shards)), []
    sounds = format.shard_path(format.POOL, 0)
    storage.write_atomic(storage.join(out, sounds), storage.read_bytes(storage.join(pool_folder, sounds)))
    for number in range(shards):
        path = format.shard_path("train", number)
        part = chosen.take(list(range(number, len(chosen), shards)))
        part = part.append_column("shard", pa.repeat(path, len(part)))
        rows = clock.time(name, samples.write_samples, part, corpora, out, recipe, label_map, runs=1).kept
        paths.append(path)
    start = time.perf_counter()
    finish.finish(out, recipe, label_map, (), {}, paths, [])
    return rows, time.perf_counter() - start


def _heard_by_all(converted: pa.Table) -> pa.Table:
    """A pool that all samples of the sample may hear: how long a draw takes does not depend on the split."""
    place = converted.schema.get_field_index("split")
    return converted.set_column(place, "split", pa.repeat("train", len(converted)))


def _shuffle(table: pa.Table, column: str, buckets: int | None, folder: str) -> pa.Table:
    """What `stages.Regroup` does to one table, without the runner's part."""
    return slices.read_all([found for _, found in stages.cut(table, column, buckets, f"{folder}/parked")])


def _long(table: pa.Table) -> pa.Table:
    """A few rows repeated to a table of the usual length: what one table costs must not hide what a row does."""
    return pa.concat_tables([table] * (1 + index.MASKS_PER_GROUP // max(1, len(table))))


def _sizes(
    corpora: str, masks: _Visual, clips: pa.Table, converted: pa.Table, paired: pa.Table, rows: pa.Table
) -> Bytes:
    def mean(table: pa.Table, column: str) -> float:
        return pc.mean(table[column]).as_py() or 0.0

    def coded(table: pa.Table) -> float:
        return len(slices.encode(table)) / max(1, len(table))

    def files(paths: Any) -> float:
        found = [
            storage.size(storage.join(corpora, path)) for path in pc.unique(paths.drop_null()).to_pylist()
        ]
        return sum(found) / max(1, len(found))

    return Bytes(
        photo=files(masks.matched["image_path"]),
        clip=files(clips["clip_path"]),
        flac=mean(converted, "flac_size"),
        mask_png=mean(rows, "mask_png_size"),
        record=mean(rows, "json_size") + 4 * 512 + 3 * 512,  # and headers and padding of four members
        slice=len(slices.encode(masks.measured.slice(0, 0))),
        name_row=coded(masks.names) * len(masks.names) / len(masks.listed),
        mask_row=coded(masks.measured),
        reject_row=coded(masks.rejected),
        sample_row=coded(paired),
        pool_row=pair.slim(converted).nbytes / len(converted),
        part_row=coded(rows),
    )


def _table(url: str) -> pa.Table:
    """Up to about GROUPS row groups of a table, evenly spread: no more memory for larger corpora."""
    with storage.open_read(url) as file:
        groups = pq.ParquetFile(file)
        return groups.read_row_groups(
            list(range(0, groups.num_row_groups, max(1, groups.num_row_groups // GROUPS)))
        )


def _start(rates: Rates) -> float:
    """Processor seconds of a small build that the rates do not explain: starting, drawing, barriers."""
    recipe = load("demo")
    with tempfile.TemporaryDirectory() as folder:
        write_demo_corpora(f"{folder}/corpora", images=40, clips=4, workers=1)
        command = [sys.executable, "-c", _BUILD, "build", "demo", "--corpora", f"{folder}/corpora", "--out"]
        spent = []
        for out in ("first", "second"):
            begin = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([*command, f"{folder}/{out}"], check=True, capture_output=True)
            end = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent.append(end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime)
        work = counted(f"{folder}/corpora", label_maps.load(recipe.labels.map))
    return max(0.0, min(spent) - plan(work, recipe, rates, _ALONE, Prices()).seconds)
