"""The Arrow schemas of the tables beside the shards; `shards/README.md` says what each column holds."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from shards import format, storage
from shards.errors import AvsError


class TableError(AvsError):
    """A file that is not the Parquet table it should be; the message names it."""


@contextmanager
def opened(url: str, columns: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    """A Parquet file at a path or URL that has these columns, while the block runs.

    Raises:
        TableError: no Parquet, cut short, or a column is missing. OSError: no such file.
    """
    with storage.open_read(url) as file:
        try:
            found = pq.ParquetFile(file)
            if missing := [name for name in columns if name not in found.schema_arrow.names]:
                raise TableError(f"{url} has no column {', '.join(missing)}: it is no table of this project")
            yield found
        except pa.ArrowException as error:
            told = " ".join(str(error).split())
            raise TableError(f"{url} is damaged, or no Parquet table: {told}; make it again") from error


def read(url: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A whole table, or some of its columns.

    Raises:
        TableError: no Parquet, cut short, or a column is missing. OSError: no such file.
    """
    with opened(url, columns or ()) as file:
        # Arrow's threads over a Python file may abort the interpreter as it exits.
        return file.read(None if columns is None else list(columns), use_threads=False)


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


def samples(targets: Sequence[str] = ()) -> pa.Schema:
    """SAMPLES, with what datasets of scenes have beside it: those that have targets."""
    if not targets:
        return SAMPLES
    lists = {name: pa.list_(pa.string()) for name in ("categories", "clip_ids", "video_ids")}
    more = pa.schema({"kind": pa.string(), **lists})
    classes = _members((format.CLASSES,)) if "classes" in targets else {}
    return pa.schema([*SAMPLES, *more, *pa.schema(classes)])


def schemas(version: int = format.FORMAT_VERSION, targets: Sequence[str] = ()) -> dict[str, pa.Schema]:
    """The tables of a version of the format, by file name. Version 1 did not tell the unit of a rejection."""
    rejections = REJECTIONS if version > 1 else REJECTIONS.remove(REJECTIONS.get_field_index("unit"))
    return {format.SAMPLES: samples(targets), format.POOL_TABLE: POOL, format.REJECTIONS: rejections}


def of_unit(rejections: pa.Table | pa.RecordBatch, unit: str) -> pa.Table | pa.RecordBatch:
    """REJECTIONS that say what each item is: `masks`, `clips` or `samples`, as the funnel counts them."""
    place = REJECTIONS.get_field_index("unit")
    return rejections.set_column(place, REJECTIONS.field(place), pa.repeat(unit, rejections.num_rows))


def rejected(rows: list[dict[str, str | None]], unit: str) -> pa.Table:
    """Rows of `shards.rejections.rejection` as REJECTIONS of a unit, sorted."""
    table = of_unit(pa.Table.from_pylist(rows, schema=REJECTIONS), unit)
    return table.sort_by([(name, "ascending") for name in REJECTIONS.names])
