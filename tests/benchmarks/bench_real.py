"""A whole build of real media by this project and by a plain script, one and two workers, in turn.

    python tests/benchmarks/real_corpora.py CORPORA --copies 39 --mp4 0.05 --fetched
    python tests/benchmarks/bench_real.py CORPORA [--runs 5] [--beside ANOTHER/bin/avs-data]

Wall and processor seconds of the whole command, start included, medians; the largest process; of ours the seconds from
the index to the manifest. `--beside` adds another version of this project. Of corpora that were fetched ours builds
the same without their ledger, too. What the script leaves out: plain_build.py says it.
"""

import argparse
import csv
import ctypes
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pipelines.fetch.ledger import FOLDER
from shards.claims import WORK
from shards.reader import Dataset

RECIPE = 'name = "real"\n[split]\ntrain = 70\nval = 15\ntest = 15\n'
_SUBREAPER = 36  # of prctl: processes whose parent has ended become this one's children
_SCRIPT = Path(__file__).with_name("plain_build.py")


Run = tuple[float, float, float, float]  # wall, processor, largest MB, from index to manifest


def unfetched(corpora: str, folder: Path) -> str:
    """The same corpora without what fetch wrote down."""
    folder.mkdir()
    for path in Path(corpora).iterdir():
        if path.name != FOLDER:
            (folder / path.name).symlink_to(path)
    return str(folder)


def span(out: Path) -> float:
    """Seconds from the index to the manifest; 0 of another program's dataset."""
    claim = out / WORK / "claim.json"
    return (out / "manifest.json").stat().st_mtime - claim.stat().st_mtime if claim.exists() else 0.0


def plan_of(dataset: str, target: Path) -> int:
    """What `plain_build.py` reads of a dataset; how many samples that are."""
    made = Dataset(dataset)
    columns = ["sample_id", "image_id", "clip_id", "category", "split", "mask_ids"]
    rows = made.table(columns=columns).to_pylist()
    with target.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "mask_ids": " ".join(row["mask_ids"])} for row in rows)
    clips = made.table("pool.parquet", ["clip_id"])["clip_id"].to_pylist()
    Path(f"{target}.pool").write_text("\n".join(clip.split(":")[1] for clip in clips))
    return len(rows)


def timed(command: list[str]) -> tuple[float, float, float]:
    """Wall and processor seconds of a command and all its processes, and the largest of them in MB.

    Processes that it leaves behind are waited for and counted, too.
    """
    began, wall, code = time.monotonic(), 0.0, 0
    processor = memory = 0.0
    with tempfile.TemporaryFile() as said:
        # not from here: another version's processes would import this one's packages
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, cwd="/")
        while True:
            try:
                ended, status, used = os.wait3(0)
            except ChildProcessError:
                break
            processor += used.ru_utime + used.ru_stime
            memory = max(memory, used.ru_maxrss / 1000)
            if ended == process.pid:
                wall = time.monotonic() - began
                code = process.returncode = os.waitstatus_to_exitcode(status)
        if code:
            said.seek(0)
            raise SystemExit(f"{' '.join(command)} ended with {code}:\n{said.read().decode()[-2000:]}")
    return wall, processor, memory


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpora")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--beside", help="the avs-data of another version")
    asked = parser.parse_args()
    asked.corpora = os.path.abspath(asked.corpora)
    if asked.beside:
        asked.beside = os.path.abspath(asked.beside)
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    ours = [sys.executable, "-c", "from pipelines.cli import main; main()"]
    with tempfile.TemporaryDirectory(prefix="avs-real-") as name:
        folder = Path(name)
        recipe, plan = folder / "real.toml", folder / "plan.csv"
        recipe.write_text(RECIPE)

        def build(program: list[str], workers: int, corpora: str = asked.corpora) -> list[str]:
            words = ["build", str(recipe), "--corpora", corpora, "--out", str(folder / "out")]
            return [*program, *words, "--workers", str(workers)]

        has_ledger = Path(asked.corpora, FOLDER).exists()
        plain = unfetched(asked.corpora, folder / "corpora") if has_ledger else ""
        timed(build(ours, 2))
        samples = plan_of(str(folder / "out"), plan)
        sides: dict[tuple[str, int], list[str]] = {}
        for workers in (1, 2):
            script = [sys.executable, str(_SCRIPT.resolve()), asked.corpora, str(plan), str(folder / "out")]
            sides["ours", workers] = build(ours, workers)
            if plain:
                sides["ours, not fetched", workers] = build(ours, workers, plain)
            if asked.beside:
                sides["ours, before", workers] = build([asked.beside], workers)
            sides["plain script", workers] = [*script, "--workers", str(workers)]
        seen: dict[tuple[str, int], list[Run]] = {side: [] for side in sides}
        for _ in range(asked.runs):
            for side, command in sides.items():
                subprocess.run(["rm", "-rf", str(folder / "out")], check=True)
                seen[side].append((*timed(command), span(folder / "out")))
    print(f"{samples} samples, medians of {asked.runs}, {platform.machine()}, {os.cpu_count()} cores")
    for (name, workers), runs in seen.items():
        wall, processor, memory, built = (statistics.median(column) for column in zip(*runs, strict=True))
        print(
            f"{name:18} {workers} workers: wall {wall:6.1f} s, processor {processor:6.1f} s, largest {memory:4.0f} MB"
            + (f", index to manifest {built:.1f} s" if built else "")
        )


if __name__ == "__main__":
    main()
