"""What one item costs on this machine: the rates of `pipelines/planning/rates.toml`, from the build's own functions.

    python tests/benchmarks/bench_rates.py CORPORA [--recipe avs_synthetic]

Reads all annotations of CORPORA, then works on up to 2,000 of its photos and 200 of its clips. Prints TOML; what the
corpora are too small to tell (an index of fewer than 20,000 rows, the fractions ASSUMED) is as shipped.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from label_maps import LabelMap
from pipelines.build import finish, index, pair, pool, samples, select, slices, split
from pipelines.build.categorize import categorize_clips, categorize_masks, label_map_of
from pipelines.build.shuffle import Grouping
from pipelines.demo import write_demo_corpora
from pipelines.planning import forecast, workload
from pipelines.recipes import recipe
from pipelines.recipes.recipe import Recipe
from shards import format, storage

PHOTOS, CLIPS, SAMPLES = 2_000, 200, 500  # at most
FEW_ROWS = 20_000
GROUPS = 16  # row groups of annotations
_BUILD = "import sys; from pipelines.cli import main; main(sys.argv[1:])"


class Clock:
    """Processor seconds by name, the least of several runs: other work on the machine only adds to them."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, name: str, function: Callable[..., Any], *arguments: Any, runs: int = 3) -> Any:
        for _ in range(runs):
            start = time.process_time()
            result = function(*arguments)
            spent = time.process_time() - start
            self.seconds[name] = min(spent, self.seconds.get(name, spent))
        return result


def measure(corpora: str, recipe: Recipe, label_map: LabelMap, known: forecast.Rates) -> forecast.Rates:
    clock = Clock()
    s = clock.seconds
    with tempfile.TemporaryDirectory() as folder:
        listed, clips, indexing = _indexed(corpora, folder)

        def matched() -> tuple[pa.Table, pa.Table]:
            outcome = categorize_masks(listed, label_map)
            split.linked_nodes(_shuffled(split.photo_names(listed), "name", folder))
            return outcome.kept, _shuffled(outcome.rejected, "item", folder)

        masks, _ = clock.time("categorize_mask", matched)
        there = pc.unique(masks.filter(pc.is_valid(masks["image_path"]))["image_id"])[:PHOTOS]
        masks = masks.filter(pc.is_in(masks["image_id"], there))

        def selected() -> pa.Table:
            measured = select.measure(masks, corpora, recipe.select).kept
            return select.select(_shuffled(measured, "image_id", folder), recipe.select, label_map).kept

        chosen = clock.time("measure", selected)
        clips = categorize_clips(clips, label_map).kept
        clips = clips.filter(pc.is_valid(clips["clip_path"])).slice(0, CLIPS)

        def stamped() -> pa.Table:
            found = split.name_recordings(
                pool.select_clips(clips, corpora, recipe.select, label_map).kept, {}
            )
            return split.split_clips(found, frozenset(), recipe.seed, recipe.split).kept

        stamp = clock.time("categorize_clip", stamped)
        sounds = format.shard_path(format.POOL, 0)
        stamp = stamp.append_column("shard", pa.repeat(sounds, len(stamp)))
        converted = clock.time(
            "convert", pool.convert_clips, stamp, corpora, folder, recipe.select, label_map, runs=1
        ).kept
        heard = pair.Pools(_of_train(pair.slim(converted)))
        parted = _of_train(split.split_samples(chosen, {}, recipe.seed, recipe.split).kept)
        shard = format.shard_path("train", 0)

        def written() -> tuple[int, pa.Table]:
            paired = pair.pair(parted, heard, recipe.seed).kept
            some = _shuffled(paired, "sample_id", folder).slice(0, SAMPLES)
            some = some.append_column("shard", pa.repeat(shard, len(some)))
            return len(some), samples.shard_samples(some, corpora, folder, recipe, label_map).kept

        count, rows = clock.time("shard", written, runs=1)
        clock.time("finish", finish.finish, folder, recipe, label_map, (), {}, [shard], [], runs=1)
        pairs = len(masks.group_by(["image_id", "category"]).aggregate([]))
        sizes = forecast.Bytes(
            photo=_file_size(corpora, masks["image_path"]),
            clip=_file_size(corpora, clips["clip_path"]),
            flac=pc.mean(converted["flac_size"]).as_py(),
            mask_png=pc.mean(rows["mask_png_size"]).as_py(),
            record=pc.mean(rows["json_size"]).as_py()
            + 4 * 512
            + 3 * 512,  # headers and padding of four members
        )
    seconds = replace(
        known.seconds,
        index=known.seconds.index | indexing,
        categorize_mask=s["categorize_mask"] / len(listed),
        categorize_clip=s["categorize_clip"] / len(clips),
        measure=s["measure"] / len(masks),
        convert=s["convert"] / len(clips),
        shard=s["shard"] / count,
        finish_sample=max(0.0, s["finish"] - known.seconds.finish_shard) / len(rows),
        start=0.0,
    )
    kept = replace(known.kept, samples=len(chosen) / pairs, clips=len(converted) / len(clips))
    rates = forecast.Rates(seconds, sizes, kept)
    return replace(rates, seconds=replace(seconds, start=_start(rates)))


def _indexed(corpora: str, folder: str) -> tuple[pa.Table, pa.Table, dict[str, float]]:
    """Masks, clips, and the seconds a row of each corpus that has enough rows."""
    spent: dict[str, float] = {}
    last = time.process_time()

    def progress(read: index.Progress) -> None:
        nonlocal last
        now, corpus = time.process_time(), read.source.corpus
        spent[corpus] = spent.get(corpus, 0.0) + now - last
        last = now

    found = index.index(corpora, storage.join(folder, "index"), progress)
    rows = {corpus: count.rows for corpus, count in found.counts.items() if count.rows >= FEW_ROWS}
    rates = {corpus: spent[corpus] / count for corpus, count in rows.items()}
    return _table(found.masks), _table(found.clips), rates


def _table(url: str) -> pa.Table:
    """About GROUPS row groups of a table, evenly spread."""
    with storage.open_read(url) as file:
        groups = pq.ParquetFile(file)
        step = max(1, groups.num_row_groups // GROUPS)
        return groups.read_row_groups(list(range(0, groups.num_row_groups, step)))


def _shuffled(table: pa.Table, column: str, folder: str) -> pa.Table:
    """What `shuffle.Regroup` does to one table, without the runner's part."""
    return slices.read_all([found for _, found in Grouping(f"{folder}/parked", column, 1).cut(table)])


def _of_train(table: pa.Table) -> pa.Table:
    """All of it in one split: how long a step takes does not depend on it."""
    return table.set_column(table.schema.get_field_index("split"), "split", pa.repeat("train", len(table)))


def _file_size(corpora: str, paths: Any) -> float:
    there = pc.unique(paths.drop_null()).to_pylist()
    return sum(storage.size(storage.join(corpora, path)) for path in there) / len(there)


def _start(rates: forecast.Rates) -> float:
    """Processor seconds of a small build that the rates do not explain: starting, drawing, barriers."""
    demo = recipe.load("demo")
    with tempfile.TemporaryDirectory() as folder:
        write_demo_corpora(f"{folder}/corpora", images=40, clips=4, workers=1)
        spent = []
        for out in ("first", "second"):
            begin = resource.getrusage(resource.RUSAGE_CHILDREN)
            command = ["build", "demo", "--corpora", f"{folder}/corpora", "--out", f"{folder}/{out}"]
            subprocess.run([sys.executable, "-c", _BUILD, *command], check=True, capture_output=True)
            end = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent.append(end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime)
        work = workload.counted(f"{folder}/corpora", label_map_of(demo.labels))
    made = forecast.forecast(work, demo, rates, forecast.Place(1))
    return max(0.0, min(spent) - made.seconds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpora")
    parser.add_argument("--recipe", default="avs_synthetic")
    arguments = parser.parse_args()
    chosen = recipe.load(arguments.recipe)
    rates = measure(arguments.corpora, chosen, label_map_of(chosen.labels), forecast.load_rates())
    tables = asdict(rates)
    tables["seconds.index"] = tables["seconds"].pop("index")
    for name, table in tables.items():
        print(f"\n[{name}]")
        for key, value in table.items():
            print(f"{key} = {float(f'{value:.4g}')!r}")


if __name__ == "__main__":
    main()
