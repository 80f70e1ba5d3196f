"""Builds of 5,000, 50,000 and 500,000 samples: time should grow in line with them, the memory of no process at all.

    python tests/benchmarks/bench_growth.py [--samples 5000,50000,500000] [--workers 2] [--cluster] [--work FOLDER]

Photos of 64 x 48 pixels with two masks each and tones of a second, one for four samples: hard links under new ids, so
that what is counted is what the build does beside decoding. Processor seconds are those of the whole command, start
included; memory is the largest resident set of the command and of its largest worker. With --cluster the workers are
Dask's, started before.
"""

import argparse
import io
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import soundfile
from bench_cluster import processor_s
from dask_cluster import Cluster
from grown import high_water_mb, processes
from PIL import Image

from pipelines.demo.vocabulary import categories, sounding
from shards.manifest import load

_MEDIA = 50  # distinct photos and clips
_WIDTH, _HEIGHT = 64, 48
_BLOCKS = ((2, 2, 30, 44), (34, 4, 60, 40))  # left, top, right, bottom of the two masks
_RECIPE = 'name = "growth"\n[select]\nmin_side_px = 16\n[split]\ntrain = 70\nval = 15\ntest = 15\n'


def write(out: Path, samples: int) -> None:
    """Corpora lvis/ and vggsound/ from which so many samples come."""
    names = sounding()
    photos, clips = out / "lvis" / "images" / "train2017", out / "vggsound" / "clips"
    photos.mkdir(parents=True)
    clips.mkdir(parents=True)
    for number in range(_MEDIA):
        (out / f"{number}.jpg").write_bytes(_photo(number))
        soundfile.write(out / f"{number}.wav", _tone(number), 16_000)
    boxes = [[x, y, x, b, r, b, r, y] for x, y, r, b in _BLOCKS]
    images, masks = [], []
    for number in range(1, 1 + samples // 2):
        name = f"{number:012d}.jpg"
        os.link(out / f"{number % _MEDIA}.jpg", photos / name)
        images.append(
            {
                "id": number,
                "width": _WIDTH,
                "height": _HEIGHT,
                "license": 1,
                "coco_url": f"http://images.cocodataset.org/train2017/{name}",
                "flickr_url": f"http://farm9.staticflickr.com/8000/{number}_{number:010x}_z.jpg",
                "neg_category_ids": [],
                "not_exhaustive_category_ids": [],
            }
        )
        for k, (left, top, right, bottom) in enumerate(_BLOCKS):
            category = categories()[names[(number + k) % len(names)]]
            masks.append(
                {
                    "id": 2 * number + k,
                    "image_id": number,
                    "category_id": category.lvis_id,
                    "segmentation": [boxes[k]],
                    "area": (right - left) * (bottom - top),
                    "bbox": [left, top, right - left, bottom - top],
                }
            )
    licence = {"id": 1, "name": "", "url": "http://creativecommons.org/licenses/by/2.0/"}
    vocabulary = [
        {"id": one.lvis_id, "name": one.lvis_name, "synset": one.lvis_synset} for one in categories().values()
    ]
    record = {"images": images, "annotations": masks, "categories": vocabulary, "licenses": [licence]}
    (out / "lvis" / "lvis_v1_train.json").write_text(json.dumps(record))
    with (out / "vggsound" / "vggsound.csv").open("w") as file:
        for number in range(samples // 4):
            video, label = f"{number:011d}", categories()[names[number % len(names)]].vggsound_labels[0]
            os.link(out / f"{number % _MEDIA}.wav", clips / f"{video}_000000.wav")
            file.write(f'{video},0,"{label}",{"test" if number // len(names) % 4 == 0 else "train"}\n')


def _photo(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (_HEIGHT // 16, _WIDTH // 16, 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).resize((_WIDTH, _HEIGHT)).save(content, "jpeg")
    return content.getvalue()


def _tone(number: int) -> np.ndarray:
    """Mono, float64, 1.25 s at 16 kHz."""
    return 0.5 * np.sin(2 * np.pi * (200 + 20 * number) * np.arange(20_000) / 16_000)


def build(recipe: Path, corpora: Path, out: Path, workers: int, cluster: Cluster | None) -> str:
    """One build; a row of the table."""
    words = [sys.executable, "-c", "from pipelines.cli import main; main()"]
    words += ["build", str(recipe), "--corpora", str(corpora), "--out", str(out)]
    words += ["--scheduler", cluster.address] if cluster else ["--workers", str(workers)]
    servers = [one.pid for one in cluster.workers] if cluster else []
    before = sum(map(processor_s, servers))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    began, peaks = time.monotonic(), {}
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen(words, stdout=said, stderr=said)
        while child.poll() is None:
            for process in {one for root in (child.pid, *servers) for one in processes(root)}:
                peaks[process] = max(peaks.get(process, 0), high_water_mb(process))
            time.sleep(0.5)
        if child.returncode:
            said.seek(0)
            raise SystemExit(said.read()[-3000:])
    wall = time.monotonic() - began
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = ended.ru_utime + ended.ru_stime - used.ru_utime - used.ru_stime
    spent += sum(map(processor_s, servers)) - before
    made = sum(count["samples"] for count in load(str(out)).counts.values())
    command = peaks.pop(child.pid)
    largest = max(peaks.values(), default=0)
    load_1 = os.getloadavg()[0]
    return (
        f"| {made:,} | {wall:.1f} | {spent:.1f} | {1000 * spent / made:.2f} | {command:.0f} | {largest:.0f} "
        f"| {load_1:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", default="5000,50000,500000")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cluster", action="store_true", help="as many of Dask's workers")
    parser.add_argument("--work", type=Path, help="where corpora and datasets are made, and taken away again")
    asked = parser.parse_args()
    kind = "Dask workers" if asked.cluster else "workers"
    print(f"{asked.workers} {kind}; {platform.machine()}, {os.cpu_count()} cores\n")
    print("| samples | wall s | processor s | ms a sample | the command MB | largest worker MB | load |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="avs-growth-", dir=asked.work) as name:
        folder = Path(name)
        (folder / "growth.toml").write_text(_RECIPE)
        for samples in map(int, asked.samples.split(",")):
            corpora, out, cluster = folder / "corpora", folder / "out", None
            write(corpora, samples)
            if asked.cluster:
                cluster = Cluster(folder / f"dask-{samples}", asked.workers)
                cluster.start()
            try:
                print(build(folder / "growth.toml", corpora, out, asked.workers, cluster), flush=True)
            finally:
                if cluster:
                    cluster.kill()
            shutil.rmtree(corpora)
            shutil.rmtree(out)


if __name__ == "__main__":
    main()
