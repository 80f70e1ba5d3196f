"""Generated photos in Open Images' layout: four CSV files, `images/<ImageID>.jpg`, `masks/<MaskPath>` (1 bit)."""

import csv
import os
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipelines.demo.inventory import DemoPhoto, scene
from pipelines.demo.jpeg import flickr_photo, write_photo
from pipelines.demo.scenes import Photo, draw_photo
from pipelines.demo.vocabulary import categories
from shards.hashing import hash64

# mask size / photo size; official masks vary like this
_MASK_SCALES = (0.5, 0.625, 0.75, 1.0, 1.0, 1.25, 1.5)
_SEGMENTATION = "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks"
_BOXES = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
_IMAGES = (
    "ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,OriginalSize,OriginalMD5,"
    "Thumbnail300KURL,Rotation"
)


@dataclass(frozen=True)
class Annotated:
    """One photo's rows for the CSV files."""

    image: list[str]
    segmentations: list[list[str]]
    boxes: list[list[str]]


def draw(root: str, seed: int, item: DemoPhoto) -> Annotated:
    """Draw a photo and its masks, write them below `root` and give their rows."""
    photo = draw_photo(scene(seed, item))
    folder = os.path.join(root, "open_images")
    image_id = f"{hash64(seed, 'open images', item.key):016x}"
    path = os.path.join(folder, "images", f"{image_id}.jpg")
    write_photo(path, photo.pixels, item.role, quality=86)
    segmentations, boxes = [], []
    for k, thing in enumerate(photo.scene.things):
        mid = categories()[thing.category].mid
        box_id = f"{hash64(seed, 'box', item.key, k) >> 32:08x}"
        mask_path = f"{image_id}_{mid.removeprefix('/').replace('/', '')}_{box_id}.png"
        scale = _MASK_SCALES[hash64(seed, "mask scale", item.key) % len(_MASK_SCALES)]
        stretch = 2 if item.role == "other_shape" and k == 0 else 1
        mask = photo.mask(k, round(photo.scene.width * scale), round(photo.scene.height * scale * stretch))
        if item.role == "empty_mask" and k == 0:
            mask = np.zeros_like(mask)
        if not (item.role == "missing_mask" and k == 0):
            os.makedirs(os.path.join(folder, "masks"), exist_ok=True)
            Image.fromarray(mask).save(os.path.join(folder, "masks", mask_path), "PNG")
        coordinates, truncated = _box(photo, k)
        occluded = (
            np.count_nonzero(photo.mask(k, photo.scene.width, photo.scene.height)) < 0.97 * photo.alone[k]
        )
        flags: list[bool] = [
            bool(occluded),
            truncated,
            item.role == "group_of",
            item.role == "depiction",
            False,
        ]
        segmentations.append([mask_path, image_id, mid, box_id, *coordinates, "", ""])
        boxes.append([image_id, "xclick", mid, "1", *coordinates, *(str(int(flag)) for flag in flags)])
    if item.role == "duplicate_id":
        segmentations.append(segmentations[0])
    licence = "by-nc/2.0" if item.role == "non_commercial" else "by/2.0"
    flickr = flickr_photo(seed, item.key)
    image = [
        image_id, "train", f"https://farm9.staticflickr.com/8000/{flickr}_{image_id[:10]}_o.jpg",
        f"https://www.flickr.com/photos/generated/{flickr}", f"https://creativecommons.org/licenses/{licence}/",
        "https://www.flickr.com/people/generated/", "generated", f"Generated scene, {item.key}",
        str(os.path.getsize(path)) if os.path.exists(path) else "", "", "", "0.0",
    ]  # fmt: skip
    return Annotated(image, segmentations, boxes)


def _box(photo: Photo, k: int) -> tuple[list[str], bool]:
    """XMin, XMax, YMin, YMax as fractions with six decimals; whether the box touches the photo's edge."""
    width, height = photo.scene.width, photo.scene.height
    mask = photo.mask(k, width, height)
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    edges = columns[0] / width, (columns[-1] + 1) / width, rows[0] / height, (rows[-1] + 1) / height
    return [f"{edge:.6f}" for edge in edges], bool(
        min(edges[0], edges[2]) == 0 or max(edges[1], edges[3]) == 1
    )


def write_tables(root: str, rows: list[Annotated]) -> None:
    """The four CSV files; the class descriptions have no header."""
    vocabulary = sorted([category.mid, category.open_images_name] for category in categories().values())
    segmentations = [line for row in rows for line in row.segmentations]
    boxes = [line for row in rows for line in row.boxes]
    _write(root, "class-descriptions-boxable.csv", vocabulary)
    _write(root, "train-annotations-object-segmentation.csv", [_SEGMENTATION.split(","), *segmentations])
    _write(root, "train-annotations-bbox.csv", [_BOXES.split(","), *boxes])
    _write(root, "train-images-boxable-with-rotation.csv", [_IMAGES.split(","), *(row.image for row in rows)])


def _write(root: str, name: str, lines: list[list[str]]) -> None:
    path = os.path.join(root, "open_images", name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)
