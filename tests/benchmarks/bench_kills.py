#!/usr/bin/env python3
"""Every command killed where files get their names, and run again: the table of docs/robustness.md.

python tests/benchmarks/bench_kills.py [--kills 20] [COMMAND ...]
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import test_kills


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("commands", nargs="*")
    asked = options.parse_args()
    from pipelines.build import run
    from pipelines.demo import write_demo_corpora
    from pipelines.recipes import recipe

    with tempfile.TemporaryDirectory(prefix="avs-kills-") as name:
        folder = Path(name)
        corpora, dataset = str(folder / "corpora"), str(folder / "dataset" / "demo")
        write_demo_corpora(corpora, images=40, clips=6)
        run.build(recipe.load("demo"), run.BuildOptions(corpora, dataset))
        (folder / "read").mkdir()
        calls = test_kills.calls_of(dataset, corpora, folder / "read")
        calls |= test_kills.further_calls(folder / "further")
        print("| command | kills | reruns equal | litter | refused |\n|---|---:|---:|---:|---:|")
        for command in asked.commands or calls:
            found = test_kills.killed(calls[command], folder / command.replace(" ", "-"), asked.kills)
            print(
                f"| {command} | {found.kills} | {found.same} | {found.littered} | {found.refused} |",
                flush=True,
            )
            for wrong in found.wrong:
                print(f"    {wrong}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
