"""Which process did which stage of a build, and when: a build of two workers as a table of intervals.

    python tests/benchmarks/trace_build.py RECIPE CORPORA [--workers 2] [--least 0.1]

Seconds count from the start of the command. Tasks of one stage that follow each other in a process are one row.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_BEGAN, _FILE = "AVS_TRACE_BEGAN", "AVS_TRACE_FILE"


def traced(packed: bytes, *arguments: Any) -> Any:
    """A task in its process; tells when."""
    from pipelines.build import local_runner

    began = time.time()
    made = local_runner._timed(local_runner._unpacked(packed), *arguments)
    told(local_runner._unpacked(packed).name, began)
    return made


def told(what: str, began: float) -> None:
    with open(os.environ[_FILE], "a") as file:
        file.write(f"{os.getpid()}\t{what}\t{began}\t{time.time()}\n")


def build(recipe: str, corpora: str, out: str, workers: int) -> None:
    from pipelines.build import local_processes

    if workers > 1:
        local_processes.prepare()
    from pipelines.build import local_runner, run
    from pipelines.build.finish import Counts
    from pipelines.recipes import recipe as recipes

    told("start", float(os.environ[_BEGAN]))
    local_runner._run_packed = traced  # type: ignore[assignment]
    begins = {"index": time.time()}

    def read(masks: int, clips: int) -> None:
        told("index", begins["index"])
        begins["build"] = time.time()

    done: Counts | None = run.build(recipes.load(recipe), run.BuildOptions(corpora, out, workers), begun=read)
    assert done is None
    told("draw the graph, hand out tasks, end", begins["build"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe")
    parser.add_argument("corpora")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--least", type=float, default=0.1, help="seconds of a row")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="avs-trace-") as folder:
        os.environ[_FILE], os.environ[_BEGAN] = str(Path(folder, "trace")), str(time.time())
        import trace_build  # by its name, for the workers

        trace_build.build(asked.recipe, asked.corpora, str(Path(folder, "out")), asked.workers)
        rows = [line.split("\t") for line in Path(folder, "trace").read_text().splitlines()]
    zero = float(os.environ[_BEGAN])
    numbers: dict[str, str] = {str(os.getpid()): "command"}
    joined: list[list[Any]] = []  # process, stage, from, to
    last: dict[str, list[Any]] = {}
    for process, stage, began, ended in sorted(rows, key=lambda row: float(row[2])):
        name = numbers.setdefault(process, f"worker {len(numbers)}")
        if name in last and last[name][1] == stage:
            last[name][3] = float(ended) - zero
        else:
            last[name] = [name, stage, float(began) - zero, float(ended) - zero]
            joined.append(last[name])
    print("| process | stage | from s | to s |\n|---|---|---|---|")
    for name, stage, began, ended in joined:
        if ended - began >= asked.least:
            print(f"| {name} | {stage} | {began:.1f} | {ended:.1f} |")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
