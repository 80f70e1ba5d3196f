"""Time and memory of `avs-data browse` on a table of many samples: start, first screen, filters, pages, thumbnails.

    python tests/benchmarks/bench_browse.py --samples 335000

The dataset is generated: one real shard of 500 photos and sounds under as many names as it takes, with tables that pass
every check of the reader. Records are those of the first shard only, so sample pages are timed there.
"""

import argparse
import dataclasses
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))

from generated_shards import write_dataset

from shards import format, manifest, new_dataset, storage
from shards.reader import Dataset

PER_SHARD = 500
CATEGORIES = [f"category_{number:03d}" for number in range(124)]


def write_many(root: Path, samples: int) -> str:
    """A dataset of (about) so many samples: hard links of one shard, and tables that say so."""
    small = write_dataset(
        root / "small", {"train": PER_SHARD}, size=320, samples_per_shard=PER_SHARD, clips=40
    )
    made = Dataset(small)
    rows, out = made.table().combine_chunks(), root / "many"
    (entry,) = made.manifest.shards
    number = -(-samples // PER_SHARD)
    rng = np.random.default_rng(0)
    shards, tables = [], []
    for place in range(number):
        split = "train" if place < number * 0.8 else "val" if place < number * 0.9 else "test"
        path = format.shard_path(split, place)
        (out / split).mkdir(parents=True, exist_ok=True)
        os.link(root / "small" / entry.path, out / path)
        shards.append(dataclasses.replace(entry, path=path, split=split))
        tables.append(rows if place == 0 else _renamed(rows, split, path, place, rng))
    (out / "pool").mkdir()
    for pooled in made.manifest.pool_shards:
        os.link(root / "small" / pooled.path, out / pooled.path)
    url = str(out)
    schemas = made.manifest.schemas
    told = {
        name: new_dataset.write_table(url, name, schemas[name], found)
        for name, found in (
            (format.SAMPLES, tables),
            (format.POOL_TABLE, [made.table(format.POOL_TABLE)]),
            (format.REJECTIONS, [made.table(format.REJECTIONS)]),
        )
    }
    counts: dict[str, manifest.SplitCounts] = {
        split: {"samples": sum(each.samples for each in shards if each.split == split), "categories": {}}
        for split in format.SPLITS
    }
    whole = dataclasses.replace(made.manifest, shards=tuple(shards), tables=told, counts=counts)
    storage.write_atomic(storage.join(url, format.MANIFEST), manifest.dump(whole))
    return url


def _renamed(rows: pa.Table, split: str, path: str, place: int, rng: np.random.Generator) -> pa.Table:
    """The rows of the shard as samples of other photos, clips and categories."""
    number = len(rows)
    keys = sorted(rng.bytes(10).hex() for _ in range(number))
    images = [f"lvis:{place * number + index}" for index in range(number)]
    categories = [CATEGORIES[each] for each in (rng.zipf(1.3, number) - 1) % len(CATEGORIES)]
    clips = [f"vggsound:{rng.bytes(6).hex()[:11]}_{each:06d}" for each in rng.integers(0, 300, number)]
    columns = {
        "key": keys,
        "split": [split] * number,
        "shard": [path] * number,
        "image_id": images,
        "component": [image.replace("lvis", "coco") for image in images],
        "category": categories,
        "sample_id": [f"{image}|{name}" for image, name in zip(images, categories, strict=True)],
        "clip_id": clips,
        "video_id": [clip[9:20] for clip in clips],
        "mask_ids": [[f"{image}_{place}"] for image in images],
        "area_fraction": np.exp(rng.uniform(-4.5, -0.3, number)),
        "duration_s": rng.uniform(1, 10, number),
        "image_licence": [
            ["cc-by-2.0", "cc-by-sa-2.0", "cc-by-nc-2.0"][each] for each in rng.integers(0, 3, number)
        ],
    }
    for name, values in columns.items():
        at = rows.schema.get_field_index(name)
        rows = rows.set_column(at, rows.schema.field(at), pa.array(values, rows.schema.field(at).type))
    return rows


def timed(address: str, path: str) -> tuple[float, str]:
    """Seconds of one request, and what it answered."""
    began = time.perf_counter()
    with urllib.request.urlopen(address + path) as answer:
        content = answer.read()
    return time.perf_counter() - began, content.decode("utf-8", "replace")


def cpu_s(pid: int) -> float:
    """What a process has worked: another measure than time where others work, too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(dataset: str) -> None:
    command = [sys.executable, "-c", "from pipelines.cli import main; main()", "browse", dataset]
    began = time.perf_counter()
    server = subprocess.Popen([*command, "--port", "0", "--no-token"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        assert found, "the server did not start"
        address = found[0].rstrip("/")
        print(f"| start until the address is printed | {time.perf_counter() - began:.2f} s |")
        print(f"| of which work of a processor | {cpu_s(server.pid):.2f} s |")
        seconds, page = timed(address, "/")
        pictures = re.findall(r'<img src="([^"]+)"', page)[:12]
        print(f"| first page | {seconds:.3f} s |")
        before = cpu_s(server.pid)
        timed(address, "/?order=length")
        print(f"| a page, work of a processor | {cpu_s(server.pid) - before:.2f} s |")
        began = time.perf_counter()
        with ThreadPoolExecutor(6) as browser:  # as many as a browser asks for at once
            list(browser.map(lambda path: timed(address, path), pictures))
        print(f"| its first 12 photos, masks drawn, nothing kept yet | {time.perf_counter() - began:.2f} s |")
        key = re.findall(r"/sample/([0-9a-f]{20})", page)[0]
        for told, path in (
            ("a filter", "/?split=train&photo_licence=cc-by-2.0"),
            ("a range, largest mask first", "/?area_min=5&area_max=20&order=-area"),
            ("a page in the middle", "/?start=150000"),
            ("search for a clip", "/?q=vggsound:none_000000"),
            ("a sample, with the pool read", f"/sample/{key}"),
            ("another sample", f"/sample/{key}?order=area"),
        ):
            print(f"| {told} | {timed(address, path)[0]:.3f} s |")
        status = Path(f"/proc/{server.pid}/status").read_text()
        for name, told in (("VmRSS", "memory now"), ("VmHWM", "memory at most")):
            kib = re.search(rf"{name}:\s+(\d+)", status)
            assert kib
            print(f"| {told} | {int(kib[1]) / 1024:,.0f} MiB |")
    finally:
        server.kill()
        server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=335_000)
    parser.add_argument("--dataset", help="one that is there, instead of a generated one")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dataset = args.dataset or write_many(Path(folder), args.samples)
        print(f"| {Dataset(dataset).manifest.tables[format.SAMPLES].rows:,} samples | |\n|---|---|")
        measure(dataset)


if __name__ == "__main__":
    main()
