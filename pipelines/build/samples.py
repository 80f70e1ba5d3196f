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
from shards.rejections import Reason, Rejected, rejection
from shards.writer import Content, Member


def write_samples(table: pa.Table, corpora: str, out: str, recipe: Recipe, label_map: LabelMap) -> Outcome:
    """Write one shard of paired samples; kept rows are `shards.tables.SAMPLES`."""

    def encode(row: dict[str, Any], rejections: parts.Rejections) -> parts.Encoded | None:
        try:
            photo = _photo(storage.join(corpora, row["image_path"]), row["width"], row["height"])
        except Rejected as error:
            rejections.append(
                rejection("shard", row["sample_id"], error.reason, error.detail, row["category"])
            )
            return None
        mask = Content.of(masks.to_png({"size": [row["height"], row["width"]], "counts": row["counts"]}))
        flac, clip = _clip(row, out)
        row["clip"] = clip
        record = Content.of(
            format.json_bytes(sample_record(row, recipe, label_map, photo.sha256, mask.sha256))
        )
        sound = Content(flac, clip["sha256"])
        contents = {"flac": sound, "jpg": photo, "json": record, "mask.png": mask}
        return row["key"], contents

    return parts.write(table, out, tables.SAMPLES, encode, _row)


def _photo(url: str, width: int, height: int) -> Content:
    try:
        content = storage.read_bytes(url)
    except FileNotFoundError as error:
        raise Rejected(Reason.IMAGE_MISSING, "gone since it was measured") from error
    images.check(content, width, height)
    return Content.of(content)


def _clip(row: dict[str, Any], out: str) -> tuple[bytes, dict[str, Any]]:
    """Sound and record of the clip a sample hears: neighbours in the pool's shard."""
    start, end = row["clip_flac_offset"], row["clip_json_offset"] + row["clip_json_size"]
    content = storage.read_range(storage.join(out, row["clip_shard"]), start, end - start)
    return content[: row["clip_flac_size"]], json.loads(content[-row["clip_json_size"] :])


def sample_record(
    row: dict[str, Any], recipe: Recipe, label_map: LabelMap, photo_sha256: str, mask_sha256: str
) -> dict[str, Any]:
    """KEY.json of a sample, as `shards/README.md` has it."""
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
            "sha256": photo_sha256,
            **{name: row[name] or "" for name in ("licence", "licence_url", "author")},
            "url": row["image_url"] or "",
            "photo_keys": sorted({row["image_id"], *row["photo_keys"]}),
            "labels": [
                label_link(label_map, row["corpus"], label_id, label)
                for label_id, label in zip(row["label_ids"], row["labels"], strict=True)
            ],
        },
        "mask": {
            "ids": row["mask_ids"],
            "policy": recipe.select.instances,
            "area_px": row["area_px"],
            "area_fraction": row["area_fraction"],
            "bbox": [row["bbox_x"], row["bbox_y"], row["bbox_w"], row["bbox_h"]],
            "sha256": mask_sha256,
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
