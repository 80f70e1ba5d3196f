"""Tables are read as what they say that they are, or refused before they take memory."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shards import tables
from shards.tables import TableError


@pytest.mark.parametrize("nested", [False, True], ids=["texts", "lists"])
def test_much_in_little_is_not_unpacked(nested: bool, tmp_path: Path) -> None:
    """A megabyte of text in each of 9,000 rows takes two kilobytes of Parquet, and nine gigabytes of memory."""
    long = pa.DictionaryArray.from_arrays(pa.array([0] * 9_000, pa.int32()), pa.array(["x" * 1_000_000]))
    column = pa.ListArray.from_arrays(pa.array(range(9_001), pa.int32()), long) if nested else long
    pq.write_table(pa.table({"a": column}), tmp_path / "a.parquet", compression="zstd", store_schema=False)
    before = pa.total_allocated_bytes()
    with pytest.raises(TableError, match="texts of more than 64 MiB"):
        tables.read(str(tmp_path / "a.parquet"))
    footer = tables.metadata(str(tmp_path / "a.parquet"))
    with pytest.raises(TableError, match="texts of more than 64 MiB"):
        tables.row_group(str(tmp_path / "a.parquet"), footer, 0)
    if not nested:
        with pytest.raises(TableError, match="texts of more than 64 MiB"):
            list(tables.batches(str(tmp_path / "a.parquet")))
    assert pa.default_memory_pool().max_memory() - before < 1 << 30
    rows = pa.table({"a": pa.array([0] * 3_000_000, pa.int64())})
    pq.write_table(rows, tmp_path / "b.parquet", compression="zstd")
    with pytest.raises(TableError, match="3,000,000 rows"):
        tables.read(str(tmp_path / "b.parquet"))


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", ["none", "zstd", "snappy"])
def test_pages_of_all_kinds_are_what_their_footer_says(version: str, codec: str, tmp_path: Path) -> None:
    rows = pa.table(
        {
            "text": [None if row % 7 == 0 else f"text {row % 5}" for row in range(3_000)],
            "other": [f"text {row}" * 9 for row in range(3_000)],
            "lists": [[], ["a", None], ["b"]] * 1_000,
            "nested": [{"a.b": 1.5, "c": [b"x"]}] * 3_000,
            "nested.c": list(range(3_000)),
        }
    )
    path = str(tmp_path / "a.parquet")
    pq.write_table(
        rows,
        path,
        compression=codec,
        data_page_version=version,
        row_group_size=1_000,
        data_page_size=512,
        write_page_index=True,
        write_page_checksum=True,
    )
    assert tables.read(path).equals(rows)
    assert tables.read(path, ["nested.c", "text"]).equals(rows.select(["nested.c", "text"]))
    assert tables.row_group(path, tables.metadata(path), 1).equals(rows.slice(1_000, 1_000))
    flat = rows.select(["text", "other"])
    assert pa.Table.from_batches(tables.batches(path, ["text", "other"], 700)).equals(flat)


def varint(number: int) -> bytes:
    """Of Thrift's compact protocol."""
    return b"" if number < 0 else bytes([number & 127 | 128 * (number > 127)]) + varint((number >> 7) or -1)


def page_header(unpacked: int, packed: int, values: int, room: int) -> bytes:
    """Of a page of data; an unknown field of text fills what is left of so many bytes."""
    numbers = [b"\x15" + varint(2 * number) for number in (0, unpacked, packed)]
    inner = [b"\x15" + varint(2 * number) for number in (values, 0, 3, 3)]
    start = b"".join([*numbers, b"\x2c", *inner, b"\0"])
    fill = next(fill for fill in range(room) if len(start) + 2 + len(varint(fill)) + fill == room)
    return start + b"\x48" + varint(fill) + bytes(fill) + b"\0"


LIES = {
    "512 MiB in 16 kB": (None, None, None, "unpack to more than such a file holds"),
    "2 GiB that are not there": (2**31 - 1, None, None, "unpack to more than such a file holds"),
    "too many values": (80_000, None, 2**31 - 1, "have 2,147,483,647 values, and the footer says 10,000"),
    "too few values": (80_000, None, 9_999, "have 9,999 values, and the footer says 10,000"),
    "a page beyond its column": (80_000, 2**31 - 1, None, "after its column"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_page_that_lies_is_not_read(lie: str, tmp_path: Path) -> None:
    path, kept = tmp_path / "a.parquet", np.random.default_rng(0).integers(2**62, size=10_000)
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False)])
    pq.write_table(pa.table({"a": kept}, schema), path, compression="zstd", use_dictionary=False)
    column = pq.read_metadata(path).row_group(0).column(0)
    start, size = column.data_page_offset, column.total_compressed_size
    unpacked, packed, values, message = LIES[lie]
    body = pa.compress(bytes(unpacked if unpacked == 80_000 else 1 << 29), "zstd", asbytes=True)
    left = size - len(body) - 64  # a frame that is skipped fills it, and the header 64 bytes
    body += b"\x50\x2a\x4d\x18" + (left - 8).to_bytes(4, "little") + bytes(left - 8)
    header = page_header(unpacked or 1 << 29, packed or len(body), values or 10_000, 64)
    content = path.read_bytes()
    path.write_bytes(content[:start] + header + body + content[start + size :])
    before = pa.default_memory_pool().max_memory()
    with pytest.raises(TableError, match=message):
        tables.read(str(path))
    with pytest.raises(TableError, match=message), tables.opened(str(path)):
        pass
    assert pa.default_memory_pool().max_memory() == before


def test_damage_that_arrow_meets_names_the_table(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [f"text {row}" for row in range(1_000)]}), path, compression="zstd")
    content = bytearray(path.read_bytes())
    content[200:300] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(TableError, match=rf"{re.escape(str(path))} is damaged.*; make it again"):
        tables.read(str(path))
