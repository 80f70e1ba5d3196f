#!/usr/bin/env python3
"""Every command killed where files get their names, and run again: the table of docs/robustness.md.

python tests/benchmarks/bench_kills.py [--kills 20] [COMMAND ...]
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import kills
import local_site
import test_fetch_run
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
        write_demo_corpora(corpora, images=40, clips=6, every=False)
        run.build(recipe.load("demo"), run.BuildOptions(corpora, dataset))
        print(
            "| command | places | kills | reruns equal | litter | refused |\n|---|---:|---:|---:|---:|---:|"
        )
        with local_site.start(test_fetch_run.write_site(folder / "site")) as address:
            for command in asked.commands or test_kills.COMMANDS:
                place = folder / command.replace(" ", "-")
                call = test_kills.call_of(command, dataset, corpora, address, place / "read")
                found = kills.killed(call, place / "runs", asked.kills)
                numbers = (found.places, found.kills, found.same, found.littered, found.refused)
                print(f"| {command} | {' | '.join(map(str, numbers))} |", flush=True)
                for wrong in found.wrong:
                    print(f"    {wrong}", file=sys.stderr, flush=True)
                shutil.rmtree(place)


if __name__ == "__main__":
    main()
