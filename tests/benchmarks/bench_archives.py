"""Clips out of a tar.gz beside `tar -xzf` of the same file alone, and masks of a zip by range beside the whole zip.

Archives are generated: videos of 10 s with AAC sound and padding up to the size of VGGSound's (1.6 MB), and masks.
The runs of each side take turns, and medians are shown. `fetch` is timed in a process of its own, from the first
byte of the archive to its row; `tar` as a whole, to the same disk. The server of the ranges waits before each answer,
as one far away does, and its connection is as fast as the loopback.
"""

import argparse
import io
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import local_site
import media

from pipelines.fetch import options, zips
from pipelines.fetch.items import Item, Kind
from pipelines.fetch.ledger import Ledger
from pipelines.fetch.run import Fetch


def pack(path: Path, count: int, video_bytes: int) -> None:
    """A tar.gz of `count` videos, of which a few are really encoded and the others are those under other names."""
    sounds = [np.stack([media.sound(10.0, 44_100, seed)] * 2) for seed in range(4)]
    videos = [media.encoded(sound, 44_100, "aac", "mp4", video=True) for sound in sounds]
    with tarfile.open(path, "w:gz", compresslevel=6) as archive:
        for number in range(count):
            video = videos[number % len(videos)]
            padding = os.urandom(max(8, video_bytes - len(video)) - 8)
            content = (
                video + (len(padding) + 8).to_bytes(4, "big") + b"free" + padding
            )  # an MP4 box to pass over
            info = tarfile.TarInfo(f"scratch/video/{number:011d}_000030.mp4")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def take(archive: str, corpora: str, count: int, share: int, workers: int) -> None:
    """Fetch one in `share` of the clips; prints the seconds that it took, and the processor's."""
    items = [
        Item(f"vggsound:{n:011d}_000030", Kind.CLIP, "", f"vggsound/clips/{n:011d}_000030.flac")
        for n in range(0, count, share)
    ]
    with Ledger(corpora) as ledger:
        fetch = Fetch(corpora, options.parse({"media": {"vggsound": [archive]}}), ledger, workers=workers)
        began, used = time.perf_counter(), _processor_s()
        fetch.items(items)
        print(time.perf_counter() - began, _processor_s() - used, flush=True)
        assert all(ledger.latest()[item.name].ok for item in items)


def _processor_s() -> float:
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def tars(choice: argparse.Namespace, folder: Path) -> None:
    archive = folder / "videos.tar.gz"
    pack(archive, choice.clips, choice.video_bytes)
    size, sides = archive.stat().st_size / 1e6, {}
    for _ in range(choice.rounds):
        out = folder / "extracted"
        out.mkdir()
        began, used = time.perf_counter(), _processor_s()
        subprocess.run(["tar", "-xzf", str(archive), "-C", str(out)], check=True)
        told = time.perf_counter() - began, _processor_s() - used
        sides.setdefault(("tar -xzf", 1, choice.clips), []).append(told)
        shutil.rmtree(out)
        for share, workers in ((choice.clips, 1), (10, 1), (1, 1), (1, 2)):
            command = [sys.executable, __file__, "--take", str(archive), str(folder / "corpora")]
            command += [str(choice.clips), str(share), str(workers)]
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            taken = len(range(0, choice.clips, share))
            sides.setdefault(("fetch", workers, taken), []).append(tuple(map(float, told)))
            shutil.rmtree(folder / "corpora")
    base = statistics.median(wall for wall, _ in sides["tar -xzf", 1, choice.clips])
    print(
        f"| {choice.clips} videos, {size:.0f} MB | workers | clips taken | MB/s | of tar | clips/s | processor s |"
    )
    print("|---|---|---|---|---|---|---|")
    for (side, workers, taken), told in sides.items():
        each, used = (statistics.median(values) for values in zip(*told, strict=True))
        print(
            f"| {side} | {workers if side == 'fetch' else '-'} | {taken} | {size / each:.0f} | {base / each:.2f}x | "
            f"{taken / each:.0f} | {used:.1f} |",
            flush=True,
        )


def ranges(choice: argparse.Namespace, folder: Path) -> None:
    site = folder / "site"
    site.mkdir()
    mask = media.mask(0, 8)
    with zipfile.ZipFile(site / "masks-a.zip", "w") as archive:
        for number in range(choice.masks):
            archive.writestr(f"a{number:06d}.png", mask + os.urandom(3_300))
    size = (site / "masks-a.zip").stat().st_size
    rng = np.random.default_rng(0)
    print(
        f"\n| {choice.masks} masks, {size / 1e6:.0f} MB, {choice.latency_s * 1e3:.0f} ms an answer | "
        "MB read | requests | seconds | the whole zip, seconds |"
    )
    print("|---|---|---|---|---|")
    for share in (0.001, 0.01, 0.1, 1.0):
        chosen = np.sort(rng.permutation(choice.masks)[: max(1, round(share * choice.masks))])
        found: dict[bool, list[float]] = {False: [], True: []}
        read, asked = 0, 0
        for _ in range(choice.rounds):
            for whole in (False, True):
                with local_site.start(site, no_ranges=whole, latency_s=choice.latency_s) as address:
                    items = [
                        Item(f"open_images:a{n:06d}", Kind.MASK, f"{address}/masks-a.zip",
                             f"open_images/masks/a{n:06d}.png")
                        for n in chosen
                    ]  # fmt: skip
                    corpora = str(folder / "masks")
                    with Ledger(corpora) as ledger:
                        fetch = Fetch(corpora, options.parse({}), ledger)
                        began = time.perf_counter()
                        fetch.items(items)
                        found[whole].append(time.perf_counter() - began)
                        assert all(ledger.latest()[item.name].ok for item in items)
                    stats = local_site.stats(address)
                    if not whole:
                        read, asked = stats["bytes"]["/masks-a.zip"], stats["requests"]["/masks-a.zip"]
                shutil.rmtree(folder / "masks")
        by_range, at_once = (statistics.median(found[whole]) for whole in (False, True))
        print(
            f"| {len(chosen)} needed | {read / 1e6:.1f} | {asked} | {by_range:.2f} | {at_once:.2f} |",
            flush=True,
        )
    print(f"\nGAP is {zips.GAP >> 10} KiB, a request at most {zips.RUN >> 20} MiB.")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=300, help="videos in the archive")
    parser.add_argument("--video-bytes", type=int, default=1_600_000, help="size of each")
    parser.add_argument("--masks", type=int, default=20_000, help="masks in the zip")
    parser.add_argument("--latency-s", type=float, default=0.05, help="before each answer of the server")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side, in turns")
    parser.add_argument("--only", choices=["tars", "ranges"], help="one of the two")
    parser.add_argument("--take", nargs=5, help=argparse.SUPPRESS)
    choice = parser.parse_args()
    if choice.take:
        archive, corpora, *numbers = choice.take
        take(archive, corpora, *map(int, numbers))
        return
    with tempfile.TemporaryDirectory(prefix="bench-archives-") as folder:
        if choice.only != "ranges":
            tars(choice, Path(folder))
        if choice.only != "tars":
            ranges(choice, Path(folder))


if __name__ == "__main__":
    main()
