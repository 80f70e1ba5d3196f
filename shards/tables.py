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
    {name: pa.string() for name in ("stage", "unit", "item", "reason", "detail", "category")},
)


def schemas(version: int = format.FORMAT_VERSION) -> dict[str, pa.Schema]:
    """The tables of a version of the format, by file name. Version 1 did not tell the unit of a rejection."""
    rejections = REJECTIONS if version > 1 else REJECTIONS.remove(REJECTIONS.get_field_index("unit"))
    return {format.SAMPLES: SAMPLES, format.POOL_TABLE: POOL, format.REJECTIONS: rejections}


def of_unit(rejections: pa.Table | pa.RecordBatch, unit: str) -> pa.Table | pa.RecordBatch:
    """REJECTIONS that say what each item is: `masks`, `clips` or `samples`, as the funnel counts them."""
    place = REJECTIONS.get_field_index("unit")
    return rejections.set_column(place, REJECTIONS.field(place), pa.repeat(unit, rejections.num_rows))


def rejected(rows: list[dict[str, str | None]], unit: str) -> pa.Table:
    """Rows of `shards.rejections.rejection` as REJECTIONS of a unit, sorted."""
    table = of_unit(pa.Table.from_pylist(rows, schema=REJECTIONS), unit)
    return table.sort_by([(name, "ascending") for name in REJECTIONS.names])
