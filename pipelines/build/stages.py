"""The Beam verbs that the build is written with. Elements are Arrow tables, so a shuffle moves few, large things."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.pvalue import AsDict

from pipelines.build import pair, slices
from pipelines.build.outcome import Outcome
from pipelines.build.shuffle import Cut, Grouping, Park, Regroup
from shards import format, progress_file, storage, tables

# It gives freed memory back; Arrow's own keeps some 50 MB a worker.
pa.set_memory_pool(pa.system_memory_pool())


class ArrowTableCoder(beam.coders.Coder):
    """Tables on their way from one step to the next, where a runner does not join the two."""

    def encode(self, table: pa.Table) -> bytes:
        return slices.encode(table).to_pybytes()

    def decode(self, encoded: bytes) -> pa.Table:
        return slices.decode(encoded)

    def is_deterministic(self) -> bool:
        return False

    def to_type_hint(self) -> type:
        return pa.Table


beam.coders.registry.register_coder(pa.Table, ArrowTableCoder)


@dataclass
class Accounts:
    """Collects, while the graph is drawn, the rejections (as cut by `Cut`) and counts of every stage."""

    grouping: Grouping  # of rejections, for their tables
    rejected: list[Any] = field(default_factory=list)
    counted: list[Any] = field(default_factory=list)

    def reject(self, tables: Any) -> None:
        self.rejected.append(tables | "Cut rejections" >> Cut(self.grouping))


class _Apply(beam.DoFn):
    def __init__(self, stage: str, unit: str, function: Callable[..., Outcome], units: Any) -> None:
        self.stage, self.unit, self.function, self.units = stage, unit, function, units

    def process(self, table: pa.Table, *side: Any) -> Iterator[Any]:
        outcome = self.function(table, *side)
        counts: Counter[tuple[str, str, str, str]] = Counter()
        for event, rows in (("in", table), ("kept", outcome.kept)):
            for category, number in count_by(rows, "category", self.units).items():
                counts[self.stage, self.unit, event, category] += number
        for row in outcome.rejected.select(["reason", "category"]).to_pylist():
            counts[self.stage, self.unit, row["reason"], row["category"] or ""] += 1
        progress_file.table(
            self.stage, self.unit,
            *(sum(n for key, n in counts.items() if key[2] == event) for event in ("in", "kept")),
        )  # fmt: skip
        yield beam.pvalue.TaggedOutput("counted", dict(counts))
        if outcome.rejected.num_rows:
            yield beam.pvalue.TaggedOutput("rejected", tables.of_unit(outcome.rejected, self.unit))
        if outcome.kept.num_rows:
            yield outcome.kept


class Apply(beam.PTransform):
    """One stage: a plain function from a table to what it keeps and rejects, with its accounts kept.

    Args:
        stage, unit: what the funnel calls it, and what it counts (masks, clips, samples).
        function: table, *side values -> Outcome; must pickle (a module's function, or a partial of one).
    """

    def __init__(
        self, accounts: Accounts, stage: str, unit: str, function: Callable[..., Outcome], *side: Any
    ) -> None:
        super().__init__()
        self.accounts, self.stage, self.unit, self.function, self.side = accounts, stage, unit, function, side

    def expand(self, tables: Any) -> Any:
        units = "own_mask_ids" if self.unit == "masks" else None
        do = beam.ParDo(_Apply(self.stage, self.unit, self.function, units), *self.side)
        outputs = tables | do.with_outputs("rejected", "counted", main="kept")
        self.accounts.reject(outputs.rejected)
        self.accounts.counted.append(outputs.counted)
        return outputs.kept


class ReadTables(beam.PTransform):
    """The row groups of NAME.parquet in each of the folders, a table each, spread over the workers."""

    def __init__(self, folders: Iterable[str], name: str) -> None:
        super().__init__()
        self.urls = [storage.join(folder, f"{name}.parquet") for folder in folders]

    def expand(self, p: Any) -> Any:
        groups: list[tuple[str, int]] = []
        for url in self.urls:
            with storage.open_read(url) as file:
                groups += [(url, group) for group in range(tables.parquet(file).num_row_groups)]
        return (
            p
            | "List row groups" >> beam.Create(groups, reshuffle=False)
            | "Spread row groups" >> beam.Reshuffle()
            | "Read row group" >> beam.MapTuple(read_row_group).with_output_types(pa.Table)
        )


def read_row_group(url: str, group: int) -> pa.Table:
    with storage.open_read(url) as file:
        return tables.parquet(file).read_row_group(group, use_threads=False)


class KeepLowest(beam.PTransform):
    """Keep the `sizes[group]` samples of lowest rank in each group (`sizes['']`: of every group alike)."""

    def __init__(
        self, accounts: Accounts, stage: str, column: str | None, sizes: dict[str, int], seed: int
    ) -> None:
        super().__init__()
        self.accounts, self.stage, self.column, self.sizes, self.seed = accounts, stage, column, sizes, seed

    def expand(self, samples: Any) -> Any:
        cutoffs = (
            samples
            | "Rank" >> beam.FlatMap(pair.ranks_by, self.seed, self.column)
            | "Find cut-offs" >> beam.CombinePerKey(LowestRanks(max(self.sizes.values())))
            | "Take cut-offs" >> beam.Map(cutoff, self.sizes)
        )
        waiting = samples | "Wait for cut-offs" >> Park(self.accounts.grouping.parked)
        keep = partial(pair.keep_lowest, seed=self.seed, column=self.column, stage=self.stage)
        return waiting | "Keep" >> Apply(self.accounts, self.stage, "samples", keep, AsDict(cutoffs))


class LowestRanks(beam.CombineFn):
    """The `n` + 1 smallest of many ranks (uint64 arrays), sorted."""

    def __init__(self, n: int) -> None:
        self.n = n

    def create_accumulator(self) -> np.ndarray:
        return np.empty(0, np.uint64)

    def add_input(self, lowest: np.ndarray, ranks: np.ndarray) -> np.ndarray:
        return self.merge_accumulators([lowest, ranks])

    def merge_accumulators(self, parts: Iterable[np.ndarray]) -> np.ndarray:
        return np.sort(np.concatenate(list(parts)))[: self.n + 1]

    def extract_output(self, lowest: np.ndarray) -> np.ndarray:
        return lowest


def cutoff(ranked: tuple[str, np.ndarray], sizes: dict[str, int]) -> tuple[str, int | None]:
    """A group and the first rank that it does not keep; None: it keeps all."""
    group, lowest = ranked
    size = sizes.get(group, sizes.get("", 0))
    return group, int(lowest[size]) if len(lowest) > size else None


class PlanShards(beam.PTransform):
    """Add `shard`, the path each row is written to, and bring the rows of a shard into one table.

    Args:
        parked: folder of tables that wait.
        per_shard: samples (clips) to a shard. rows: at most, about. column: holds the split; None: all rows go to
            the pool. pinned: shards of an earlier version, per split.
    """

    def __init__(
        self, parked: str, per_shard: int, rows: int, column: str | None, pinned: dict[str, int]
    ) -> None:
        super().__init__()
        self.grouping = Grouping(parked, "shard", 1 + rows // per_shard, hashed=False)
        self.per_shard, self.column, self.pinned = per_shard, column, pinned

    def expand(self, rows: Any) -> Any:
        counts = (
            rows
            | "Count"
            >> beam.FlatMap(lambda table, column: count_by(table, column or "").items(), self.column)
            | "Sum" >> beam.CombinePerKey(sum)
        )
        return (
            rows
            | "Wait for counts" >> Park(self.grouping.parked)
            | "Plan" >> beam.Map(self.plan, AsDict(counts)).with_output_types(pa.Table)
            | Regroup(self.grouping)
        )

    def plan(self, table: pa.Table, counts: dict[str, int]) -> pa.Table:
        shards = {
            name: format.pinned_shard_count(number, self.per_shard, self.pinned.get(name or format.POOL, 0))
            for name, number in counts.items()
        }
        splits = table[self.column].to_pylist() if self.column else [""] * len(table)
        paths = [
            format.shard_path(name or format.POOL, format.shard_index(key, shards[name]))
            for name, key in zip(splits, table["key"].to_pylist(), strict=True)
        ]
        return table.append_column("shard", pa.array(paths, pa.string()))


def count_by(table: pa.Table, column: str, weights: str | None = None) -> Counter[str]:
    """Rows per value of a text column ('' for null or no such column); each row weighs as many as `weights` lists."""
    counts: Counter[str] = Counter()
    values = table[column].to_pylist() if column in table.column_names else [None] * table.num_rows
    listed = table[weights].to_pylist() if weights and weights in table.column_names else None
    for index, value in enumerate(values):
        counts[value or ""] += len(listed[index]) if listed else 1
    return counts


class SumCounts(beam.CombineFn):
    """Adds dictionaries of counts."""

    def create_accumulator(self) -> Counter[Any]:
        return Counter()

    def add_input(self, total: Counter[Any], counts: dict[Any, int]) -> Counter[Any]:
        for key, number in counts.items():  # not Counter.update, which keeps no zero of a key it has not
            total[key] += number
        return total

    def merge_accumulators(self, totals: Iterable[Counter[Any]]) -> Counter[Any]:
        merged: Counter[Any] = Counter()
        for total in totals:
            self.add_input(merged, total)
        return merged

    def extract_output(self, total: Counter[Any]) -> dict[Any, int]:
        return dict(total)
