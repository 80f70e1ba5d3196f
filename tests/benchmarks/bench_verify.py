"""`avs-data verify`, without and with `--deep`, beside `sha256sum` of the same files by as many processes, in turn.

    python tests/benchmarks/bench_verify.py DATASET [--runs 5]

Wall and processor seconds of the whole command, start included, medians. The files are read once before, so that all
sides find them in memory; how fast a disk is, this does not say.
"""

import argparse
import os
import statistics
import sys
from pathlib import Path

from bench_real import timed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    dataset = asked.dataset.absolute()
    files = [path for path in dataset.rglob("*") if path.is_file() and ".work" not in path.parts]
    size = sum(len(path.read_bytes()) for path in files)
    sides: dict[tuple[str, int], list[str]] = {}
    for workers in (1, 2):
        listed = f"find {dataset} -type f -not -path '*/.work/*' -print0"
        sides["sha256sum", workers] = [
            "sh",
            "-c",
            f"{listed} | xargs -0 -n 1 -P {workers} sha256sum",
        ]
        ours = [sys.executable, "-c", "from pipelines.cli import main; main()", "verify", str(dataset)]
        sides["verify", workers] = [*ours, "--workers", str(workers)]
        sides["verify --deep", workers] = [*ours, "--workers", str(workers), "--deep"]
    seen: dict[tuple[str, int], list[tuple[float, float, float]]] = {side: [] for side in sides}
    before = os.getloadavg()[0]
    for _ in range(asked.runs):
        for side, command in sides.items():
            seen[side].append(timed(command))
    print(
        f"{len(files)} files, {size / 1e6:.0f} MB; medians of {asked.runs}; load {before:.1f} before, "
        f"{os.getloadavg()[0]:.1f} after; {os.cpu_count()} cores\n"
    )
    print("| | workers | wall s | MB/s | of `sha256sum` | processor s |\n|---|---|---|---|---|---|")
    for (side, workers), runs in seen.items():
        wall, processor, _ = (statistics.median(column) for column in zip(*runs, strict=True))
        plain = statistics.median(run[0] for run in seen["sha256sum", workers])
        told = f"{wall:.1f} | {size / 1e6 / wall:.0f} | {wall / plain:.2f}x | {processor:.1f}"
        print(f"| `{side}` | {workers} | {told} |")


if __name__ == "__main__":
    main()
