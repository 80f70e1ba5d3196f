"""The Arrow schemas of the tables beside the shards; `shards/README.md` says what each column holds."""

import pyarrow as pa

from shards import format


def _members(extensions: tuple[str, ...]) -> dict[str, pa.DataType]:
    return {
        f"{column(extension)}_{part}": dtype
        for extension in extensions
        for part, dtype in (("offset", pa.int64()), ("size", pa.int64()), ("sha256", pa.string()))
    }


def column(extension: str) -> str:
    """`mask.png` -> `mask_png`: how an extension is spelt in a column name."""
    return extension.replace(".", "_")


SAMPLES = pa.schema(
    {
        "key": pa.string(),
        "sample_id": pa.string(),
        "split": pa.string(),
        "category": pa.string(),
        "shard": pa.string(),
        **_members(format.SAMPLE_MEMBERS),
        "image_id": pa.string(),
        "clip_id": pa.string(),
        "video_id": pa.string(),
        "component": pa.string(),
        "width": pa.int32(),
        "height": pa.int32(),
        "area_px": pa.int64(),
        "area_fraction": pa.float64(),
        "bbox_x": pa.int32(),
        "bbox_y": pa.int32(),
        "bbox_w": pa.int32(),
        "bbox_h": pa.int32(),
        "duration_s": pa.float64(),
        "mask_ids": pa.list_(pa.string()),
        "image_licence": pa.string(),
        "audio_licence": pa.string(),
    }
)

POOL = pa.schema(
    {
        "key": pa.string(),
        "clip_id": pa.string(),
        "video_id": pa.string(),
        "split": pa.string(),
        "categories": pa.list_(pa.string()),
        "shard": pa.string(),
        **_members(format.CLIP_MEMBERS),
        "label": pa.string(),
        "start_s": pa.float64(),
        "duration_s": pa.float64(),
        "official_split": pa.string(),
        "licence": pa.string(),
    }
)

REJECTIONS = pa.schema(
    {name: pa.string() for name in ("stage", "item", "reason", "detail", "category")},
)
