#!/usr/bin/env python3
"""Commands that read tables, and one that decodes a sound, run and exit: how many abort. For docs/robustness.md.

python tests/benchmarks/bench_exits.py [--runs 2000] [--arrow-threads]

Each is a process that is forked when everything is imported and nothing was used yet, and ends as an interpreter does.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import media
import pandas  # noqa: F401, which Arrow imports
import pyarrow.parquet as pq
from generated_shards import write_dataset

from pipelines.cli import main as avs_data
from pipelines.commands import diff, explain, verify  # noqa: F401
from pipelines.publish import changelog  # noqa: F401
from shards.sound import decoder


def work(number: int, folder: str, arrow_threads: bool) -> None:
    data = f"{folder}/data"
    if arrow_threads:  # as tables were read before
        pq.ParquetFile(open(f"{data}/samples.parquet", "rb")).read(use_threads=True)  # noqa: SIM115
    elif number % 3 == 0:
        assert len(decoder.decode(f"{folder}/clip.webm", duration_s=1.0))
        avs_data(["diff", data, data], standalone_mode=False)
    else:
        avs_data([("diff", data, data), ("verify", data)][number % 3 - 1], standalone_mode=False)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=2000)
    options.add_argument("--arrow-threads", action="store_true", help="read tables as before the fix")
    asked = options.parse_args()
    ends: Counter[tuple[int, str]] = Counter()
    folder = tempfile.mkdtemp(
        prefix="avs-exits-"
    )  # removed below: what ends with a process would end with each
    if (child := os.fork()) == 0:  # Arrow and av are used in processes of their own alone
        write_dataset(Path(folder, "data"), {"train": 4, "val": 2, "test": 2}, size=64)
        media.record(Path(folder, "clip.webm"), media.sound(2.0, 48_000), 48_000, "libopus")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    said = Path(folder, "said")
    for number in range(1, asked.runs + 1):
        if (child := os.fork()) == 0:
            os.dup2(os.open(said, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), 2)
            os.dup2(2, 1)
            work(number, folder, asked.arrow_threads)
            sys.exit()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        ends[code, said.read_text()[-200:] if code else ""] += 1
        if number % 100 == 0 or number == asked.runs:
            print(number, dict(ends), flush=True)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
