"""A build on a Dask cluster that loses something, beside the build that nothing disturbs: the table of docs/cluster.md.

    python tests/benchmarks/bench_losses.py [--photos 300] [WORD ...]

Each row is played once, by tests/dask_losses.py, with real processes; hosts are network namespaces, which need root,
and S3 is the server of the tests. The sha256 is that of the sorted list of those of all files. WORD: rows that have it.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from dask_losses import LOSSES, Place, digest
from test_engines import install

from pipelines.build.run import BuildOptions, build
from pipelines.demo import write_demo_corpora
from pipelines.recipes import recipe


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("words", nargs="*")
    asked = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="avs-losses-"))
    try:
        corpora = str(root / "corpora")
        write_demo_corpora(corpora, images=asked.photos, clips=12, every=False)
        build(recipe.load("demo"), BuildOptions(corpora, str(root / "here")))
        expected = digest(str(root / "here"))
        print(f"undisturbed, in one process: sha256 {expected}\n")
        print("| what is lost | exit code | of the rerun | sha256 of all files | s | load | what it said |")
        print("|---|---|---|---|---|---|---|")
        python = install(root / "installed")
        for number, (what, (play, _)) in enumerate(LOSSES.items()):
            if not asked.words or any(word in what for word in asked.words):
                began = time.monotonic()
                ending = play(Place(corpora, root / str(number), python))
                same = "the same" if ending.digest == expected else "OTHER"
                again = "-" if ending.again is None else ending.again
                print(
                    f"| {what} | {ending.code} | {again} | {ending.digest[:12]}, {same} | "
                    f"{time.monotonic() - began:.0f} | {os.getloadavg()[0]:.0f} | {ending.line} |",
                    flush=True,
                )
                shutil.rmtree(root / str(number))
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
