"""Generated corpora, each photo listed many times under ids of its own, and what a build of them takes.

Copies are hard links, so the disk holds a photo once. Memory is the largest resident set that the kernel saw of a
process (Linux).
"""

import json
import os
import re
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from shards.manifest import load


def grow(base: Path, target: Path, times: int) -> None:
    """Corpora with every LVIS photo of `base` listed `times` times."""
    shutil.copytree(base, target, copy_function=os.link)
    for path in (target / "lvis").glob("*.json"):
        record = json.loads(path.read_text())
        images, annotations = record["images"], record["annotations"]
        record["images"], record["annotations"] = [], []
        for copy in range(times):
            shift = copy * 1_000_000
            for image in images:
                folder, name = image["coco_url"].split("/")[-2:]
                new = f"{image['id'] + shift:012d}.jpg"
                source = base / "lvis" / "images" / folder / name
                if copy and source.exists():
                    os.link(source, target / "lvis" / "images" / folder / new)
                url = f"http://images.cocodataset.org/{folder}/{new}"
                flickr = image["flickr_url"].replace("/1/", f"/1/{copy}")
                record["images"].append(
                    {**image, "id": image["id"] + shift, "coco_url": url, "flickr_url": flickr}
                )
            for one in annotations:
                ids = {"id": one["id"] + 10 * shift, "image_id": one["image_id"] + shift}
                record["annotations"].append({**one, **ids})
        path.unlink()
        path.write_text(json.dumps(record))


def processes(root: int) -> list[int]:
    """A process and all its descendants."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found = [root]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def high_water_mb(process: int) -> float:
    """The largest resident set of a process so far; 0 where it has ended."""
    with suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
        return int(found[1]) / 1024 if found else 0
    return 0


def build(corpora: Path, out: Path, workers: int) -> tuple[float, float, int]:
    """Seconds, peak MB of the largest process, and samples of one build."""
    shutil.rmtree(out, ignore_errors=True)
    command = ["avs-data", "build", "demo", "--corpora", corpora, "--out", out, "--workers", str(workers)]
    start, peaks = time.perf_counter(), {}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
        while child.poll() is None:
            for process in processes(child.pid):
                peaks[process] = max(peaks.get(process, 0), high_water_mb(process))
            time.sleep(0.1)
        if child.returncode:
            raise SystemExit(child.stderr.read().decode())
    seconds = time.perf_counter() - start
    return seconds, max(peaks.values()), sum(count["samples"] for count in load(str(out)).counts.values())
