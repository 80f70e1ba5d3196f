"""Generated photos in LVIS's layout: `lvis_v1_{train,val}.json`, `images/{train2017,val2017}/%012d.jpg`."""

import json
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.demo.inventory import DemoPhoto, scene
from pipelines.demo.jpeg import flickr_photo, write_photo
from pipelines.demo.scenes import Photo, draw_photo
from pipelines.demo.vocabulary import categories
from shards.hashing import hash64, unit

_FIRST_IMAGE = 900_001  # COCO's own ids end at 581,929
_LICENCES = [
    ("http://creativecommons.org/licenses/by-nc-sa/2.0/", "Attribution-NonCommercial-ShareAlike License"),
    ("http://creativecommons.org/licenses/by-nc/2.0/", "Attribution-NonCommercial License"),
    ("http://creativecommons.org/licenses/by-nc-nd/2.0/", "Attribution-NonCommercial-NoDerivs License"),
    ("http://creativecommons.org/licenses/by/2.0/", "Attribution License"),
    ("http://creativecommons.org/licenses/by-sa/2.0/", "Attribution-ShareAlike License"),
    ("http://creativecommons.org/licenses/by-nd/2.0/", "Attribution-NoDerivs License"),
    ("http://flickr.com/commons/usage/", "No known copyright restrictions"),
    ("http://www.usa.gov/copyright.shtml", "United States Government Work"),
]
_OPEN_LICENCES = (4, 4, 5)  # ids into the list above, counted from 1


@dataclass(frozen=True)
class Annotated:
    """One photo's rows for the JSON."""

    split: str  # train | val
    image: dict[str, Any]
    annotations: list[dict[str, Any]]


def draw(root: str, seed: int, item: DemoPhoto) -> Annotated:
    """Draw a photo, write it below `root` and give its rows."""
    photo = draw_photo(scene(seed, item))
    split = "val" if unit(seed, "lvis split", item.key) < 0.2 else "train"
    image_id = _FIRST_IMAGE + item.number
    path = f"{split}2017/{image_id:012d}.jpg"
    write_photo(os.path.join(root, "lvis", "images", path), photo.pixels, item.role)
    names = {thing.category for thing in photo.scene.things}
    absent = [category.lvis_id for name, category in categories().items() if name not in names]
    image = {
        "id": image_id,
        "width": photo.scene.width,
        "height": photo.scene.height,
        "license": 2
        if item.role == "non_commercial"
        else _OPEN_LICENCES[hash64(seed, "licence", item.key) % len(_OPEN_LICENCES)],
        "coco_url": f"http://images.cocodataset.org/{path}",
        "flickr_url": f"http://farm9.staticflickr.com/8000/{flickr_photo(seed, item.key)}_{image_id:010x}_z.jpg",
        "date_captured": "2013-11-14 11:18:45",
        "not_exhaustive_category_ids": [],
        "neg_category_ids": sorted(absent)[:3],
    }
    annotations = [_annotation(photo, k, image_id, item) for k in range(len(photo.scene.things))]
    if item.role == "duplicate_id":
        annotations.append(annotations[0])
    return Annotated(split, image, annotations)


def _annotation(photo: Photo, k: int, image_id: int, item: DemoPhoto) -> dict[str, Any]:
    category = photo.scene.things[k].category
    row = {
        "id": (image_id - _FIRST_IMAGE) * 10 + k + 1,
        "image_id": image_id,
        "category_id": categories()[category].lvis_id,
    }
    if item.role == "crowd":
        mask = photo.mask(k, photo.scene.width, photo.scene.height)
        return {**row, **_run_lengths(mask), "iscrowd": 1}
    if item.role == "empty_mask" and k == 0:
        return {
            **row,
            "segmentation": [[40.0, 40.0, 90.0, 40.0, 60.0, 40.0]],
            "area": 0.0,
            "bbox": [40.0, 40.0, 50.0, 0.0],
        }
    size = [photo.scene.width, photo.scene.height]
    outlines = [np.clip(np.round(outline, 2), 0, size) for outline in photo.outline(k)[0]]
    if item.role == "outside" and k == 0:
        outlines = [outline + size for outline in outlines]
    low, high = (pick([pick(outline, axis=0) for outline in outlines], axis=0) for pick in (np.min, np.max))
    area = sum(
        abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
        for x, y in (o.T for o in outlines)
    )
    return {
        **row,
        "segmentation": [outline.ravel().tolist() for outline in outlines],
        "area": round(area, 2),
        "bbox": [round(float(value), 2) for value in (*low, *(high - low))],
    }


def _run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """COCO's uncompressed run lengths: down the columns, the first run is of background."""
    flat = np.concatenate([[False], mask.ravel(order="F"), [False]])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate([[0], changes, [mask.size]]))
    counts = counts[:-1] if counts[-1] == 0 else counts
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    bbox = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
    return {
        "segmentation": {"size": list(mask.shape), "counts": counts.tolist()},
        "area": float(mask.sum()),
        "bbox": [float(value) for value in bbox],
    }


def write_tables(root: str, rows: list[Annotated]) -> None:
    """The two JSON files; categories are counted over both splits."""
    images: dict[int, set[int]] = {}
    instances: dict[int, int] = {}
    for row in rows:
        for annotation in row.annotations:
            images.setdefault(annotation["category_id"], set()).add(annotation["image_id"])
            instances[annotation["category_id"]] = instances.get(annotation["category_id"], 0) + 1
    vocabulary = [
        {
            "id": category.lvis_id,
            "name": category.lvis_name,
            "synset": category.lvis_synset,
            "synonyms": list(category.lvis_synonyms),
            "def": category.definition,
            "frequency": _frequency(len(images.get(category.lvis_id, ()))),
            "image_count": len(images.get(category.lvis_id, ())),
            "instance_count": instances.get(category.lvis_id, 0),
        }
        for category in sorted(categories().values(), key=lambda category: category.lvis_id)
    ]
    for split in ("train", "val"):
        picked = [row for row in rows if row.split == split]
        content = {
            "info": {
                "description": "Generated photos in the LVIS v1 layout",
                "version": "v1.0",
                "year": 2020,
            },
            "licenses": licences(),
            "images": [row.image for row in picked],
            "annotations": [annotation for row in picked for annotation in row.annotations],
            "categories": vocabulary,
        }
        path = os.path.join(root, "lvis", f"lvis_v1_{split}.json")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(content, file)


def licences() -> list[dict[str, Any]]:
    return [{"url": url, "id": k, "name": name} for k, (url, name) in enumerate(_LICENCES, start=1)]


def _frequency(images: int) -> str:
    """LVIS's classes: rare up to 10 images, common up to 100, frequent above."""
    return "r" if images <= 10 else "c" if images <= 100 else "f"
