"""A whole build of generated corpora by this project's local runner and by Beam's, one and two workers, in turn.

    avs-data demo-corpora --out CORPORA --images 900
    python tests/benchmarks/bench_runner.py CORPORA

Prints medians of wall and processor seconds of the whole command, start included.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BEAM = ("--runner", "FnApiRunner")
SIDES = {
    "ours, 1 worker": (),
    "Beam's FnApiRunner, 1 worker": BEAM,
    "ours, 2 workers": ("--workers", "2"),
    "Beam's FnApiRunner, 2 workers": (
        *BEAM, "--direct_num_workers", "2", "--direct_running_mode", "multi_processing",
    ),
}  # fmt: skip


def once(corpora: str, options: tuple[str, ...]) -> tuple[float, float]:
    """Wall and processor seconds of one build, all its processes."""
    with tempfile.TemporaryDirectory() as folder:
        words = [
            "build",
            "demo",
            "--corpora",
            corpora,
            "--out",
            str(Path(folder, "out")),
            "--quiet",
            *options,
        ]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        command = [sys.executable, "-c", "from pipelines.cli import main; main()", *words]
        subprocess.run(command, check=True, capture_output=True)
        wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpora")
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in SIDES}
    for _ in range(asked.runs):
        for name, options in SIDES.items():
            seen[name].append(once(asked.corpora, options))
    for name, runs in seen.items():
        wall, processor = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"{name:32} wall {wall:5.1f} s, processor {processor:5.1f} s")


if __name__ == "__main__":
    main()
