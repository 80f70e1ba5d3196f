"""Shards from ready media: this project's writer beside webdataset's ShardWriter, over the same files in the same run.

    python tests/benchmarks/bench_shards.py [--samples 3000] [--runs 3]

Each way reads four files a sample (100 KB JPEG, 200 KB FLAC, mask PNG, JSON) and writes shards of 500. Times
are medians; memory is the peak resident size of the process that writes, its imports included.
"""

import argparse
import json
import multiprocessing
import os
import platform
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

EXTENSIONS = {"flac": 200_000, "jpg": 100_000, "json": 900, "mask.png": 4_000}
PER_SHARD = 500
KNOWN = "0" * 64


def make_media(folder: Path, samples: int) -> list[str]:
    keys = sorted(os.urandom(10).hex() for _ in range(samples))
    for key in keys:
        for extension, size in EXTENSIONS.items():
            content = (
                json.dumps({"key": key, "text": "x" * size}).encode()
                if extension == "json"
                else os.urandom(size)
            )
            (folder / f"{key}.{extension}").write_bytes(content)
    return keys


def _samples(folder: Path, keys: list[str]) -> Iterator[tuple[str, dict[str, bytes]]]:
    for key in keys:
        yield key, {extension: (folder / f"{key}.{extension}").read_bytes() for extension in EXTENSIONS}


def ours(folder: Path, keys: list[str], out: Path) -> None:
    from shards.writer import Content, write_shard

    def contents() -> Iterator[tuple[str, dict[str, Content]]]:
        for key, members in _samples(folder, keys):
            known = {"flac": Content(members["flac"], KNOWN)}  # a clip's hash comes with it from the pool
            yield (
                key,
                {extension: known.get(extension) or Content.of(data) for extension, data in members.items()},
            )

    write_shard(str(out), contents())


def theirs(folder: Path, keys: list[str], out: Path) -> None:
    from webdataset import TarWriter

    with TarWriter(str(out), mtime=0) as writer:
        for key, contents in _samples(folder, keys):
            writer.write({"__key__": key, **contents})


def _worker(write, folder: Path, batches: list[tuple[list[str], Path]], ready, go, out) -> None:
    write(folder, batches[0][0][:1], batches[0][1].with_suffix(".warm"))  # imports and first use
    ready.release()
    go.wait()
    start = time.perf_counter()
    for keys, path in batches:
        write(folder, keys, path)
    out.put((time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def measure(write, folder: Path, keys: list[str], workers: int) -> tuple[float, float]:
    """Samples a second with so many processes, and the largest peak memory of one, in MB."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=folder.parent) as target:
        cuts = [keys[start : start + PER_SHARD] for start in range(0, len(keys), PER_SHARD)]
        batches = [(cut, Path(target) / f"{number:06d}.tar") for number, cut in enumerate(cuts)]
        ready, go, out = context.Semaphore(0), context.Event(), context.Queue()
        processes = [
            context.Process(target=_worker, args=(write, folder, batches[worker::workers], ready, go, out))
            for worker in range(workers)
        ]
        for process in processes:
            process.start()
        for _ in processes:
            ready.acquire()
        go.set()
        results = [out.get() for _ in processes]
        for process in processes:
            process.join()
    return len(keys) / max(seconds for seconds, _ in results), max(memory for _, memory in results)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=3000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    root = Path(tempfile.mkdtemp())
    try:
        (root / "media").mkdir()
        keys = make_media(root / "media", arguments.samples)
        ways = {
            "webdataset, mtime=0, 1 worker": (theirs, 1),
            "ours, 1 worker": (ours, 1),
            "ours, 2 workers": (ours, 2),
        }
        rates: dict[str, list[float]] = {name: [] for name in ways}
        peaks: dict[str, float] = {}
        for _ in range(arguments.runs):
            for name, (write, workers) in ways.items():
                rate, peaks[name] = measure(write, root / "media", keys, workers)
                rates[name].append(rate)
        base = statistics.median(rates["webdataset, mtime=0, 1 worker"])
        print(
            f"{arguments.samples} samples, medians of {arguments.runs}; {platform.machine()}, {os.cpu_count()} cores\n"
        )
        print("| writer | samples/s | ratio | peak memory, MB |\n|---|---|---|---|")
        for name, found in rates.items():
            rate = statistics.median(found)
            print(f"| {name} | {rate:.0f} | {rate / base:.2f} | {peaks[name]:.0f} |")
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
