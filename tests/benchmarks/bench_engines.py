"""The same build by Beam's local runner and by Prism with a worker pool, on folders or on S3: bytes, time and memory.

    python tests/benchmarks/bench_engines.py [--corpora FOLDER] [--recipe NAME] [--scales 1,10,100] [--runs 1] [--s3]

Every dataset is compared, sha256 by sha256, with that of the local runner; a build in which the worker pool is killed
in the middle and started again ends the show. Without --corpora, scale k is the generated corpora of grown.py
with each photo listed k times; with it, those corpora as they are. Memory is the largest resident set that the kernel
saw of any one process of its kind: the command, the job server, a worker (Linux). Needs tests/servers/build_prism.sh,
and build.sh for --s3.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import beam_engines
import s3_server
from grown import grow, high_water_mb, processes

from shards import storage
from shards.manifest import load

Peaks = dict[str, float]  # kind of process -> MB


def hashes(folder: Path) -> dict[str, str]:
    """sha256 of every file that belongs to a dataset."""
    files = [path for path in folder.rglob("*") if path.is_file() and ".work" not in path.parts]
    return {str(path.relative_to(folder)): storage.sha256(str(path)) for path in files}


def build(
    arguments: list[str], servers: dict[str, int], disturb: Callable[[], bool] | None = None
) -> tuple[int, float, Peaks]:
    """Exit code, seconds and peaks of one `avs-data build`; `disturb` is asked until it says that it has struck."""
    start, peaks = time.perf_counter(), {}
    with subprocess.Popen(
        ["avs-data", "build", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as child:
        roots = {"command": child.pid, **servers}
        while child.poll() is None:
            for kind, root in roots.items():
                of = processes(root)
                named = [
                    (f"{kind}'s worker" if kind == "command" and one != root else kind, one) for one in of
                ]
                for name, one in named:
                    peaks[name] = max(peaks.get(name, 0), high_water_mb(one))
            if disturb is not None and disturb():
                disturb = None
            time.sleep(0.05)
        child.stderr.read()
    return child.returncode, time.perf_counter() - start, peaks


class Place:
    """Where the engines find corpora and leave datasets: folders, or buckets of an S3 server over folders."""

    def __init__(self, root: Path, s3: bool) -> None:
        self.root = root / "data" / s3_server.BUCKET
        self.url, self.environment = str(self.root), {}
        self.root.mkdir(parents=True)
        self.server = None
        if s3:
            shutil.rmtree(root)
            self.server = s3_server.S3Server(root)
            self.url, self.environment = f"s3://{s3_server.BUCKET}", self.server.environment
            os.environ.update(self.environment)
            self.server.start()

    def close(self) -> None:
        if self.server is not None:
            self.server.kill()


def show(
    asked: argparse.Namespace,
    scale: int,
    root: Path,
    place: Place,
    pool: beam_engines.WorkerPool,
    prism: beam_engines.Prism,
) -> None:
    """One scale: the rows of every runner, and of a crash."""
    name = f"corpora{scale}"
    if asked.corpora:
        shutil.copytree(asked.corpora, place.root / name)
    else:
        grow(root / "base", place.root / name, scale)
    local = [asked.recipe, "--corpora", str(place.root / name), "--out"]
    remote = [asked.recipe, "--corpora", f"{place.url}/{name}", "--out"]
    truth: dict[str, str] = {}
    samples = 0

    def row(runner: str, seconds: float, peaks: Peaks, found: Path) -> None:
        told = ", ".join(f"{kind} {peak:.0f}" for kind, peak in peaks.items() if peak > 20)  # not Beam's pip
        same = "yes" if hashes(found) == truth else "NO"
        print(f"| {scale} | {samples} | {runner} | {seconds:.1f} | {told} | {same} |", flush=True)

    for workers in (1, 2):
        out = root / f"local{workers}"
        runs = []
        for _ in range(asked.runs):
            shutil.rmtree(out, ignore_errors=True)
            runs.append(build([*local, str(out), "--workers", str(workers)], {}))
            assert runs[-1][0] == 0
        truth = truth or hashes(out)
        samples = samples or sum(count["samples"] for count in load(str(out)).counts.values())
        row(f"local, {workers} worker(s)", *_median(runs), out)
        shutil.rmtree(out)
    runs = []
    for number in range(asked.runs):
        pool.start()
        prism.start()
        asked_of = [*remote, f"{place.url}/prism{scale}-{number}", *prism.options, *pool.options]
        runs.append(build(asked_of, {"job server": prism.pid, "worker pool": pool.pid}))
        assert runs[-1][0] == 0, pool.log[-2000:]
        prism.kill()
        pool.kill()
    row("Prism, 1 pool", *_median(runs), place.root / f"prism{scale}-{asked.runs - 1}")

    out = place.root / f"crash{scale}"

    def strike(out: Path = out) -> bool:
        there = bool(list(out.glob("train/*.tar")))
        if there:
            pool.kill()
        return there

    command = [*remote, f"{place.url}/crash{scale}", *prism.options, *pool.options]
    pool.start()
    prism.start()
    code, before, _ = build(command, {}, strike)
    left = len(list(out.rglob("*.tar")))
    prism.kill()
    pool.kill()
    pool.start()
    prism.start()
    again, after, peaks = build(command, {"job server": prism.pid, "worker pool": pool.pid})
    assert again == 0, pool.log[-2000:]
    told = f"Prism, pool killed at {left} shards (exit {code} after {before:.1f} s), then again"
    row(told, after, peaks, out)
    prism.kill()
    pool.kill()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpora", type=Path, help="build these instead of generated ones")
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--scales", default="1,10,100", help="how many times the generated corpora")
    parser.add_argument("--runs", type=int, default=1, help="medians of that many")
    parser.add_argument("--s3", action="store_true", help="corpora and datasets of Prism on an S3 server")
    asked = parser.parse_args()
    root = Path(tempfile.mkdtemp())
    place = Place(root / "place", asked.s3)
    pool = beam_engines.WorkerPool(root / "pool", **place.environment)
    prism = beam_engines.Prism(root / "prism")
    try:
        where = "S3" if asked.s3 else "a folder"
        print(
            f"Prism works on {where}; medians of {asked.runs}; {platform.machine()}, {os.cpu_count()} cores\n"
        )
        print("| scale | samples | runner | seconds | peak memory of a process, MB | same bytes |")
        print("|---|---|---|---|---|---|")
        base = root / "base"
        if asked.corpora is None:
            drawing = [
                "avs-data",
                "demo-corpora",
                "--out",
                str(base),
                "--images",
                "60",
                "--clips-per-category",
                "6",
            ]
            subprocess.run(drawing, check=True, capture_output=True)
        scales = [1] if asked.corpora else [int(text) for text in asked.scales.split(",")]
        for scale in scales:
            show(asked, scale, root, place, pool, prism)
    finally:
        prism.kill()
        pool.kill()
        place.close()
        shutil.rmtree(root)


def _median(runs: list[tuple[int, float, Peaks]]) -> tuple[float, Peaks]:
    kinds = dict.fromkeys(kind for run in runs for kind in run[2])
    peaks = {kind: statistics.median(run[2].get(kind, 0) for run in runs) for kind in kinds}
    return statistics.median(run[1] for run in runs), peaks


if __name__ == "__main__":
    main()
