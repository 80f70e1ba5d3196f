"""Fill a judging queue: the random draw, gold among it, and the most doubtful samples."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.judge import gold, order
from pipelines.judge.draw import columns, draw, hashes, ranks, row_of, strata_of
from pipelines.judge.errors import JudgeError
from pipelines.judge.queue import Queue
from pipelines.judge.results import manifest_sha256
from pipelines.review import queue_file
from shards import format, hashing, storage
from shards.reader import Dataset

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What a draw is asked for.

    Attributes:
        sample: samples drawn by chance. equally: as many of each stratum, not in proportion.
        judges: answers that a sample needs: 1, or 2 and a third where they differ. None: as before, else 1.
        gold: samples with a known answer. active: the most doubtful samples that are offered, too.
        seed: of the draw. None: as before, else 0.
        corpora: whose near-duplicate clips raise doubts; "": none.
    """

    sample: int = 400
    equally: bool = False
    judges: int | None = None
    gold: int = 20
    active: int = 400
    seed: int | None = None
    corpora: str = ""


@dataclass(frozen=True)
class Filled:
    """Samples of the queue after a draw."""

    drawn: int
    strata: int
    gold: int
    active: int
    population: int
    judges: int


def fill(queue: Queue, dataset: Dataset, asked: Asked, progress: Progress | None = None) -> Filled:
    """Draw into a queue, in one transaction; a queue that has a draw of the same dataset keeps it and gets more.

    Raises:
        JudgeError: the queue is of another dataset, version or seed, or there is nothing to draw.
    """
    tell = progress or (lambda _: None)
    tell("Reading tables")
    made = dataset.manifest
    digest = manifest_sha256(dataset.url)
    table = dataset.table(columns=columns(made))
    strata, hashed = strata_of(table, made), hashes(table["sample_id"].to_pylist())
    of_key = {key: number for number, key in enumerate(table["key"].to_pylist())}
    tell("Drawing")
    with queue_file.transaction(queue.connection):
        seed = _same(queue, dataset.url, digest, asked.seed)
        had = [of_key[item.key] for item in queue.items() if item.order == "random"]
        drawn = draw(
            hashed,
            strata,
            asked.sample,
            seed,
            equally=asked.equally,
            had=had,
        )
        queue.set_meta(
            dataset=storage.absolute(dataset.url),
            name=made.name,
            manifest_sha256=digest,
            seed=seed,
            judges=asked.judges or queue.judges,
        )
        queue.set_strata(drawn.strata)
        one_stratum = len(drawn.strata) == 1
        put: list[tuple[float, dict[str, Any], dict[str, Any]]] = []
        chosen = _rows(table, drawn.rows.tolist())
        for number, row, place in zip(drawn.rows.tolist(), chosen, drawn.places.tolist(), strict=True):
            stratum = next(iter(drawn.strata)) if one_stratum else strata[number]
            put.append((place, row, {"stratum": stratum}))
        have = {of_key[item.key] for item in queue.items() if item.gold}
        ordered = _in_order(table, ranks(hashed, seed, "gold"), drawn.rows, have)
        put += _gold(dataset, _one_by_one(table, ordered), asked.gold - len(have), seed)
        put.sort(key=lambda each: each[0])  # so that no number of an item tells gold
        for place, row, more in put:
            queue.put(row, place=place, **more)
        taken = set(drawn.rows.tolist())
        for row, number, more in _active(dataset, table, of_key, taken, asked, seed):
            queue.put(row, stratum=strata[number], **more)
        queue.refresh()
    return told(queue)


def told(queue: Queue) -> Filled:
    """Of a queue as it is."""
    orders = [item.order for item in queue.items()]
    strata = queue.strata()
    return Filled(
        drawn=orders.count("random"),
        strata=len(strata),
        gold=orders.count("gold"),
        active=orders.count("active"),
        population=sum(one.population for one in strata.values()),
        judges=queue.judges,
    )


def _same(queue: Queue, url: str, digest: str, seed: int | None) -> int:
    """The seed to draw with; refuses a queue that is about something else."""
    known = queue.meta("manifest_sha256", digest)
    if known != digest:
        raise JudgeError(
            f"{queue.path} is about another version of {queue.meta('name')} (manifest {known[:12]}; {url} has "
            f"{digest[:12]}): judge this one in a queue of its own, with --queue"
        )
    before = queue.meta("seed", str(seed or 0))
    if seed is not None and before != str(seed):
        raise JudgeError(
            f"{queue.path} was drawn with seed {before}, not {seed}: leave --seed out, or draw into another --queue"
        )
    return int(before)


def _rows(table: pa.Table, numbers: list[int]) -> list[dict[str, Any]]:
    return [row_of(row) for row in table.take(pa.array(numbers, pa.int64())).to_pylist()]


def _in_order(table: pa.Table, ranked: np.ndarray, drawn: np.ndarray, have: set[int]) -> np.ndarray:
    """Numbers of the samples that gold may be made of, by hash; those that are drawn come last, for want of others."""
    last = np.zeros(len(ranked), bool)
    last[drawn] = True
    ordered = np.lexsort((ranked, last))
    fit = np.ones(len(ranked), bool)
    fit[list(have)] = False
    if "kind" in table.column_names:
        fit &= pc.equal(table["kind"], "single").to_numpy()
    return ordered[fit[ordered]]


def _one_by_one(table: pa.Table, numbers: np.ndarray) -> Iterator[dict[str, Any]]:
    for number in numbers.tolist():
        yield from _rows(table, [number])


def _gold(
    dataset: Dataset, rows: Iterator[dict[str, Any]], wanted: int, seed: int
) -> Iterator[tuple[float, dict[str, Any], dict[str, Any]]]:
    """Of each gold sample its place among the drawn ones, its row, its columns."""
    if wanted <= 0:
        return
    pool = dataset.table(format.POOL_TABLE, ["key", "split", "categories"]).to_pylist()
    for row, clip in gold.choose(rows, pool, wanted, seed, gold.families(dataset.manifest)):
        place = hashing.unit("gold place", seed, row["sample_id"])
        yield place, dict(row), {"stratum": "", "gold": clip}


def _active(
    dataset: Dataset, table: pa.Table, of_key: dict[str, int], drawn: set[int], asked: Asked, seed: int
) -> Iterator[tuple[dict[str, Any], int, dict[str, Any]]]:
    """Row, its number and columns of the most doubtful samples that are not drawn."""
    found = order.doubts(dataset, asked.corpora) if asked.active else {}
    ranked = sorted(
        (key for key in found if of_key[key] not in drawn),
        key=lambda key: (-found[key].score, hashing.hash64("active", seed, key)),
    )[: asked.active]
    numbers = [of_key[key] for key in ranked]
    for place, (key, number, row) in enumerate(zip(ranked, numbers, _rows(table, numbers), strict=True)):
        yield row, number, {"turn": (place + 0.5) / len(ranked), "doubts": found[key].why}
