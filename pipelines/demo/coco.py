"""Generated photos in COCO's layout: every third of LVIS's good ones, and some of its own, where LVIS's photos lie."""

import json
import os
from typing import Any

from pipelines.demo import lvis
from pipelines.demo.inventory import DemoPhoto
from pipelines.demo.vocabulary import categories, other_labels


def items(images: int) -> list[DemoPhoto]:
    """Photos that LVIS does not list: a tenth as many as all, and a crowd."""
    own = [DemoPhoto(5_000 + number, f"coco/{number}", "") for number in range(max(1, images // 10))]
    return [*own, DemoPhoto(6_000, "coco/crowd", "crowd")]


def write_tables(root: str, shared: list[lvis.Annotated], own: list[lvis.Annotated]) -> None:
    """The two JSON files. Of objects that COCO has no category for, it says nothing."""
    labels = {label.category: label for label in other_labels("coco")}
    numbers = {
        category.lvis_id: int(labels[name].source_id)
        for name, category in categories().items()
        if name in labels
    }
    rows = [*shared[::3], *own]
    for split in ("train", "val"):
        picked = [row for row in rows if row.split == split]
        content = {
            "info": {"description": "Generated photos in the COCO 2017 layout", "year": 2017},
            "licenses": lvis.licences(),
            "images": [_image(row.image) for row in picked],
            "annotations": [
                {"iscrowd": 0, **annotation, "category_id": numbers[annotation["category_id"]]}
                for row in picked
                for annotation in row.annotations
                if annotation["category_id"] in numbers
            ],
            "categories": [
                {"supercategory": "drawn", "id": number, "name": name}
                for number, name in sorted((int(label.source_id), label.name) for label in labels.values())
            ],
        }
        path = os.path.join(root, "coco", "annotations", f"instances_{split}2017.json")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(content, file)


def _image(row: dict[str, Any]) -> dict[str, Any]:
    kept = ("id", "width", "height", "license", "coco_url", "flickr_url", "date_captured")
    return {**{name: row[name] for name in kept}, "file_name": row["coco_url"].rpartition("/")[2]}
