"""The Arrow schemas of the tables beside the shards; `shards/README.md` says what each column holds."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shards import format, parquet_pages, storage
from shards.errors import AvsError


class TableError(AvsError):
    """A file that is not the Parquet table it should be; the message names it."""


# What a table may have for each byte of its file, and besides.
_ROWS_PER_BYTE, _ROWS_AT_LEAST = 2, 10_000
_TEXT_PER_BYTE, _TEXT_AT_LEAST = 100, 64 << 20  # bytes


def parquet(source: IO[bytes] | pa.BufferReader, **options: Any) -> pq.ParquetFile:
    """A Parquet file that this thread alone reads, if its methods get `use_threads=False`, too.

    A thread of Arrow that reads a file of Python may abort a program that ends: `program` tells why.
    """
    return pq.ParquetFile(source, pre_buffer=False, **options)


@contextmanager
def opened(url: str, columns: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    """A Parquet file at a path or URL that has these columns, while the block runs.

    Raises:
        TableError: no Parquet, cut short, or a column is missing. OSError: no such file.
    """
    with bytes_of(url) as file:
        found = parquet(file)
        _check_columns(url, found, columns)
        names = columns or found.schema_arrow.names
        _check_size(url, file, found.metadata, range(found.num_row_groups), names)
        yield found


def batches(url: str, columns: Sequence[str] = (), rows: int = 1 << 16) -> Iterator[pa.RecordBatch]:
    """A table without lists, so many rows at a time; raises as `read`.

    Args:
        columns: () for all.
    """
    with bytes_of(url) as file:
        found = parquet(file)
        _check_columns(url, found, columns)
        names = list(columns) or found.schema_arrow.names
        most = _check_size(url, file, found.metadata, range(found.num_row_groups), names)
        wanted = pa.schema([found.schema_arrow.field(name) for name in names])
        found = parquet(file, metadata=found.metadata, read_dictionary=_texts(found.metadata))
        for batch in found.iter_batches(rows, columns=names, use_threads=False):
            _check_texts(url, batch.columns, most)
            yield batch.select(names).cast(wanted)


@contextmanager
def bytes_of(url: str) -> Iterator[IO[bytes]]:
    """A file at a path or URL; what Arrow says of it while the block runs is a TableError."""
    with storage.open_read(url) as file:
        try:
            yield file
        except (pa.ArrowException, UnicodeDecodeError, parquet_pages.FalsePage) as error:
            raise TableError(_damaged(url, error)) from error
        except OSError as error:  # Arrow's own have no number
            if type(error) is OSError and error.errno is None:
                raise TableError(_damaged(url, error)) from error
            raise


def _damaged(url: str, error: Exception) -> str:
    told = " ".join(str(error).split()).rstrip(".")[:300]
    return f"{url} is damaged, or no Parquet table: {told}; make it again"


def read(url: str, columns: Sequence[str] | None = None, schema: pa.Schema | None = None) -> pa.Table:
    """A whole table, or some of its columns.

    Texts are read as dictionaries first: one that is repeated takes a few bytes in a file, and as many as it has, and
    as often, in memory.

    Args:
        schema: what the table must have, and no more.

    Raises:
        TableError: no Parquet, cut short, other columns, or it would take far more memory than disk. OSError: no such
            file.
    """
    with bytes_of(url) as file:
        found = parquet(file)
        known = found.schema_arrow.remove_metadata()
        if schema is not None and not known.equals(schema):
            raise TableError(_other_columns(url, known, schema))
        names = known.names if columns is None else list(dict.fromkeys(columns))
        _check_columns(url, found, names)
        return _plain(url, file, found.metadata, range(found.num_row_groups), names)


def metadata(url: str) -> pq.FileMetaData:
    """What the footer of a file says."""
    with bytes_of(url) as file:
        return parquet(file).metadata


def row_group(url: str, footer: pq.FileMetaData, group: int) -> pa.Table:
    """One row group of a file whose footer was read before; raises as `read`."""
    with bytes_of(url) as file:
        return _plain(url, file, footer, [group], footer.schema.to_arrow_schema().names)


def _plain(
    url: str, file: IO[bytes], footer: pq.FileMetaData, groups: Sequence[int], names: Sequence[str]
) -> pa.Table:
    most = _check_size(url, file, footer, groups, names)
    found = parquet(file, metadata=footer, read_dictionary=_texts(footer))
    # Lists of dictionaries come by group alone.
    parts = [found.read_row_group(group, names, use_threads=False) for group in groups]
    table = (pa.concat_tables(parts) if parts else found.read(names, use_threads=False)).select(names)
    _check_texts(url, table.columns, most)
    known = footer.schema.to_arrow_schema()
    return table.cast(pa.schema([known.field(name) for name in names], table.schema.metadata))


def _other_columns(url: str, found: pa.Schema, wanted: pa.Schema) -> str:
    if found.names != wanted.names:
        return f"{url} has the columns {found.names}; the format has {wanted.names}"
    differ = [f"{one.name} as {one.type}" for one, other in zip(found, wanted, strict=True) if one != other]
    return f"{url} has {', '.join(differ)}, which the format has otherwise"


def _texts(metadata: pq.FileMetaData) -> list[str]:
    columns = [metadata.schema.column(index) for index in range(metadata.num_columns)]
    return [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]


def _check_columns(url: str, found: pq.ParquetFile, wanted: Sequence[str]) -> None:
    if missing := [name for name in wanted if name not in found.schema_arrow.names]:
        raise TableError(f"{url} has no column {', '.join(missing)}: it is no table of this project")


def _check_texts(url: str, columns: Sequence[pa.ChunkedArray | pa.Array], most: int) -> None:
    if sum(map(_text_bytes, columns)) > most:
        raise TableError(
            f"{url} has texts of more than {most >> 20} MiB in all: it is no table of this project"
        )


def _check_size(
    url: str, file: IO[bytes], footer: pq.FileMetaData, groups: Iterable[int], names: Sequence[str]
) -> int:
    """By what the footer and the pages to read say, before they are read: the bytes of texts that all may have."""
    most = _TEXT_AT_LEAST + _TEXT_PER_BYTE * file.seek(0, os.SEEK_END)
    values = size = 0
    for group in map(footer.row_group, range(footer.num_row_groups)):
        chunks = [group.column(index) for index in range(group.num_columns)]
        values += max((chunk.num_values for chunk in chunks), default=0)
        size += sum(chunk.total_uncompressed_size for chunk in chunks)
    if max(values, footer.num_rows) > _ROWS_AT_LEAST + _ROWS_PER_BYTE * most // _TEXT_PER_BYTE or size > most:
        raise TableError(
            f"{url} says that it has {footer.num_rows:,} rows with {values:,} values and {size:,} bytes: more than "
            "a file of its size can hold"
        )
    parquet_pages.check(file, footer, most, groups, names)
    return most


def _text_bytes(column: pa.ChunkedArray | pa.Array) -> int:
    """Bytes of the texts of a column that was read as dictionaries."""
    if isinstance(column, pa.ChunkedArray):
        return sum(map(_text_bytes, column.chunks))
    if pa.types.is_list(column.type):
        return _text_bytes(column.flatten())
    if not pa.types.is_dictionary(column.type):
        return 0
    lengths = pc.binary_length(column.dictionary).cast(pa.int64())
    return pc.sum(lengths.take(column.indices)).as_py() or 0


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


def samples(targets: Sequence[str] = (), mask_sources: bool = False) -> pa.Schema:
    """SAMPLES, with what datasets of scenes (those with targets) have beside it, and who drew the mask, where told."""
    drawn = pa.schema({"mask_source": pa.string()} if mask_sources else {})
    if not targets:
        return pa.schema([*SAMPLES, *drawn])
    lists = {name: pa.list_(pa.string()) for name in ("categories", "clip_ids", "video_ids")}
    more = pa.schema({"kind": pa.string(), **lists})
    classes = _members((format.CLASSES,)) if "classes" in targets else {}
    return pa.schema([*SAMPLES, *more, *pa.schema(classes), *drawn])


def schemas(
    version: int = format.FORMAT_VERSION, targets: Sequence[str] = (), mask_sources: bool = False
) -> dict[str, pa.Schema]:
    """The tables of a version of the format, by file name. Version 1 did not tell the unit of a rejection."""
    rejections = REJECTIONS if version > 1 else REJECTIONS.remove(REJECTIONS.get_field_index("unit"))
    return {
        format.SAMPLES: samples(targets, mask_sources),
        format.POOL_TABLE: POOL,
        format.REJECTIONS: rejections,
    }


def of_unit(rejections: pa.Table | pa.RecordBatch, unit: str) -> pa.Table | pa.RecordBatch:
    """REJECTIONS that say what each item is: `masks`, `clips` or `samples`, as the funnel counts them."""
    place = REJECTIONS.get_field_index("unit")
    return rejections.set_column(place, REJECTIONS.field(place), pa.repeat(unit, rejections.num_rows))


def rejected(rows: list[dict[str, str | None]], unit: str) -> pa.Table:
    """Rows of `shards.rejections.rejection` as REJECTIONS of a unit, sorted."""
    table = of_unit(pa.Table.from_pylist(rows, schema=REJECTIONS), unit)
    return table.sort_by([(name, "ascending") for name in REJECTIONS.names])
