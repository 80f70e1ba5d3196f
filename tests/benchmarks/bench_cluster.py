"""The same build in one process and on a Dask cluster of this machine: processor seconds, memory, graph, balance.

    python tests/benchmarks/bench_cluster.py CORPORA [--recipe NAME] [--workers 1,2,4] [--slow 0.25] [--runs 1]

Workers have one thread, a core of their own (as long as there are any) and were started before: what the start of a
process takes is not in the figures. "Busy" is the wall time of all tasks over that of the command and its workers:
nearly independent of the load. With --slow, the first worker is stopped for
all but that share of each 0.2 s. Every dataset is compared, sha256 by sha256, with that of the build in one process.

Corpora: `avs-data demo-corpora`, real_corpora.py, or --photos N of generated ones, each listed --times T times, of
which --skew gives one category half of all samples.
"""

import argparse
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench_engines import hashes
from bench_real import RECIPE
from dask_cluster import Cluster
from grown import grow, high_water_mb, processes

from pipelines.demo import write_demo_corpora
from shards.manifest import load

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_COMMAND = """
import sys, cloudpickle
from pipelines.build import dask_runner
made = dask_runner.tasks
def tasks(*arguments):
    found = made(*arguments)
    print("graph bytes", len(cloudpickle.dumps(found)), file=sys.stderr)
    return found
dask_runner.tasks = tasks
from pipelines.cli import main
main()
"""


@dataclass(frozen=True)
class Seen:
    """Of one build. processor_s, peaks_mb: by kind of process. tasks_s, tasks_processor_s: of all tasks."""

    wall_s: float
    processor_s: dict[str, float]
    peaks_mb: dict[str, float]
    tasks_s: float
    tasks_processor_s: float
    tasks: int
    graph_bytes: int


def processor_s(process: int) -> float:
    """What a process and all its descendants have used."""
    used = 0.0
    for one in processes(process):
        with suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            used += (int(fields[11]) + int(fields[12])) * _TICK_S
    return used


def build(recipe: str, corpora: Path, out: Path, cluster: Cluster | None) -> Seen:
    shutil.rmtree(out, ignore_errors=True)
    words = ["build", recipe, "--corpora", str(corpora), "--out", str(out), "--profile", "--json"]
    words += ["--scheduler", cluster.address] if cluster else []
    servers = {f"worker {number}": one.pid for number, one in enumerate(cluster.workers)} if cluster else {}
    if cluster and cluster.scheduler:
        servers["scheduler"] = cluster.scheduler.pid
    before = {name: processor_s(process) for name, process in servers.items()}
    began, peaks = time.monotonic(), Counter[str]()
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as told:
        child = subprocess.Popen([sys.executable, "-c", _COMMAND, *words], stdout=told, stderr=said)
        used: Any = None
        while used is None:
            for name, root in {"command": child.pid, **servers}.items():
                peaks[name] = max(peaks[name], *(high_water_mb(one) for one in processes(root)))
            time.sleep(0.25)
            ended, status, found = os.wait4(child.pid, os.WNOHANG)
            used = found if ended else None
        child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - began
        for file in (said, told):
            file.seek(0)
        log = said.read()
        if child.returncode:
            raise SystemExit(log[-3000:])
        spent = json.loads(told.read())["processor_and_wall_s"]
    processor = {"command": used.ru_utime + used.ru_stime}
    processor |= {name: processor_s(process) - before[name] for name, process in servers.items()}
    tasks, graph = re.findall(r"of (\d+) tasks", log), re.findall(r"graph bytes (\d+)", log)
    return Seen(
        wall,
        processor,
        dict(peaks),
        sum(wall for _, wall in spent.values()),
        sum(processor for processor, _ in spent.values()),
        int(tasks[-1]) if tasks else 0,
        int(graph[-1]) if graph else 0,
    )


class Throttle:
    """Lets a process work in a share of the time."""

    def __init__(self, process: int, share: float) -> None:
        self._process, self._share, self._end = process, share, threading.Event()
        self._thread = threading.Thread(target=self._turn)
        self._thread.start()

    def _turn(self) -> None:
        while not self._end.wait(0.2 * self._share):
            os.killpg(self._process, signal.SIGSTOP)
            self._end.wait(0.2 * (1 - self._share))
            os.killpg(self._process, signal.SIGCONT)

    def end(self) -> None:
        self._end.set()
        self._thread.join()


def skew(corpora: Path) -> None:
    """List photos of the first category again, with its masks alone, until it has half of all masks."""
    for path in (corpora / "lvis").glob("*.json"):
        record = json.loads(path.read_text())
        masks = record["annotations"]
        first = Counter(mask["category_id"] for mask in masks).most_common(1)[0][0]
        chosen = [mask for mask in masks if mask["category_id"] == first]
        photos = {image["id"]: image for image in record["images"]}
        for copy in range(1, 1 + (len(masks) - len(chosen)) // len(chosen)):
            shift = copy * 500_000_000
            for number in {mask["image_id"] for mask in chosen}:
                folder, name = photos[number]["coco_url"].split("/")[-2:]
                new = f"{number + shift:012d}.jpg"
                source = corpora / "lvis" / "images" / folder / name
                if source.exists():
                    os.link(source, source.with_name(new))
                url = f"http://images.cocodataset.org/{folder}/{new}"
                flickr = photos[number]["flickr_url"].replace("/1/", f"/1/9{copy}")
                record["images"].append(
                    {**photos[number], "id": number + shift, "coco_url": url, "flickr_url": flickr}
                )
            for mask in chosen:
                ids = {"id": mask["id"] + 10 * shift, "image_id": mask["image_id"] + shift}
                record["annotations"].append({**mask, **ids})
        path.unlink()  # it may be a link
        path.write_text(json.dumps(record))


def samples_of(dataset: Path) -> int:
    return sum(count["samples"] for count in load(str(dataset)).counts.values())


def row(name: str, samples: int, seen: Seen, alone: Seen | None, workers: int) -> str:
    used, peaks = seen.processor_s, seen.peaks_mb
    total = sum(used.values())
    of = [peaks[one] for one in peaks if one.startswith("worker")]
    each = used.get("scheduler", 0) / seen.tasks * 1e3 if seen.tasks else 0
    overhead = f"{total / sum(alone.processor_s.values()) - 1:+.0%}" if alone else "-"
    load = os.getloadavg()[1]
    return (
        f"| {name} | {samples:,} | {total:.1f} | {total / samples * 1e3:.2f} | {overhead} | "
        f"{seen.tasks_processor_s:.1f} / {used['command']:.1f} / {used.get('scheduler', 0):.1f} | "
        f"{peaks['command']:.0f} / {peaks.get('scheduler', 0):.0f} / {max(of, default=0):.0f} | "
        f"{seen.tasks} | {seen.graph_bytes / 1e3:.0f} | "
        f"{each:.1f} | {seen.wall_s:.0f} | {seen.tasks_s / workers:.0f} | {seen.tasks_s / workers / seen.wall_s:.0%} | "
        f"{load:.0f} |"
    )


def show(asked: argparse.Namespace, corpora: Path, root: Path) -> None:
    recipe, alone = asked.recipe, None
    if recipe == "real":
        (root / "real.toml").write_text(RECIPE)
        recipe = str(root / "real.toml")
    for _ in range(asked.runs):
        if not asked.cluster_alone:
            alone = build(recipe, corpora, root / "alone", None)
            print(row("in process", samples_of(root / "alone"), alone, alone, 1), flush=True)
        for workers in asked.workers:
            cluster = Cluster(root / f"cluster-{workers}", workers)
            cluster.start()
            for number, one in enumerate(cluster.workers):
                cores = sorted(os.sched_getaffinity(0))
                for thread in Path(f"/proc/{one.pid}/task").iterdir():
                    os.sched_setaffinity(int(thread.name), {cores[number % len(cores)]})
            throttle = Throttle(cluster.workers[0].pid, asked.slow) if asked.slow else None
            try:
                seen = build(recipe, corpora, root / "out", cluster)
            finally:
                if throttle:
                    throttle.end()
                cluster.kill()
            name = f"{workers} worker{'s' * (workers > 1)}" + (
                f", one at {asked.slow:.0%}" if throttle else ""
            )
            print(row(name, samples_of(root / "out"), seen, alone, workers), flush=True)
            if alone and hashes(root / "out") != hashes(root / "alone"):
                raise SystemExit("other bytes")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpora", nargs="?", type=Path)
    parser.add_argument("--recipe", default="demo", help="`real`: every category, the widest splits")
    parser.add_argument(
        "--workers", default="1,2,4", type=lambda text: [int(word) for word in text.split(",")]
    )
    parser.add_argument("--slow", type=float, default=0.0, help="share of its time that one worker works")
    parser.add_argument(
        "--cluster-alone", action="store_true", help="no build in one process, nothing compared"
    )
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--photos", type=int, default=60)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--skew", action="store_true")
    asked = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="avs-cluster-"))
    print(f"{platform.machine()}, {os.cpu_count()} cores\n")
    print(
        "| | samples | processor s | ms a sample | overhead | tasks / command / scheduler s | "
        "largest MB: command / scheduler / worker | "
        "tasks | graph KB | scheduler ms a task | wall s | ideal s | busy | load |"
    )
    print("|---" * 14 + "|")
    try:
        corpora = asked.corpora
        if corpora is None:
            write_demo_corpora(str(root / "base"), images=asked.photos, clips=6, workers=1)
            corpora = root / "corpora"
            grow(root / "base", corpora, asked.times)
            if asked.skew:
                skew(corpora)
        show(asked, corpora, root)
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
