"""A dataset in the layouts of other tools: COCO instances, and FiftyOne's own import format."""

import base64
import io
import json
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL.PngImagePlugin import PngImageFile
from pycocotools import mask as coco_mask

from pipelines.publish.attribution import licence_url
from shards import claims, format, pictures, storage
from shards.manifest import DatasetError
from shards.reader import Dataset, Sample

DONE = "export.json"  # written last


def export(dataset: Dataset, layout: str, out: str, progress: Callable[[int, int], None]) -> int:
    """Write every sample to `out`; gives their number. A rerun writes the same files again.

    Args:
        layout: a key of LAYOUTS.
        progress: called with (samples written, samples in all).

    Raises:
        ClaimError: `out` holds something else. DatasetError: there is no sample.
    """
    if not dataset.manifest.tables[format.SAMPLES].rows:
        raise DatasetError(f"{dataset.url} has no sample: nothing to export")
    source = storage.sha256(storage.join(dataset.url, format.MANIFEST))
    whose = {"command": "export", "layout": layout, "dataset": source, "name": dataset.manifest.name}
    claims.claim(out, whose)
    storage.remove(storage.join(out, DONE))
    number = LAYOUTS[layout](dataset, out, progress)
    _json(storage.join(out, DONE), whose)
    return number


def coco(dataset: Dataset, out: str, progress: Callable[[int, int], None]) -> int:
    """SPLIT/images/, SPLIT/audio/ and annotations/instances_SPLIT.json, one annotation a sample.

    Masks are COCO run lengths. Beside COCO's own fields an annotation has `key`, `audio` (its file) and
    `audio_licence`. Format: https://cocodataset.org/#format-data
    """
    total, done = dataset.manifest.tables[format.SAMPLES].rows, 0
    names = _categories(dataset)
    ids = {name: number for number, name in enumerate(names, start=1)}
    for split in format.SPLITS:
        images: dict[str, dict[str, Any]] = {}
        taken: dict[str, str] = {}
        licences: dict[str, dict[str, Any]] = {}
        annotations: list[dict[str, Any]] = []
        for sample in dataset.samples(split):
            record = sample.record
            image = record["image"]
            name = image["licence"] or "unknown"
            licences.setdefault(
                name,
                {"id": len(licences) + 1, "name": name, "url": image["licence_url"] or licence_url(name)},
            )
            if image["id"] not in images:
                file_name = _file_name(image["id"], taken)
                images[image["id"]] = {
                    "id": len(images) + 1,
                    "file_name": file_name,
                    "width": image["width"],
                    "height": image["height"],
                    "license": licences[name]["id"],
                    "coco_url": image["url"],
                    "author": image["author"],
                    "source_id": image["id"],
                }
                storage.write_atomic(storage.join(out, split, "images", file_name), sample.jpg)
            sound = f"{record['audio']['key']}.flac"
            if not storage.exists(storage.join(out, split, "audio", sound)):
                storage.write_atomic(storage.join(out, split, "audio", sound), sample.flac)
            rle = coco_mask.encode(np.asfortranarray(_mask(sample)))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": images[image["id"]]["id"],
                    "category_id": ids[record["category"]],
                    "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
                    "area": record["mask"]["area_px"],
                    "bbox": record["mask"]["bbox"],
                    "iscrowd": 0,
                    "key": sample.key,
                    "audio": f"{split}/audio/{sound}",
                    "audio_licence": record["audio"]["licence"],
                }
            )
            progress(done := done + 1, total)
        if annotations:
            table = {
                "info": {"description": dataset.manifest.name, "version": "1.0"},
                "licenses": list(licences.values()),
                "images": list(images.values()),
                "annotations": annotations,
                "categories": [{"id": ids[name], "name": name, "supercategory": ""} for name in names],
            }
            _json(storage.join(out, "annotations", f"instances_{split}.json"), table)
    return done


def fiftyone(dataset: Dataset, out: str, progress: Callable[[int, int], None]) -> int:
    """FiftyOneDataset: metadata.json, samples.json and data/, one FiftyOne sample a triplet; open with
    `fiftyone.Dataset.from_dir(OUT, dataset_type=fiftyone.types.FiftyOneDataset)`.

    Fields: `ground_truth` (one instance with its mask), `audio_path` (below OUT), `key`, and the licences. The split
    is a tag.
    """
    total, done = dataset.manifest.tables[format.SAMPLES].rows, 0
    samples = []
    for sample in dataset.samples():
        record = sample.record
        image, sound = record["image"], record["audio"]
        photo, audio = f"data/{sample.key}.jpg", f"audio/{sound['key']}.flac"
        storage.write_atomic(storage.join(out, photo), sample.jpg)
        if not storage.exists(storage.join(out, audio)):
            storage.write_atomic(storage.join(out, audio), sample.flac)
        x, y, w, h = record["mask"]["bbox"]
        instance = _mask(sample)[y : y + h, x : x + w].astype(bool)
        samples.append(
            {
                "_id": {"$oid": sample.key.ljust(24, "0")},
                "filepath": photo,
                "tags": [record["split"]],
                "_media_type": "image",
                "metadata": {
                    "_cls": "ImageMetadata",
                    "size_bytes": len(sample.jpg),
                    "mime_type": "image/jpeg",
                    "width": image["width"],
                    "height": image["height"],
                    "num_channels": 3,
                },
                "ground_truth": {
                    "_cls": "Detections",
                    "detections": [
                        {
                            "_id": {"$oid": sample.key.ljust(24, "1")},
                            "_cls": "Detection",
                            "attributes": {},
                            "tags": [],
                            "label": record["category"],
                            "bounding_box": [
                                x / image["width"],
                                y / image["height"],
                                w / image["width"],
                                h / image["height"],
                            ],
                            "mask": {"$binary": {"base64": _packed(instance), "subType": "00"}},
                        }
                    ],
                },
                "key": sample.key,
                "audio_path": audio,
                "image_licence": image["licence"],
                "audio_licence": sound["licence"],
                "image_author": image["author"],
            }
        )
        progress(done := done + 1, total)
    fields = [_FIFTYONE_TEXT | {"name": name, "db_field": name} for name in _FIFTYONE_FIELDS]
    _json(
        storage.join(out, "metadata.json"),
        {
            "name": dataset.manifest.name,
            "media_type": "image",
            "sample_fields": [*_FIFTYONE_OWN, *fields],
            "info": {"categories": list(_categories(dataset))},
        },
    )
    _json(storage.join(out, "samples.json"), {"samples": samples})
    return done


LAYOUTS = {"coco": coco, "fiftyone": fiftyone}
_FIFTYONE_TEXT: dict[str, Any] = {"ftype": "fiftyone.core.fields.StringField", "subfield": None}
_FIFTYONE_TEXT |= {"embedded_doc_type": None, "fields": [], "description": None, "info": None}
_FIFTYONE_FIELDS = ("key", "audio_path", "image_licence", "audio_licence", "image_author")
_FIFTYONE_OWN = [
    _FIFTYONE_TEXT | {"name": "filepath", "db_field": "filepath"},
    _FIFTYONE_TEXT
    | {
        "name": "tags",
        "db_field": "tags",
        "ftype": "fiftyone.core.fields.ListField",
        "subfield": "fiftyone.core.fields.StringField",
    },
    _FIFTYONE_TEXT
    | {
        "name": "metadata",
        "db_field": "metadata",
        "ftype": "fiftyone.core.fields.EmbeddedDocumentField",
        "embedded_doc_type": "fiftyone.core.metadata.ImageMetadata",
    },
    _FIFTYONE_TEXT
    | {
        "name": "ground_truth",
        "db_field": "ground_truth",
        "ftype": "fiftyone.core.fields.EmbeddedDocumentField",
        "embedded_doc_type": "fiftyone.core.labels.Detections",
    },
]


def _file_name(image_id: str, taken: dict[str, str]) -> str:
    """A photo's name in COCO's layout; two ids that differ in ways that some disks do not see get two names.

    Args:
        taken: names given so far, as such disks see them, and whose they are.
    """
    name = image_id.replace(":", "_")
    if taken.setdefault(name.casefold(), image_id) != image_id:
        name = f"{name}-{format.key_of(image_id)}"
    return f"{name}.jpg"


def _categories(dataset: Dataset) -> tuple[str, ...]:
    counts = dataset.manifest.counts
    return tuple(sorted({name for split in format.SPLITS for name in counts[split]["categories"]}))


def _mask(sample: Sample) -> np.ndarray:
    """uint8 (height, width), 0 or 1."""
    width, height = pictures.check_mask(sample.mask_png)
    if (width, height) != (sample.record["image"]["width"], sample.record["image"]["height"]):
        raise DatasetError(f"{sample.key}: a mask of {width} x {height} is not of its photo's size")
    try:
        with PngImageFile(io.BytesIO(sample.mask_png)) as image:
            return (np.asarray(image) > 0).astype(np.uint8)
    except (OSError, SyntaxError, ValueError) as error:
        raise DatasetError(f"{sample.key}: a mask that does not decode ({error})") from error


def _packed(instance: np.ndarray) -> str:
    """A boolean array as FiftyOne stores one: npy, compressed by zlib, in base64."""
    buffer = io.BytesIO()
    np.save(buffer, instance, allow_pickle=False)
    return base64.b64encode(zlib.compress(buffer.getvalue())).decode()


def _json(url: str, table: dict[str, Any]) -> None:
    storage.write_atomic(url, json.dumps(table, ensure_ascii=False).encode())
