"""A dataset in the layouts of other tools: COCO instances, and FiftyOne's own import format."""

import base64
import io
import json
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from pipelines.publish import export_avss, export_vpo
from pipelines.publish.attribution import licence_url
from pipelines.publish.seen import mask, seen
from shards import claims, format, storage
from shards.manifest import DatasetError
from shards.reader import Dataset, Sample
from shards.records import SampleRecord, decode, row

DONE = "export.json"  # written last
Progress = Callable[[int, int], None]  # samples written, samples in all
Layout = Callable[[Dataset, str, Progress], tuple[int, dict[str, int]]]


def export(dataset: Dataset, layout: str, out: str, progress: Progress) -> tuple[int, dict[str, int]]:
    """Write every sample to `out` that the layout can hold; gives their number, and how many it cannot hold, by reason.

    A rerun writes the same files again.

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
    written = LAYOUTS[layout](dataset, out, progress)
    _json(storage.join(out, DONE), whose)
    return written


def coco(dataset: Dataset, out: str, progress: Progress) -> tuple[int, dict[str, int]]:
    """SPLIT/images/, SPLIT/audio/ and annotations/instances_SPLIT.json, one annotation a sample.

    Masks are COCO run lengths. Beside COCO's own fields an annotation has `key`, `audio` (its file) and
    `audio_licence`. Of scenes each sample is an image, which has these three and `kind`, and each source seen an
    annotation. Format: https://cocodataset.org/#format-data
    """
    if dataset.manifest.targets:
        return _coco_scenes(dataset, out, progress)
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
            rle = coco_mask.encode(np.asfortranarray(mask(sample).astype(np.uint8)))
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
    return done, {}


def _coco_scenes(dataset: Dataset, out: str, progress: Progress) -> tuple[int, dict[str, int]]:
    total, done = dataset.manifest.tables[format.SAMPLES].rows, 0
    names = _categories(dataset)
    ids = {name: number for number, name in enumerate(names, start=1)}
    for split in format.SPLITS:
        images: list[dict[str, Any]] = []
        licences: dict[str, int] = {}
        annotations: list[dict[str, Any]] = []
        for sample in dataset.samples(split):
            image = sample.record["image"]
            licence = licences.setdefault(image["licence"] or "unknown", len(licences) + 1)
            photo, sound = f"{sample.key}.jpg", f"{split}/audio/{sample.key}.flac"
            storage.write_atomic(storage.join(out, split, "images", photo), sample.jpg)
            storage.write_atomic(storage.join(out, sound), sample.flac)
            images.append(
                {
                    "id": len(images) + 1,
                    "file_name": photo,
                    "width": image["width"],
                    "height": image["height"],
                    "license": licence,
                    "coco_url": image["url"],
                    "author": image["author"],
                    "source_id": image["id"],
                    "key": sample.key,
                    "kind": sample.record["kind"],
                    "audio": sound,
                    "audio_licence": _audio_licence(sample),
                }
            )
            for category, pixels in seen(dataset, sample):
                rle = coco_mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": len(images),
                        "category_id": ids[category],
                        "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
                        "area": int(pixels.sum()),
                        "bbox": coco_mask.toBbox(rle).tolist(),
                        "iscrowd": 0,
                    }
                )
            progress(done := done + 1, total)
        if images:
            table = {
                "info": {"description": dataset.manifest.name, "version": "1.0"},
                "licenses": [
                    {"id": number, "name": name, "url": licence_url(name)}
                    for name, number in licences.items()
                ],
                "images": images,
                "annotations": annotations,
                "categories": [{"id": ids[name], "name": name, "supercategory": ""} for name in names],
            }
            _json(storage.join(out, "annotations", f"instances_{split}.json"), table)
    return done, {}


def _audio_licence(sample: Sample) -> str | None:
    """Of all clips of a scene together."""
    return row(decode(format.json_bytes(sample.record), SampleRecord), "", {})["audio_licence"]


def fiftyone(dataset: Dataset, out: str, progress: Progress) -> tuple[int, dict[str, int]]:
    """FiftyOneDataset: metadata.json, samples.json and data/, one FiftyOne sample a triplet; open with
    `fiftyone.Dataset.from_dir(OUT, dataset_type=fiftyone.types.FiftyOneDataset)`.

    Fields: `ground_truth` (one instance with its mask, of scenes one a source that is seen), `audio_path` (below OUT),
    `key`, and the licences. The split is a tag, of scenes the kind is one, too.
    """
    total, done = dataset.manifest.tables[format.SAMPLES].rows, 0
    samples = []
    for sample in dataset.samples():
        record = sample.record
        image = record["image"]
        scene = "kind" in record
        photo = f"data/{sample.key}.jpg"
        audio = f"audio/{sample.key if scene else record['audio']['key']}.flac"
        masks = seen(dataset, sample) if scene else [(record["category"], mask(sample))]
        storage.write_atomic(storage.join(out, photo), sample.jpg)
        if not storage.exists(storage.join(out, audio)):
            storage.write_atomic(storage.join(out, audio), sample.flac)
        samples.append(
            {
                "_id": {"$oid": sample.key.ljust(24, "0")},
                "filepath": photo,
                "tags": [record["split"], *([record["kind"]] if scene else [])],
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
                        _detection(f"{sample.key}{place:04x}", category, pixels)
                        for place, (category, pixels) in enumerate(masks, start=0x1111)
                    ],
                },
                "key": sample.key,
                "audio_path": audio,
                "image_licence": image["licence"],
                "audio_licence": _audio_licence(sample) if scene else record["audio"]["licence"],
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
    return done, {}


def _detection(number: str, category: str, pixels: np.ndarray) -> dict[str, Any]:
    """FiftyOne's own form of one mask; number: 24 hexadecimal digits."""
    height, width = pixels.shape
    ys, xs = np.nonzero(pixels)
    x, y, w, h = (xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1) if len(xs) else (0, 0, 0, 0)
    return {
        "_id": {"$oid": number},
        "_cls": "Detection",
        "attributes": {},
        "tags": [],
        "label": category,
        "bounding_box": [int(x) / width, int(y) / height, int(w) / width, int(h) / height],
        "mask": {"$binary": {"base64": _packed(pixels[y : y + h, x : x + w]), "subType": "00"}},
    }


LAYOUTS: dict[str, Layout] = {
    "coco": coco,
    "fiftyone": fiftyone,
    "vpo": export_vpo.export,
    "avss": export_avss.export,
}
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


def _packed(instance: np.ndarray) -> str:
    """A boolean array as FiftyOne stores one: npy, compressed by zlib, in base64."""
    buffer = io.BytesIO()
    np.save(buffer, instance, allow_pickle=False)
    return base64.b64encode(zlib.compress(buffer.getvalue())).decode()


def _json(url: str, table: dict[str, Any]) -> None:
    storage.write_atomic(url, json.dumps(table, ensure_ascii=False).encode())
