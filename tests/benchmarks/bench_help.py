"""How long `--help` of every command takes.

    python tests/benchmarks/bench_help.py

Prints processor seconds of the whole process, the least of some runs: on a quiet machine one waits as long.
"""

import argparse
import resource
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from test_documentation import COMMANDS

PROGRAMS = {"avs-data": "pipelines.cli", "avs-train": "avs_train.cli"}


def once(path: str) -> float:
    """Processor seconds of one `--help`."""
    program, *words = path.split()
    code = f"from {PROGRAMS[program]} import main; main({[*words, '--help']!r})"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    groups = {path.rpartition(" ")[0] for path in COMMANDS}
    seen = defaultdict(dict)
    for path in sorted({*COMMANDS, *groups}):
        group = path if path in groups else path.rpartition(" ")[0]
        seen[group][path] = min(once(path) for _ in range(runs))
    print("| `--help` of | processor s, at most | most: |\n|---|---|---|")
    for group, found in seen.items():
        alone = found.pop(group)
        slowest = max(found, key=lambda path: found[path])
        print(f"| `{group}` | {alone:.2f} | |")
        print(f"| its {len(found)} commands | {found[slowest]:.2f} | `{slowest}` |")


if __name__ == "__main__":
    main()
