"""Write generated corpora in the official layouts of LVIS v1, Open Images and VGGSound.

Most of it is sound; a few items are wrong on purpose, one of every kind that a build must reject and record.
The same arguments give the same bytes.
"""

import base64
import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import soundfile
from PIL import Image
from pycocotools import mask as coco

from pipelines.demo.scenes import Photo, compose, draw_photo
from pipelines.demo.sounds import SOUNDING, sound
from shards import storage
from shards.hashing import hash64, unit

LICENCES = (
    (1, "http://creativecommons.org/licenses/by-nc-sa/2.0/", "Attribution-NonCommercial-ShareAlike License"),
    (4, "http://creativecommons.org/licenses/by/2.0/", "Attribution License"),
    (5, "http://creativecommons.org/licenses/by-sa/2.0/", "Attribution-ShareAlike License"),
)
OPEN_IMAGES_LICENCE = "https://creativecommons.org/licenses/by/2.0/"
CONTAINERS = ("wav", "flac", "ogg", "mp3", "m4a", "mp4")
RATES_HZ = (44_100, 48_000, 22_050, 32_000)
BAD_LVIS = (
    "missing_photo",
    "truncated_photo",
    "no_polygon",
    "tiny",
    "crowd",
    "non_commercial",
    "outside",
    "twice",
)
BAD_OPEN_IMAGES = ("group_of", "depiction", "black_mask", "missing_mask", "other_shape")
BAD_CLIPS = ("missing", "corrupt", "silent", "short", "not_in_the_map")


@cache
def categories() -> dict[str, dict[str, str]]:
    """The rows of categories.csv by category; `vase` makes no sound."""
    text = (Path(__file__).parent / "categories.csv").read_text(encoding="utf-8")
    return {row["category"]: row for row in csv.DictReader(io.StringIO(text))}


def write_demo_corpora(
    root: str,
    seed: int = 0,
    images: int = 240,
    clips: int = 12,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write ROOT/lvis, ROOT/open_images and ROOT/vggsound.

    Args:
        root: folder or URL. images: drawn photos in all; two of three go to LVIS. clips: of each category.
        progress: called with (photos drawn, photos in all).
    """
    lvis, open_images = LvisFiles(root), OpenImagesFiles(root)
    bad = [("lvis", fault) for fault in BAD_LVIS] + [("open_images", fault) for fault in BAD_OPEN_IMAGES]
    plan = [(("lvis", "lvis", "open_images")[n % 3], "") for n in range(max(0, images - len(bad)))] + bad
    with ThreadPoolExecutor(2) as threads:
        drawn = threads.map(
            lambda item: _photo(seed, f"{item[0]}/{item[1]}"),
            [(n, fault) for n, (_, fault) in enumerate(plan)],
        )
        for number, ((corpus, fault), photo) in enumerate(zip(plan, drawn, strict=True)):
            (lvis if corpus == "lvis" else open_images).add(number, photo, fault)
            if progress:
                progress(number + 1, len(plan))
        lvis.close()
        open_images.close()
        _write_clips(root, seed, clips, threads)


def _photo(seed: int, key: str) -> Photo:
    """Two or three categories side by side, now and then one of them twice."""
    order = sorted(categories(), key=lambda name: hash64(seed, "category", key, name))
    number = 2 + (unit(seed, "number", key) < 0.4)
    if "vase" in order[:number]:  # every photo has something that sounds
        order.remove("vase")
        order.insert(number - 1, "vase")
    return draw_photo(compose(seed, key, order[:number], twice=unit(seed, "twice", key) < 0.3))


def _jpeg(photo: Photo) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(photo.pixels).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


class LvisFiles:
    """lvis_v1_{train,val}.json and the photos they list."""

    def __init__(self, root: str) -> None:
        self._root = storage.join(root, "lvis")
        self._annotations: dict[str, list[dict[str, Any]]] = {"train": [], "val": []}
        self._images: dict[str, list[dict[str, Any]]] = {"train": [], "val": []}

    def add(self, number: int, photo: Photo, fault: str) -> None:
        image_id = 1000 + number
        split = "val" if number % 4 == 3 else "train"
        content = _jpeg(photo)
        if fault == "truncated_photo":
            content = content[: len(content) // 2]
        name = f"{split}2017/{image_id:012d}.jpg"
        if fault != "missing_photo":
            storage.write_atomic(storage.join(self._root, "images", name), content, durable=False)
        self._images[split].append(
            {
                "id": image_id,
                "width": photo.scene.width,
                "height": photo.scene.height,
                "license": 1 if fault == "non_commercial" else (4, 5)[number % 2],
                "coco_url": f"http://images.cocodataset.org/{name}",
                "flickr_url": f"http://farm1.staticflickr.com/1/{flickr_id(number)}_demo_z.jpg",
                "date_captured": "2013-11-14 00:00:00",
                "not_exhaustive_category_ids": [],
                "neg_category_ids": [],
            }
        )
        for k, thing in enumerate(photo.scene.things):
            self._annotations[split].append(
                _annotation(
                    photo, k, image_id, 10 * image_id + k, int(categories()[thing.category]["lvis_id"]), fault
                )
            )
        if fault == "twice":
            self._annotations[split].append(self._annotations[split][-1])

    def close(self) -> None:
        for split, images in self._images.items():
            found = {a["category_id"] for a in self._annotations[split]}
            record = {
                "info": {"description": "generated scenes in the layout of LVIS v1", "version": "v1.0"},
                "annotations": self._annotations[split],
                "images": images,
                "licenses": [{"id": number, "url": url, "name": name} for number, url, name in LICENCES],
                "categories": [_lvis_category(row, found) for row in categories().values()],
            }
            storage.write_atomic(
                storage.join(self._root, f"lvis_v1_{split}.json"), json.dumps(record).encode()
            )


def _lvis_category(row: dict[str, str], found: set[int]) -> dict[str, Any]:
    return {
        "id": int(row["lvis_id"]),
        "name": row["lvis_name"],
        "synset": row["lvis_synset"],
        "synonyms": row["lvis_synonyms"].split("|"),
        "def": row["definition"],
        "frequency": "f" if int(row["lvis_id"]) in found else "r",
    }


def _annotation(
    photo: Photo, k: int, image_id: int, number: int, category_id: int, fault: str
) -> dict[str, Any]:
    width, height = photo.scene.width, photo.scene.height
    outlines, _ = photo.outline(k)
    segmentation: Any = [np.round(outline, 2).ravel().tolist() for outline in outlines]
    mask = photo.mask(k, width, height)
    if fault == "no_polygon":
        segmentation = []
    elif fault == "tiny":
        x, y = (float(side.mean()) for side in np.nonzero(mask)[::-1])
        segmentation = [[x, y, x + 4, y, x + 4, y + 4, x, y + 4]]
    elif fault == "outside":
        segmentation = [[value + width for value in polygon] for polygon in segmentation]
    elif fault == "crowd":
        rle = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
        segmentation = {"size": [height, width], "counts": rle["counts"].decode()}
    ys, xs = np.nonzero(mask)
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "area": float(mask.sum()),
        "bbox": [float(xs.min()), float(ys.min()), float(np.ptp(xs) + 1), float(np.ptp(ys) + 1)],
        "segmentation": segmentation,
        **({"iscrowd": 1} if fault == "crowd" else {}),
    }


class OpenImagesFiles:
    """Photos, mask PNGs at three quarters of their size, and the official CSVs of the train set."""

    def __init__(self, root: str) -> None:
        self._root = storage.join(root, "open_images")
        self._masks: list[list[str]] = []
        self._boxes: list[list[str]] = []
        self._images: list[list[str]] = []

    def add(self, number: int, photo: Photo, fault: str) -> None:
        image_id = hashlib.sha256(f"image {number}".encode()).hexdigest()[:16]
        flickr = flickr_id(number - 2 if number == 2 else number)  # photo 2 is photo 0 of LVIS once more
        width, height = photo.scene.width, photo.scene.height
        storage.write_atomic(
            storage.join(self._root, "images", f"{image_id}.jpg"), _jpeg(photo), durable=False
        )
        url = f"https://farm1.staticflickr.com/1/{flickr}_demo_o.jpg"
        self._images.append(
            [image_id, "train", url, f"https://www.flickr.com/photos/demo/{flickr}", OPEN_IMAGES_LICENCE]
        )
        for k, thing in enumerate(photo.scene.things):
            mid = categories()[thing.category]["open_images_mid"]
            box_id = hashlib.sha256(f"box {number} {k}".encode()).hexdigest()[:8]
            name = f"{image_id}_{mid.removeprefix('/').replace('/', '')}_{box_id}.png"
            size = (height, width) if fault == "other_shape" else (width * 3 // 4, height * 3 // 4)
            mask = photo.mask(k, *size)
            ys, xs = np.nonzero(mask)
            x0, x1, y0, y1 = (
                xs.min() / size[0],
                (xs.max() + 1) / size[0],
                ys.min() / size[1],
                (ys.max() + 1) / size[1],
            )
            edges = [f"{edge:.6f}" for edge in (x0, x1, y0, y1)]
            if fault == "black_mask":
                mask = np.zeros_like(mask)
            if fault != "missing_mask":
                buffer = io.BytesIO()
                Image.fromarray(mask).save(buffer, "PNG")
                storage.write_atomic(
                    storage.join(self._root, "masks", name), buffer.getvalue(), durable=False
                )
            self._masks.append([name, image_id, mid, box_id, *edges, "0.9", ""])
            flags = ["0", "0", str(int(fault == "group_of")), str(int(fault == "depiction")), "0"]
            self._boxes.append([image_id, "xclick", mid, "1", *edges, *flags])

    def close(self) -> None:
        names = [[row["open_images_mid"], row["open_images_name"]] for row in categories().values()]
        self._csv("class-descriptions-boxable.csv", sorted(names))
        masks = "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks"
        self._csv("train-annotations-object-segmentation.csv", [masks.split(","), *self._masks])
        boxes = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction"
        self._csv("train-annotations-bbox.csv", [[*boxes.split(","), "IsInside"], *self._boxes])
        photos = (
            "ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,OriginalSize"
        )
        rest = ["https://www.flickr.com/people/demo/", "demo", "a drawn scene", "0", "", "", "0.0"]
        header = [*photos.split(","), "OriginalMD5", "Thumbnail300KURL", "Rotation"]
        self._csv(
            "train-images-boxable-with-rotation.csv", [header, *([*row, *rest] for row in self._images)]
        )

    def _csv(self, name: str, rows: Iterable[list[str]]) -> None:
        storage.write_atomic(storage.join(self._root, name), _csv_bytes(rows), durable=False)


def flickr_id(number: int) -> int:
    return 5_000_000_000 + number


def _csv_bytes(rows: Iterable[list[str]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue().encode()


def _write_clips(root: str, seed: int, clips: int, threads: ThreadPoolExecutor) -> None:
    """vggsound.csv, without a header and with commas in labels, and the clips in many containers."""
    folder, rows, jobs = storage.join(root, "vggsound"), [], []
    for category in SOUNDING:
        labels = categories()[category]["vggsound_labels"].split("|")
        for n in range(clips):
            video = _video_id(f"{category} {n}")
            start = hash64(seed, "start", video) % 290
            rows.append([video, str(start), labels[n % len(labels)], "test" if n % 3 == 2 else "train"])
            jobs.append((category, "", video, start, n))
    for n, fault in enumerate(BAD_CLIPS):
        video = _video_id(fault)
        rows.append([video, "30", "thunder" if fault == "not_in_the_map" else "dog barking", "train"])
        jobs.append(("dog", fault, video, 30, n))
    storage.write_atomic(storage.join(folder, "vggsound.csv"), _csv_bytes(sorted(rows)), durable=False)
    for name, content in threads.map(lambda job: _clip(seed, *job), jobs):
        if content:
            storage.write_atomic(storage.join(folder, "clips", name), content, durable=False)


def _video_id(key: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest())[:11].decode()


def _clip(seed: int, category: str, fault: str, video: str, start: int, n: int) -> tuple[str, bytes]:
    container = "flac" if fault else CONTAINERS[n % len(CONTAINERS)]
    rate_hz = 48_000 if container == "ogg" else RATES_HZ[n % len(RATES_HZ)]  # the rate of Opus
    seconds = 0.4 if fault == "short" else 3 + 7 * unit(seed, "seconds", video)
    wave = sound(category, seed, video, rate_hz, seconds)
    signal = np.stack([wave, 0.8 * wave], axis=1) if n % 2 else wave[:, None]
    content = encode(signal * (0 if fault == "silent" else 1), rate_hz, container)
    if fault == "corrupt":
        content = content[:64] + bytes(len(content) - 64)
    return f"{video}_{start:06d}.{container}", b"" if fault == "missing" else content


def encode(signal: np.ndarray, rate_hz: int, container: str) -> bytes:
    """A media file from float32 (samples, channels) in [-1, 1]; mp4 gets a small picture track."""
    buffer = io.BytesIO()
    if container in ("wav", "flac"):
        soundfile.write(buffer, signal, rate_hz, format=container.upper(), subtype="PCM_16")
        return buffer.getvalue()
    codec, form = {"ogg": ("libopus", "flt"), "mp3": ("libmp3lame", "fltp")}.get(container, ("aac", "fltp"))
    options = {"fflags": "+bitexact"}  # no random stream number, no time
    with av.open(buffer, "w", format="ipod" if container == "m4a" else container, options=options) as file:
        pictures = file.add_stream("mpeg4", rate=2) if container == "mp4" else None
        if pictures is not None:
            pictures.width = pictures.height = 64
        track = cast(
            av.AudioStream,
            file.add_stream(codec, rate=rate_hz, layout="stereo" if signal.shape[1] == 2 else "mono"),
        )
        if pictures is not None:
            for number in range(2):
                picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), format="rgb24")
                picture.pts, picture.time_base = number, Fraction(1, 2)
                file.mux(pictures.encode(picture))
            file.mux(pictures.encode())
        for start in range(0, len(signal), 1024):
            block = signal[start : start + 1024].astype(np.float32)
            block = block.reshape(1, -1) if form == "flt" else np.ascontiguousarray(block.T)
            frame = av.AudioFrame.from_ndarray(block, format=form, layout=track.layout.name)
            frame.rate = rate_hz
            frame.pts, frame.time_base = start, Fraction(1, rate_hz)
            file.mux(track.encode(frame))
        file.mux(track.encode())
    return buffer.getvalue()
