"""Fill a judging queue: the random draw, gold among it, and the most doubtful samples."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.judge import gold, order
from pipelines.judge.draw import columns, draw, hashes, row_of, strata_of
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
        judges: answers that a sample needs: 1, or 2 and a third where they differ.
        gold: samples with a known answer. active: the most doubtful samples that are offered, too.
        corpora: whose near-duplicate clips raise doubts; "": none.
    """

    sample: int = 400
    equally: bool = False
    judges: int = 1
    gold: int = 20
    active: int = 400
    seed: int = 0
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
    rows = [row_of(row) for row in table.to_pylist()]
    of_key = {row["key"]: number for number, row in enumerate(rows)}
    strata = strata_of(table, made)
    tell("Drawing")
    with queue_file.transaction(queue.connection):
        _same(queue, dataset.url, digest, asked)
        had = [of_key[item.key] for item in queue.items() if item.order == "random"]
        drawn = draw(
            hashes([row["sample_id"] for row in rows]),
            strata,
            asked.sample,
            asked.seed,
            equally=asked.equally,
            had=had,
        )
        queue.set_meta(
            id=queue.meta("id")
            or secrets.token_hex(8),  # what browsers keep of its media is of no other queue
            dataset=storage.absolute(dataset.url),
            name=made.name,
            manifest_sha256=digest,
            seed=asked.seed,
            judges=asked.judges,
        )
        queue.set_strata(drawn.strata)
        one_stratum = len(drawn.strata) == 1
        put: list[tuple[float, dict[str, Any], dict[str, Any]]] = []
        for number, place in zip(drawn.rows.tolist(), drawn.places.tolist(), strict=True):
            stratum = next(iter(drawn.strata)) if one_stratum else strata[number]
            put.append((place, rows[number], {"stratum": stratum}))
        drawn_keys = {rows[number]["key"] for number in drawn.rows.tolist()}
        put += _gold(queue, dataset, rows, drawn_keys, asked)
        for place, row, more in sorted(
            put, key=lambda each: each[0]
        ):  # so that no number of an item tells gold
            queue.put(row, place=place, **more)
        _add_active(queue, dataset, rows, strata, drawn_keys, asked)
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


def _same(queue: Queue, url: str, digest: str, asked: Asked) -> None:
    """Refuse a queue that is about something else."""
    known = queue.meta("manifest_sha256", digest)
    if known != digest:
        raise JudgeError(
            f"{queue.path} is about another version of {queue.meta('name')} (manifest {known[:12]}; {url} has "
            f"{digest[:12]}): judge this one in a queue of its own, with --queue"
        )
    seed = queue.meta("seed", str(asked.seed))
    if seed != str(asked.seed):
        raise JudgeError(
            f"{queue.path} was drawn with seed {seed}, not {asked.seed}: leave --seed out, or draw into another --queue"
        )


def _gold(
    queue: Queue, dataset: Dataset, rows: list[dict[str, Any]], drawn: set[str], asked: Asked
) -> Iterator[tuple[float, dict[str, Any], dict[str, Any]]]:
    """Gold until there is as much as is asked: its place among the drawn ones, its row, its columns."""
    have = {item.key for item in queue.items() if item.gold}
    if len(have) >= asked.gold:
        return
    pool = dataset.table(format.POOL_TABLE, ["key", "split", "categories"]).to_pylist()
    kinds = gold.families(dataset.manifest)
    for row, clip in gold.choose(rows, pool, asked.gold - len(have), asked.seed, drawn | have, kinds):
        place = hashing.unit("gold place", asked.seed, row["sample_id"])
        yield place, dict(row), {"stratum": "", "gold": clip}


def _add_active(
    queue: Queue,
    dataset: Dataset,
    rows: list[dict[str, Any]],
    strata: list[str],
    drawn: set[str],
    asked: Asked,
) -> None:
    """The most doubtful samples that are not drawn, and a place in the order for those that are offered already."""
    found = order.doubts(dataset, asked.corpora) if asked.active else {}
    numbers = {row["key"]: number for number, row in enumerate(rows) if row["key"] in found}
    ranked = sorted(
        (key for key in found if key not in drawn),
        key=lambda key: (-found[key].score, hashing.hash64("active", asked.seed, key)),
    )[: asked.active]
    for place, key in enumerate(ranked):
        queue.put(
            rows[numbers[key]],
            stratum=strata[numbers[key]],
            turn=(place + 0.5) / len(ranked),
            doubts=found[key].why,
        )
