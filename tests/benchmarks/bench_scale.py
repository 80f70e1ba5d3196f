"""How far a build scales: the plan against real builds, then an event-driven simulation up to 100 million samples.

    python tests/benchmarks/bench_scale.py [--builds 1,10,60] [--samples 100000,...] [--workers 16,100,1000]

First the rates of this machine are measured on the generated corpora, and builds of corpora that are so many times as
large (see bench_build.py) are timed and set beside the plan made before; a busy machine adds to the wall time. Then
the steps of the plan are run task by task on simulated workers of which some straggle and some die; every draw is a
hash, so the same call prints the same tables. Two ways to survive a dead worker: only its task is done again (a runner
that keeps finished stages), or the whole job starts again and finds the shards that were written (a runner whose
stages all run at once). The last table says from what size on which limit is met. `--builds ''` leaves the first part
out.
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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench_build import build, grow

import label_maps
from pipelines.demo import write_demo_corpora
from pipelines.planning import rates, workload
from pipelines.planning.measure import measure
from pipelines.planning.model import Cluster, Plan, Prices, Step, duration, plan
from pipelines.recipes import recipe
from shards.hashing import unit

SEED = 0
HOUR_S = 3600
STRAGGLERS, SLOWER = 0.01, 5.0  # so many tasks take so many times as long
DEATHS_PER_HOUR = 0.001  # of one worker: once in six weeks; spot machines die more often
BACK_S = 120  # until another worker has taken a dead one's place
BEFORE = ("start", "index")  # done before the job begins
KEPT = ("convert", "shard")  # a restarted job finds their finished tasks
GIVE_UP = 50  # restarts
WORKER_GB = 4.0


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
    return math.exp(0.25 * normal - 0.03125) * (SLOWER if straggles else 1)


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
    step: Step, cluster: Cluster, machines: Machines, begin: float, left: list[int], all_again: bool
) -> tuple[float, int, list[int], bool]:
    """One step from `begin`: when it ends or breaks off, tasks done again, tasks still to do, whether it broke off."""
    total = step.cpu_s + step.waiting_s(cluster)
    parallel = 1 if step.serial else min(cluster.workers, len(left))
    least = max(
        (step.read + step.written) * 8 / (cluster.storage_mbit * 1e6), step.requests / cluster.requests_per_s
    )
    mean = duration(step, cluster)[0] if step.serial else total / step.tasks
    free = [(begin + (0 if step.serial else step.each_s), worker) for worker in range(parallel)]
    heapq.heapify(free)
    waiting = [(task, 0) for task in reversed(left)]
    done: dict[int, float] = {}
    again = 0
    while waiting:
        now, worker = heapq.heappop(free)
        task, attempt = waiting.pop()
        seconds = mean * (1 if step.serial else spread(step, task, attempt))
        died = machines.dies[worker]
        if not all_again and died < now + seconds:
            if died > now:  # else it died idle
                again += 1
            waiting.append((task, attempt + (died > now)))
            heapq.heappush(free, (max(now, machines.replace(worker, died)) + step.each_s, worker))
            continue
        done[task] = now + seconds
        heapq.heappush(free, (now + seconds, worker))
    end = max(done.values())
    if end < begin + least:  # no sooner than the storage has answered everything
        stretch = least / (end - begin)
        done = {task: begin + (at - begin) * stretch for task, at in done.items()}
        end = begin + least
    while all_again and min(machines.dies) < end:
        died = min(machines.dies)
        back = machines.replace(machines.dies.index(died), died)
        if died > begin and step.name not in BEFORE:
            return back, again + 1, sorted(task for task, at in done.items() if at > died), True
    return end, again, [], False


def simulate(made: Plan, cluster: Cluster, all_again: bool) -> Outcome:
    """A whole build on workers that straggle and die."""
    machines, now, again, restarts = Machines(cluster.workers), 0.0, 0, 0
    plans = [line.step for line in made.lines]
    left = {step.name: list(range(step.tasks)) for step in plans}
    number = 0
    while number < len(plans):
        step = plans[number]
        tasks = left[step.name] if step.name in KEPT else list(range(step.tasks))
        broke = False
        if tasks:
            now, more, left[step.name], broke = run_step(step, cluster, machines, now, tasks, all_again)
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
    label_map = label_maps.load(demo.labels.map)
    alone = Cluster(1, 1e9, 1e9, 0.0, 1e9)
    root = Path(tempfile.mkdtemp())
    try:
        write_demo_corpora(str(root / "base"), images=60, clips=6, workers=1)
        grow(root / "base", root / "sample", 10)
        mine = measure(str(root / "sample"), demo, label_map, rates.load_rates(), lambda _: None)
        for scale in scales:
            corpora = root / str(scale)
            grow(root / "base", corpora, scale)
            made = plan(workload.counted(str(corpora), label_map), demo, mine, alone, Prices())
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


def simulated(samples: list[int], workers: list[int]) -> Iterator[str]:
    yield (
        "| samples | workers | h, planned | limit | h, simulated: task again | tasks again | "
        "h, simulated: job again | restarts |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for number in samples:
        for count in workers:
            cluster = Cluster(count)
            made = full(number, cluster)
            one, other = (simulate(made, cluster, all_again) for all_again in (False, True))
            never = "never" if math.isinf(other.seconds) else f"{other.seconds / HOUR_S:.2f}"
            limit = f"{made.limit.step.name} ({made.limit.bound})"
            yield (
                f"| {number:,} | {count:,} | {made.seconds / HOUR_S:.2f} | {limit} | "
                f"{one.seconds / HOUR_S:.2f} | {one.again} | {never} | {other.restarts} |"
            )


def full(samples: float, cluster: Cluster) -> Plan:
    """The published corpora's mixture, made as large."""
    chosen = recipe.load("avs_synthetic")
    known = rates.load_rates()
    whole = workload.published(label_maps.load(chosen.labels.map))
    return plan(
        whole.scaled(samples / whole.samples(known.kept)), chosen, known, cluster, rates.load_prices()
    )


def breaks() -> Iterator[str]:
    """The smallest size, to a tenth, from which on a limit is met."""
    crowd = Cluster(1_000)

    def share(name: str) -> Callable[[Plan], float]:
        return lambda made: sum(line.seconds for line in made.lines if line.step.name == name) / made.seconds

    def pool(made: Plan) -> float:
        return made.pool_bytes / 1e9

    def slices(made: Plan) -> float:
        shuffles = ("group", "link", "reject", "gather clips", "plan pool", "plan shards")
        return sum(share(name)(made) for name in shuffles)

    rules = [
        (f"the pool of clips fills a worker of {WORKER_GB:g} GB", pool, WORKER_GB),
        ("clips: a quarter of the time on 1,000 workers", share("clips"), 0.25),
        ("measure: a quarter of the time on 1,000 workers", share("measure"), 0.25),
        ("index, in one process: a tenth of the time on 1,000 workers", share("index"), 0.1),
        ("finish, in one process: a tenth of the time on 1,000 workers", share("finish"), 0.1),
        ("slices of tables in shuffles: half of the time on 1,000 workers", slices, 0.5),
    ]
    yield "| what | from about so many samples | there |"
    yield "|---|---|---|"
    for what, measure_of, limit in rules:
        sizes = [10 ** (step / 10) for step in range(40, 96)]
        met = next((size for size in sizes if measure_of(full(size, crowd)) >= limit), None)
        value = (
            f"{measure_of(full(met, crowd)):.2f}"
            if met
            else f"{max(measure_of(full(s, crowd)) for s in sizes):.2f} at most"
        )
        yield f"| {what} | {f'{met:,.0f}' if met else 'never'} | {value} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--builds", default="1,10,60", help="real builds of corpora so many times as large")
    parser.add_argument("--samples", default="100000,1000000,10000000,100000000")
    parser.add_argument("--workers", default="16,100,1000")
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
    print("Simulated, from the shipped rates, S3-like storage\n")
    for row in simulated(samples, workers):
        print(row, flush=True)
    print()
    for row in breaks():
        print(row, flush=True)


if __name__ == "__main__":
    sys.exit(main())
