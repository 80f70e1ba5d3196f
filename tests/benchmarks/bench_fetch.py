"""Photos a second and photos lost, beside img2dataset, from a local site on this machine.

The site serves real photos over HTTP on the loopback. Both sides get the same addresses. Rates are counted by the site,
from its first request to its last answer, so nobody's start counts; processor time is without what a run of two
photos takes, the median of as many. Keep all in memory (TMPDIR=/dev/shm): an ext4 that has just removed thousands of
files looks a millisecond for the place of each new one. On the failing site 10 % of the photos answer 503
once, 10 % are cut once, 2 % stall once, 1 % answer 429 with Retry-After once and 1 % are gone for good.

img2dataset lives in an environment of its own (`pip install img2dataset==1.47`):

    python tests/benchmarks/bench_fetch.py --photos FOLDER --img2dataset ENVIRONMENT/bin/img2dataset
"""

import argparse
import io
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1]))
import local_site

from pipelines.fetch import options
from pipelines.fetch.items import Item, Kind, to_table
from pipelines.fetch.ledger import FOLDER, Ledger
from pipelines.fetch.run import ITEMS, Fetch
from shards import storage

FAULTS = {"once_503": 0.10, "once_truncated": 0.10, "stall": 0.02, "retry_after": 0.01, "gone": 0.01}
STALL_S = 12.0


@dataclass(frozen=True)
class Result:
    rate: float  # photos a second
    cpu_s: float  # of the program and its processes, start included
    lost: int  # photos that the site has and the run has not


def ours(folder: str, addresses: list[str], decode: bool, threads: int, workers: int = 1) -> set[str]:
    """Fetch into `folder` in a process of its own; the addresses that succeeded."""
    command = [sys.executable, __file__, f"--ours={folder}", f"--threads={threads}", f"--workers={workers}"]
    subprocess.run(
        [*command, *(["--decode"] if decode else [])], input="\n".join(addresses), text=True, check=True
    )
    with Ledger(folder) as ledger:
        ok = {name for name, row in ledger.latest().items() if row.ok}
    return {address for number, address in enumerate(addresses) if f"lvis:{number}" in ok}


def work(folder: str, addresses: list[str], decode: bool, threads: int, workers: int) -> None:
    items = [
        Item(f"lvis:{n}", Kind.PHOTO, url, f"photos/{n:06d}.jpg", ("photo",))
        for n, url in enumerate(addresses)
    ]
    settings = options.parse(
        {"stall_s": 3.0, "photos": {"decode": decode}, "hosts": {"default": {"concurrency": threads}}}
    )
    table = io.BytesIO()
    pq.write_table(to_table(items), table)
    storage.write_atomic(storage.join(folder, FOLDER, ITEMS), table.getvalue())
    with Ledger(folder) as ledger:
        Fetch(folder, settings, ledger, workers=workers).items(items)


def peer(program: str, folder: str, addresses: list[str], *more: str) -> set[str]:
    """Run img2dataset into `folder`; the addresses that succeeded."""
    listed = f"{folder}.txt"
    Path(listed).write_text("\n".join(addresses))
    command = [
        program,
        f"--url_list={listed}",
        f"--output_folder={folder}",
        "--output_format=files",
        "--processes_count=2",
        "--thread_count=32",
        f"--number_sample_per_shard={-(-len(addresses) // 2)}",  # one for each process, its fastest
        "--timeout=3",
        "--enable_wandb=False",
        *more,
    ]
    environment = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    tables = [
        pq.read_table(path, columns=["url", "status"]) for path in sorted(Path(folder).glob("*.parquet"))
    ]
    rows = [row for table in tables for row in table.to_pylist()]
    return {row["url"] for row in rows if row["status"] == "success"}


def measure(
    side: str, program: str, photos: Path, count: int, rates: dict[str, float], keep: str | None
) -> Result:
    names = sorted(str(path.relative_to(photos)) for path in photos.rglob("*.jpg"))
    with (
        tempfile.TemporaryDirectory(prefix="bench-fetch-") as scratch,
        local_site.start(photos, rates=rates, stall_s=STALL_S) as site,
    ):
        addresses = [f"{site}/@{n}/{names[n % len(names)]}" for n in range(count)]
        folder = str(Path(scratch) / "out")
        before = _cpu_s()
        plain = ("--resize_mode=no", "--disable_all_reencoding=True")
        if side.startswith("fetch"):
            workers = 1 if side.endswith("one process") else 2
            done = ours(folder, addresses, decode="decoded" in side, threads=32, workers=workers)
        elif side == "img2dataset":
            done = peer(program, folder, addresses, *plain)
        elif side == "img2dataset, retries 2":
            done = peer(program, folder, addresses, *plain, "--retries=2")
        else:
            done = peer(program, folder, addresses, "--image_size=512", "--resize_mode=keep_ratio")
        cpu_s = _cpu_s() - before
        busy_s = local_site.stats(site)["busy_s"]
        there = {url for url in addresses if local_site.fault_of(url.removeprefix(site), rates, 0) != "gone"}
        if keep and side.startswith("fetch"):
            shutil.copytree(Path(folder) / FOLDER, Path(keep) / FOLDER, dirs_exist_ok=True)
    return Result(len(done) / busy_s, cpu_s, len(there - done))


def _cpu_s() -> float:
    """Processor seconds of the processes that ended so far, and of theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


LABELS = {
    "fetch, one process": "avs-data fetch, header, length and end marker checked, 1 x 32",
    "fetch": "the same, --workers 2",
    "fetch, decoded, one process": "avs-data fetch, decoded and hashed (the default), 1 x 32",
    "fetch, decoded": "the same, --workers 2",
    "img2dataset": "img2dataset, no re-encoding, 2 x 32",
    "img2dataset, retries 2": "img2dataset, no re-encoding, --retries 2",
    "img2dataset, resized": "img2dataset, decoded and resized to 512",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(__file__).parents[2].parent / "shared" / "data" / "mini" / "lvis" / "images"
    parser.add_argument("--photos", type=Path, default=default, help="folder of JPEG files, searched deep")
    parser.add_argument("--img2dataset", help="the peer's program; left out: avs-data alone")
    parser.add_argument("--count", type=int, default=3000, help="photos on the sound site")
    parser.add_argument("--faulty-count", type=int, default=1000, help="photos on the failing site")
    parser.add_argument(
        "--rounds", type=int, default=3, help="runs of each side, in turns; medians are shown"
    )
    parser.add_argument("--keep-ledger", metavar="DIR", help="copy the last failing run's ledger here")
    parser.add_argument("--ours", help=argparse.SUPPRESS)
    parser.add_argument("--decode", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=32, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=1, help=argparse.SUPPRESS)
    choice = parser.parse_args()
    if choice.ours:
        work(choice.ours, sys.stdin.read().split(), choice.decode, choice.threads, choice.workers)
        return
    peers = ["img2dataset", "img2dataset, resized"] if choice.img2dataset else []
    faulty_peers = ["img2dataset", "img2dataset, retries 2"] if choice.img2dataset else []
    title = f"sound site, {choice.count} photos, median of {choice.rounds}"
    print(f"| {title} | photos/s | against img2dataset | CPU ms a photo |")
    print("|---|---|---|---|")
    sides = [side for side in LABELS if side.startswith("fetch")] + peers
    sound, starts = rounds(choice, sides, choice.count, {}), rounds(choice, sides, 2, {})
    base = statistics.median(one.rate for one in sound.get("img2dataset", [])) if peers else float("nan")
    for side, results in sound.items():
        rate = statistics.median(one.rate for one in results)
        cpu_s, start_s = (statistics.median(one.cpu_s for one in of[side]) for of in (sound, starts))
        cpu_ms = (cpu_s - start_s) / choice.count * 1000
        print(f"| {LABELS[side]} | {rate:,.0f} | {rate / base:.2f}x | {cpu_ms:.2f} |")
    print(
        f"\n| failing site, {choice.faulty_count} photos | lost though there, worst run | share | photos/s |"
    )
    print("|---|---|---|---|")
    faulty = rounds(choice, ["fetch", *faulty_peers], choice.faulty_count, FAULTS)
    for side, results in faulty.items():
        lost = max(one.lost for one in results)
        rate = statistics.median(one.rate for one in results)
        print(f"| {LABELS[side]} | {lost} | {lost / choice.faulty_count:.1%} | {rate:,.0f} |")
    print(
        json.dumps({"rounds": {side: [one.rate for one in results] for side, results in sound.items()}}),
        file=sys.stderr,
    )


def rounds(
    choice: argparse.Namespace, sides: list[str], count: int, rates: dict[str, float]
) -> dict[str, list[Result]]:
    """Each side in turn, round by round, so that a busy moment of the machine meets all of them."""
    found: dict[str, list[Result]] = {side: [] for side in sides}
    for _ in range(choice.rounds):
        for side in sides:
            keep = choice.keep_ledger if rates else None
            found[side].append(measure(side, choice.img2dataset, choice.photos, count, rates, keep))
    return found


if __name__ == "__main__":
    main()
