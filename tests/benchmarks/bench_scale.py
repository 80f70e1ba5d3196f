"""How far a build scales: the plan against real builds, then an event-driven simulation up to 100 million samples.

    python tests/benchmarks/bench_scale.py [--builds 1,10,60] [--samples 100000,...] [--workers 16,100,1000]

First the rates of this machine are measured on the generated corpora (bench_rates.py), and builds of corpora that are
so many times as large (grown.py) are timed and set beside the plan made before; a busy machine adds to the wall
time. Then the steps of the plan are run task by task on simulated workers of which some straggle and some die; every
draw is a hash, so the same call prints the same tables. Two ways to survive a dead worker: only its task is done again
(Dask, in as many partitions as dask_runner.py gives a stage), or the whole job starts again and finds the shards that
were written (a runner whose stages all run at once). `--disk` leaves the store's latency and limits out. The last table
counts what the plan leaves out: slices of tables in shuffles, and the pool of clips that every worker holds.
`--builds ''` leaves the first part out.
"""

import argparse
import heapq
import math
import os
import platform
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench_rates import measure
from grown import build, grow

from pipelines.build import graph
from pipelines.build.categorize import label_map_of
from pipelines.build.dask_runner import partitions_for
from pipelines.build.index import MASKS_PER_GROUP
from pipelines.build.shuffle import FAN_OUT, Grouping
from pipelines.demo import write_demo_corpora
from pipelines.planning import workload
from pipelines.planning.forecast import Forecast, Place, Step, forecast, load_rates
from pipelines.recipes import recipe
from shards.hashing import unit

SEED = 0
HOUR_S = 3600
SPREAD, STRAGGLERS, SLOWER = 0.25, 0.01, 5.0  # of a task's time; so many tasks take so many times as long
DEATHS_PER_HOUR = 0.001  # of one worker: once in six weeks; spot machines die more often
BACK_S = 120  # until another worker has taken a dead one's place
BEFORE = ("start", "index")  # done before the job begins
KEPT = ("convert", "shard")  # a restarted job finds their finished tasks
GIVE_UP = 50  # restarts
POOL_ROW = 494  # bytes of a clip in the memory of every worker that pairs


@dataclass(frozen=True)
class Outcome:
    """Of one simulated build: wall seconds (infinite: never done), tasks done again, restarts of the job."""

    seconds: float
    again: int
    restarts: int


def death(worker: int, number: int) -> float:
    """Seconds of life of the `number`-th machine in a worker's place: exponential."""
    return -math.log(1 - unit(SEED, "death", worker, number)) / DEATHS_PER_HOUR * HOUR_S


def spread(step: Step, task: int, attempt: int) -> float:
    """How many times the mean a task takes: log-normal around 1, and now and then a straggler."""
    a, b = unit(SEED, step.name, task, "a"), unit(SEED, step.name, task, "b")
    normal = math.sqrt(-2 * math.log(1 - a)) * math.cos(2 * math.pi * b)
    straggles = unit(SEED, step.name, task, attempt, "straggles") < STRAGGLERS
    return math.exp(SPREAD * normal - SPREAD**2 / 2) * (SLOWER if straggles else 1)


class Machines:
    """The workers: when each is free, when it dies."""

    def __init__(self, workers: int) -> None:
        self.born = [0] * workers
        self.dies = [death(worker, 0) for worker in range(workers)]

    def replace(self, worker: int, now: float) -> float:
        """Take another machine into a dead one's place; when it can begin."""
        self.born[worker] += 1
        begin = now + BACK_S
        self.dies[worker] = begin + death(worker, self.born[worker])
        return begin


def run_step(
    step: Step, place: Place, machines: Machines, begin: float, left: list[int], all_again: bool
) -> tuple[float, int, list[int], bool]:
    """One step from `begin`: when it ends or breaks off, tasks done again, tasks still to do, whether it broke off."""
    alone = Place(1, place.worker_mbit, place.latency_s)
    mean = step.seconds(alone)[0] / step.tasks
    least = step.requests / place.requests_per_s
    groups = [[task] for task in left]
    if not all_again:
        parts = partitions_for(place.workers)
        groups = [left[part::parts] for part in range(min(parts, len(left)))]
    free = [(begin, worker) for worker in range(min(place.workers, len(groups)))]
    heapq.heapify(free)
    waiting = [(group, 0) for group in reversed(groups)]
    done: dict[int, float] = {}
    again = 0
    while waiting:
        now, worker = heapq.heappop(free)
        group, attempt = waiting.pop()
        seconds = mean * sum(1 if step.tasks == 1 else spread(step, task, attempt) for task in group)
        died = machines.dies[worker]
        if not all_again and died < now + seconds:
            if died > now:  # else it died idle
                again += 1
            waiting.append((group, attempt + (died > now)))
            heapq.heappush(free, (max(now, machines.replace(worker, died)), worker))
            continue
        done[group[0]] = now + seconds
        heapq.heappush(free, (now + seconds, worker))
    end = max(done.values())
    if end < begin + least:  # no sooner than the store has answered everything
        stretch = least / (end - begin)
        done = {task: begin + (at - begin) * stretch for task, at in done.items()}
        end = begin + least
    while all_again and min(machines.dies) < end:
        died = min(machines.dies)
        back = machines.replace(machines.dies.index(died), died)
        if died > begin and step.name not in BEFORE:
            return back, again + 1, sorted(task for task, at in done.items() if at > died), True
    return end, again, [], False


def simulate(made: Forecast, place: Place, all_again: bool) -> Outcome:
    """A whole build on workers that straggle and die."""
    machines, now, again, restarts = Machines(place.workers), 0.0, 0, 0
    steps = [step for step, _, _ in made.steps]
    left = {step.name: list(range(step.tasks)) for step in steps}
    number = 0
    while number < len(steps):
        step = steps[number]
        tasks = left[step.name] if step.name in KEPT else list(range(step.tasks))
        broke = False
        if tasks:
            now, more, left[step.name], broke = run_step(step, place, machines, now, tasks, all_again)
            again += more
        number += 1
        if broke:
            number, restarts = len(BEFORE), restarts + 1
            if restarts == GIVE_UP:
                return Outcome(math.inf, again, restarts)
    return Outcome(now, again, restarts)


def builds(scales: list[int]) -> Iterator[str]:
    """The plan beside what builds of the generated corpora really take, one worker."""
    yield ("| corpora | samples, planned | samples | s, planned | s of processor | ratio | s of wall | MB |")
    yield "|---|---|---|---|---|---|---|---|"
    demo = recipe.load("demo")
    label_map = label_map_of(demo.labels)
    root = Path(tempfile.mkdtemp())
    try:
        write_demo_corpora(str(root / "base"), images=60, clips=6, workers=1)
        grow(root / "base", root / "sample", 10)
        mine = measure(str(root / "sample"), demo, label_map, load_rates())
        for scale in scales:
            corpora = root / str(scale)
            grow(root / "base", corpora, scale)
            made = forecast(workload.counted(str(corpora), label_map), demo, mine, Place(1))
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds, peak, samples = build(corpora, root / "out", 1)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            yield (
                f"| {scale} x | {made.samples:.0f} | {samples} | {made.seconds:.1f} | {spent:.1f} | "
                f"{spent / made.seconds:.2f} | {seconds:.1f} | {peak:.0f} |"
            )
            shutil.rmtree(corpora)
    finally:
        shutil.rmtree(root)


def simulated(samples: list[int], workers: list[int], disk: bool) -> Iterator[str]:
    yield (
        "| samples | workers | h, planned | limit | h, simulated: task again | tasks again | "
        "h, simulated: job again | restarts |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for number in samples:
        for count in workers:
            place = Place(count) if disk else Place.object_store(count)
            made, _ = full(number, place)
            one, other = (simulate(made, place, all_again) for all_again in (False, True))
            never = "never" if math.isinf(other.seconds) else f"{other.seconds / HOUR_S:.2f}"
            step, _, bound = made.limit
            yield (
                f"| {number:,} | {count:,} | {made.seconds / HOUR_S:.2f} | {step.name} ({bound}) | "
                f"{one.seconds / HOUR_S:.2f} | {one.again} | {never} | {other.restarts} |"
            )


def full(samples: float, place: Place) -> tuple[Forecast, workload.Workload]:
    """The published corpora's mixture, made as large; no category is cut short."""
    chosen, rates = recipe.load("avs_synthetic"), load_rates()
    chosen = replace(chosen, select=replace(chosen.select, per_class_cap=0))
    whole = workload.published(label_map_of(chosen.labels))
    work = whole.scaled(samples / forecast(whole, chosen, rates, place).samples)
    return forecast(work, chosen, rates, place), work


def left_out(samples: list[int]) -> Iterator[str]:
    """What the plan has no step for: a request for each slice, and the pool."""
    yield "| samples | slices of one shuffle of all masks | h, at 5,000 requests a second | pool in a worker, GB |"
    yield "|---|---|---|---|"
    for number in samples:
        place = Place.object_store(1_000)
        made, work = full(number, place)
        cut = slices_of(work.masks, Grouping("", "name", 1 + int(work.masks) // graph.MASKS_PER_BUCKET))
        yield (
            f"| {number:,} | {cut:,.0f} | {cut / place.requests_per_s / HOUR_S:,.2f} | "
            f"{made.clips * POOL_ROW / 1e9:.2f} |"
        )


def slices_of(rows: float, grouping: Grouping) -> float:
    """Of one shuffle: at each level the tables of each group are cut into the finer groups."""
    cut, groups = 0.0, 1
    for level in range(1, grouping.levels + 1):
        finer = FAN_OUT**level if level < grouping.levels else grouping.groups
        cut += max(groups, rows / MASKS_PER_GROUP) * finer / groups
        groups = finer
    return min(rows * grouping.levels, cut)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--builds", default="1,10,60", help="real builds of corpora so many times as large")
    parser.add_argument("--samples", default="100000,335000,1000000,10000000,100000000")
    parser.add_argument("--workers", default="8,16,64,256,1000")
    parser.add_argument("--disk", action="store_true", help="a shared disk that is never the limit")
    arguments = parser.parse_args()
    samples, workers, scales = (
        [int(text) for text in getattr(arguments, name).split(",") if text]
        for name in ("samples", "workers", "builds")
    )
    if scales:
        print(f"Plan and builds, one worker; {platform.machine()}, {os.cpu_count()} cores\n")
        for row in builds(scales):
            print(row, flush=True)
        print()
    print(f"Simulated, from the shipped rates, {'a disk' if arguments.disk else 'S3-like store'}\n")
    for row in simulated(samples, workers, arguments.disk):
        print(row, flush=True)
    print()
    for row in left_out(samples):
        print(row, flush=True)


if __name__ == "__main__":
    sys.exit(main())
