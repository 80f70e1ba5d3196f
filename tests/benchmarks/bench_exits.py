#!/usr/bin/env python3
"""Processes that read what Arrow may leave to its threads, and end: how many abort. For docs/robustness.md.

python tests/benchmarks/bench_exits.py [--runs 2000] [--taken-apart] [--arrow-threads] [--busy 0]

Each is a process that is forked when everything is imported and nothing was used yet.
"""

import argparse
import multiprocessing
import os
import shutil
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import media
import pandas  # noqa: F401, which Arrow imports
import pyarrow.parquet as pq
import test_program
from generated_shards import write_dataset

from pipelines.cli import main as avs_data
from pipelines.commands import diff, explain, verify  # noqa: F401
from pipelines.corpora import csv_stream
from pipelines.publish import changelog  # noqa: F401
from shards import guard, program, tables
from shards.sound import decoder


def kinds(folder: str) -> dict[str, Callable[[], object]]:
    data = f"{folder}/data"

    def read_last() -> object:
        with open(f"{data}/samples.parquet", "rb") as file:
            return tables.parquet(file).read_row_group(0, use_threads=False)

    return {
        "a table is read, and nothing else": read_last,
        "the end of a build: its rejections are read": partial(guard.report, data),
        "diff": partial(avs_data, ["diff", data, data], standalone_mode=False),
        "verify": partial(avs_data, ["verify", data], standalone_mode=False),
        "a sound is decoded": lambda: len(decoder.decode(f"{folder}/clip.webm", duration_s=1.0)),
        "CSV, stopped in the middle": lambda: next(
            csv_stream.read(f"{folder}/rows.csv", "rows.csv", ["a", "b"])
        ),
        "a thread of Arrow is at work": test_program.leave_reading,
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=2000, help="of each kind")
    options.add_argument("--taken-apart", action="store_true", help="end as an interpreter does")
    options.add_argument("--arrow-threads", action="store_true", help="read tables by Arrow's I/O threads")
    options.add_argument("--busy", type=int, default=0, help="processes that only take time, beside")
    options.add_argument("--only", default="", help="kinds with these words in their names")
    asked = options.parse_args()
    folder = tempfile.mkdtemp(
        prefix="avs-exits-"
    )  # removed below: each process that ends would remove another
    if (child := os.fork()) == 0:  # Arrow and av are used in processes of their own alone
        write_dataset(Path(folder, "data"), {"train": 4, "val": 2, "test": 2}, size=64)
        media.record(Path(folder, "clip.webm"), media.sound(2.0, 48_000), 48_000, "libopus")
        Path(folder, "rows.csv").write_text("a,b\n" + "1,2\n" * 4_000_000)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    if asked.arrow_threads:
        real = pq.ParquetFile
        pq.ParquetFile = lambda *given, **named: real(*given, **{**named, "pre_buffer": True})
    beside = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(asked.busy)]
    for each in beside:
        each.start()
    said = Path(folder, "said")
    print("| what ends | runs | aborts | other ends |\n|---|---:|---:|---:|")
    for name, work in kinds(folder).items():
        if asked.only not in name:
            continue
        ends: Counter[int] = Counter()
        for _ in range(asked.runs):
            if (child := os.fork()) == 0:
                os.dup2(os.open(said, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), 2)
                os.dup2(2, 1)
                if not asked.taken_apart:
                    program.run(work)
                work()
                sys.exit()
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            ends[code] += 1
            if code not in (0, -6):
                print(code, said.read_text()[-300:], file=sys.stderr)
        others = asked.runs - ends[0] - ends[-6]
        print(f"| {name} | {asked.runs:,} | {ends[-6]} | {others} |", flush=True)
    for each in beside:
        each.kill()
    shutil.rmtree(folder)


def _spin() -> None:
    while threading.main_thread().is_alive():
        pass


if __name__ == "__main__":
    main()
