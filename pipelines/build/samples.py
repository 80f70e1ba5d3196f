"""Stage shard: the photo, the mask, the sound and the record of every sample of one shard."""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from label_maps import LabelMap
from pipelines.build import parts
from pipelines.build.outcome import Outcome
from pipelines.build.pool import label_link
from pipelines.media import images, masks
from pipelines.recipes.recipe import Recipe
from shards import format, storage, tables
from shards.guard import guarded
from shards.rejections import Reason, Rejected, rejection
from shards.writer import Content, Member


def write_samples(table: pa.Table, corpora: str, out: str, recipe: Recipe, label_map: LabelMap) -> Outcome:
    """Write one shard of paired samples; kept rows are `shards.tables.SAMPLES`."""

    def encode(row: dict[str, Any], rejections: parts.Rejections) -> parts.Encoded | None:
        made = guarded(row["sample_id"], lambda: _contents(row, corpora, out, recipe, label_map))
        if isinstance(made, Rejected):
            rejections.append(rejection("shard", row["sample_id"], made.reason, made.detail, row["category"]))
            return None
        return row["key"], made

    return parts.write(table, out, tables.SAMPLES, encode, _row)


def _contents(
    row: dict[str, Any], corpora: str, out: str, recipe: Recipe, label_map: LabelMap
) -> dict[str, Content]:
    """The four members; `row` gets the record of its `clip`."""
    url = storage.join(corpora, row["image_path"])
    source = Content.of(images.read(url, Reason.IMAGE_MISSING, Reason.IMAGE_UNREADABLE))
    photo = Content.of(images.checked(source.data, row["width"], row["height"]))
    mask = Content.of(masks.to_png({"size": [row["height"], row["width"]], "counts": row["counts"]}))
    flac, row["clip"] = _clip(row, out)
    hashes = {"source": source.sha256, "photo": photo.sha256, "mask": mask.sha256}
    record = Content.of(format.json_bytes(sample_record(row, recipe, label_map, hashes)))
    sound = Content(flac, row["clip"]["sha256"])
    return {"flac": sound, "jpg": photo, "json": record, "mask.png": mask}


def _clip(row: dict[str, Any], out: str) -> tuple[bytes, dict[str, Any]]:
    """Sound and record of the clip a sample hears: neighbours in the pool's shard."""
    start, end = row["clip_flac_offset"], row["clip_json_offset"] + row["clip_json_size"]
    content = storage.read_range(storage.join(out, row["clip_shard"]), start, end - start)
    return content[: row["clip_flac_size"]], json.loads(content[-row["clip_json_size"] :])


EXHAUSTIVE = {True: "yes", False: "no", None: ""}  # how KEY.json says it


def sample_record(
    row: dict[str, Any], recipe: Recipe, label_map: LabelMap, hashes: Mapping[str, str]
) -> dict[str, Any]:
    """KEY.json of a sample, as `shards/README.md` has it; `hashes` of the source's photo, the photo and the mask."""
    return {
        "key": row["key"],
        "sample_id": row["sample_id"],
        "split": row["split"],
        "category": row["category"],
        "component": row["component"],
        "pairing": {"seed": recipe.seed, "epoch": 0},
        "image": {
            "id": row["image_id"],
            "corpus": row["corpus"],
            "width": row["width"],
            "height": row["height"],
            "sha256": hashes["photo"],
            "source_sha256": hashes["source"],
            **{name: row[name] or "" for name in ("licence", "licence_url", "author")},
            "url": row["image_url"] or "",
            "photo_keys": sorted({row["image_id"], *row["photo_keys"]}),
            "labels": [label_link(label_map, row["corpus"], label_id) for label_id in row["label_ids"]],
        },
        "mask": {
            "ids": row["mask_ids"],
            "policy": recipe.select.instances,
            "area_px": row["area_px"],
            "area_fraction": row["area_fraction"],
            "bbox": [row["bbox_x"], row["bbox_y"], row["bbox_w"], row["bbox_h"]],
            "sha256": hashes["mask"],
            "exhaustive": EXHAUSTIVE[row["exhaustive"]],
        },
        "audio": {name: value for name, value in row["clip"].items() if name not in ("categories", "split")},
    }


def _row(row: dict[str, Any], members: Mapping[str, Member]) -> dict[str, Any]:
    return {
        **{name: row[name] for name in tables.SAMPLES.names if name in row},
        **parts.member_columns(members),
        "duration_s": row["clip"]["duration_s"],
        "clip_id": row["clip_id"],
        "video_id": row["clip"]["video_id"],
        "image_licence": row["licence"],
        "audio_licence": row["clip"]["licence"] or None,
    }
