"""Corpora of real media in any size: the photos, masks and clips of `shared/data/mini`, each hard-linked under new ids.

    python tests/benchmarks/real_corpora.py OUT --copies 20

Annotations are written anew, as if every copy were another photo or recording. About 240 samples and 170 clips a copy.
"""

import argparse
import csv
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from real_data import MINI

_LVIS_IDS = 1_000_000  # more than any photo and annotation of LVIS has


def write(out: Path, copies: int) -> None:
    """Write lvis/, open_images/ and vggsound/ of so many copies under `out`.

    Raises:
        FileExistsError: it has a corpus already.
    """
    _lvis(out / "lvis", copies)
    _open_images(out / "open_images", copies)
    _vggsound(out / "vggsound", copies)


def _lvis(out: Path, copies: int) -> None:
    (source,) = (MINI / "lvis").glob("*.json")
    read = json.loads(source.read_text())
    written: dict[str, Any] = {**read, "images": [], "annotations": []}
    for copy in range(copies):
        for image in read["images"]:
            number = image["id"] + copy * _LVIS_IDS
            folder, name = image["coco_url"].rsplit("/", 2)[-2:]
            new = f"{number:012d}.jpg"
            _link(MINI / "lvis" / "images" / folder / name, out / "images" / folder / new)
            written["images"].append(
                {**image, "id": number, "coco_url": image["coco_url"].replace(name, new)}
            )
        for mask in read["annotations"]:
            moved = {name: mask[name] + copy * _LVIS_IDS for name in ("id", "image_id")}
            written["annotations"].append({**mask, **moved})
    (out / source.name).write_text(json.dumps(written))


def _open_images(out: Path, copies: int) -> None:
    source = MINI / "open_images"
    out.mkdir(parents=True)
    _link(source / "class-descriptions-boxable.csv", out / "class-descriptions-boxable.csv")
    name = "train-annotations-object-segmentation.csv"
    with (source / name).open(newline="") as file, (out / name).open("w", newline="") as target:
        rows = csv.DictReader(file)
        writer = csv.DictWriter(target, rows.fieldnames or (), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            for copy in range(copies):
                image = _name(row["ImageID"], copy, 16)
                mask = row["MaskPath"].replace(row["ImageID"], image)
                _link(source / "masks" / row["MaskPath"], out / "masks" / mask)
                photo = source / "images" / f"{row['ImageID']}.jpg"
                if photo.exists():
                    _link(photo, out / "images" / f"{image}.jpg")
                writer.writerow({**row, "ImageID": image, "MaskPath": mask})


def _vggsound(out: Path, copies: int) -> None:
    source = MINI / "vggsound"
    media = {path.stem: path for path in (source / "clips").iterdir()}
    out.mkdir(parents=True)
    with (
        (source / "vggsound.csv").open(newline="") as file,
        (out / "vggsound.csv").open("w", newline="") as target,
    ):
        writer = csv.writer(target, lineterminator="\n")
        for video, start, label, part in csv.reader(file):
            for copy in range(copies):
                path, new = media[f"{video}_{int(start):06d}"], _name(video, copy, 11)
                _link(path, out / "clips" / f"{new}_{int(start):06d}{path.suffix}")
                writer.writerow([new, start, label, part])


def _name(name: str, copy: int, length: int) -> str:
    return hashlib.sha256(f"{copy}:{name}".encode()).hexdigest()[:length]


def _link(source: Path, target: Path) -> None:
    """A hard link, or a copy where the disk allows none; one that is there stays."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        try:
            os.link(source, target)
        except OSError:
            target.write_bytes(source.read_bytes())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--copies", type=int, default=20)
    asked = parser.parse_args()
    if asked.out.exists():
        parser.error(f"{asked.out} is there already: name a new folder")
    write(asked.out, asked.copies)


if __name__ == "__main__":
    main()
