"""A whole build by this project's local runner and by Beam's FnApiRunner, one and two workers, in turn.

    avs-data demo-corpora --out CORPORA --images 900
    python tests/benchmarks/bench_runner.py CORPORA [--runs 3] [--recipe demo]
    python tests/benchmarks/bench_runner.py --copies 1,26,102

With --copies: real media (real_corpora.py), about 120 samples each. Medians of wall and processor seconds of
the whole command, start included, and the largest of its processes; every dataset is compared, sha256 by sha256.
"""

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import real_corpora
from bench_engines import hashes
from bench_real import RECIPE, timed

from shards.manifest import load

_BEAM = ("--runner", "FnApiRunner")
_TWO = ("--direct_num_workers", "2", "--direct_running_mode", "multi_processing")
_SIDES = {
    ("ours", 1): (),
    ("Beam's FnApiRunner", 1): _BEAM,
    ("ours", 2): ("--workers", "2"),
    ("Beam's FnApiRunner", 2): (*_BEAM, *_TWO),
}


def show(corpora: Path, recipe: str, runs: int, folder: Path) -> None:
    out = folder / "out"
    words = ["build", recipe, "--corpora", str(corpora), "--out", str(out), "--quiet"]
    seen: dict[tuple[str, int], list[tuple[float, float, float]]] = {side: [] for side in _SIDES}
    expected: dict[str, str] = {}
    for _ in range(runs):
        for side, options in _SIDES.items():
            shutil.rmtree(out, ignore_errors=True)
            command = [sys.executable, "-c", "from pipelines.cli import main; main()", *words, *options]
            seen[side].append(timed(command))
            expected = expected or hashes(out)
            if hashes(out) != expected:
                raise SystemExit(f"{side} makes other bytes")
    samples = sum(count["samples"] for count in load(str(out)).counts.values())
    for (name, workers), each in seen.items():
        wall, processor, memory = (statistics.median(column) for column in zip(*each, strict=True))
        load_1 = os.getloadavg()[0]
        print(
            f"| {samples:,} | {name} | {workers} | {processor:.1f} | {memory:.0f} | {wall:.1f} | {load_1:.0f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpora", nargs="?", type=Path)
    parser.add_argument("--copies", default="", help="of real media, in the place of CORPORA")
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    print(f"Medians of {asked.runs}; {platform.machine()}, {os.cpu_count()} cores\n")
    print(
        "| samples | runner | workers | processor s | largest process MB | wall s | load |\n"
        + "|---" * 7
        + "|"
    )
    with tempfile.TemporaryDirectory(prefix="avs-runner-") as name:
        folder = Path(name)
        if asked.corpora:
            show(asked.corpora, asked.recipe, asked.runs, folder)
        (folder / "real.toml").write_text(RECIPE)
        for copies in asked.copies.split(",") if asked.copies else ():
            real_corpora.write(folder / copies, int(copies))
            show(folder / copies, str(folder / "real.toml"), asked.runs, folder)


if __name__ == "__main__":
    main()
