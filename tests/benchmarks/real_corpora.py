"""Corpora of real media in any size: the photos, masks and clips of `shared/data/mini`, each hard-linked under new ids.

    python tests/benchmarks/real_corpora.py OUT --copies 20 --mp4 0.05 [--fetched]

Annotations are written anew, as if every copy were another photo or recording: 122 samples and 83 clips a copy. A share
of the recordings is made an MP4 of 10 s as YouTube has them: H.264 of a photo that moves, AAC in stereo. With
`--fetched` all photos are in the ledger of `avs-data fetch`, which finds them in the folder and decodes them.
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

import av
import fetched
import numpy as np
import soundfile
from PIL import Image
from real_data import MINI

_FILM_S, _FILM_HZ = 10.0, 25
_LVIS_IDS = 1_000_000  # more than any photo and annotation of LVIS has


def write(out: Path, copies: int, mp4: float = 0.0) -> None:
    """Write lvis/, open_images/ and vggsound/ of so many copies under `out`, that share of the recordings as MP4.

    Raises:
        FileExistsError: it has a corpus already.
    """
    _lvis(out / "lvis", copies)
    _open_images(out / "open_images", copies)
    _vggsound(out / "vggsound", copies, mp4)


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


def _vggsound(out: Path, copies: int, mp4: float) -> None:
    source = MINI / "vggsound"
    media = {path.stem: path for path in (source / "clips").iterdir()}
    (out / "made").mkdir(parents=True)
    photos = sorted((MINI / "lvis" / "images").rglob("*.jpg"))
    for number, name in enumerate(sorted(media)):
        if int((number + 1) * mp4) > int(number * mp4):
            film = out / "made" / f"{name}.mp4"
            _film(media[name], photos[number % len(photos)], film)
            media[name] = film
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


def _film(sound: Path, photo: Path, target: Path) -> None:
    """An MP4 of 10 s: a sound, repeated, under a piece of a photo that moves."""
    pcm, rate = soundfile.read(sound, dtype="float32", always_2d=True)
    mono = np.resize(pcm[:, 0], int(_FILM_S * rate))
    with av.open(str(target), "w") as film, Image.open(photo) as opened:
        picture = opened.convert("RGB").resize((640, 480))
        video = film.add_stream("libx264", rate=_FILM_HZ, options={"preset": "veryfast"})
        video.width, video.height, video.pix_fmt = 340, 256, "yuv420p"
        audio = film.add_stream("aac", rate=rate, layout="stereo")
        audio.bit_rate = 128_000
        for number in range(int(_FILM_S * _FILM_HZ)):
            left, top = number % 200, number % 100
            piece = picture.crop((left, top, left + 340, top + 256))
            film.mux(video.encode(av.VideoFrame.from_image(piece)))
        for start in range(0, len(mono), 1024):
            block = np.tile(mono[start : start + 1024], (2, 1))
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = rate, start
            film.mux(audio.encode(frame))
        film.mux(video.encode())
        film.mux(audio.encode())


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
    parser.add_argument("--mp4", type=float, default=0.0, metavar="SHARE", help="of the recordings")
    parser.add_argument("--fetched", action="store_true", help="write the ledger, too")
    asked = parser.parse_args()
    if asked.out.exists():
        parser.error(f"{asked.out} is there already: name a new folder")
    write(asked.out, asked.copies, asked.mp4)
    if asked.fetched:
        photos = asked.out.glob("*/images/**/*.jpg")
        fetched.find(asked.out, (path.relative_to(asked.out).as_posix() for path in photos))


if __name__ == "__main__":
    main()
