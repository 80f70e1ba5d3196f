"""Tables that wait for other tables: files below the work folder, so that a shuffle holds only where they are.

A file is Arrow IPC streams one after another and is named by its content: two attempts write the same file. What a
runner keeps of a dataset, in memory or on the wire, is then some hundred bytes for thousands of rows.
"""

import hashlib
import sys
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shards import storage

Slice = tuple[str, int, int]  # URL, first byte, bytes


def encode(table: pa.Table) -> pa.Buffer:
    """One compressed Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return sink.getvalue()


def decode(encoded: bytes | pa.Buffer) -> pa.Table:
    return pa.ipc.open_stream(encoded).read_all()


def write(tables: Iterable[pa.Table], folder: str) -> list[Slice]:
    """Write tables to one file below `folder`; where each of them is."""
    content = bytearray()
    ends = []
    for table in tables:
        content += encode(table)
        ends.append(len(content))
    url = storage.join(folder, f"{hashlib.sha256(content).hexdigest()[:32]}.arrow")
    storage.write_atomic(url, content, durable=False)
    return [(url, start, end - start) for start, end in pairwise([0, *ends])]


def read(found: Slice) -> pa.Table:
    return decode(storage.read_range(*found))


def read_all(found: Iterable[Slice]) -> pa.Table:
    """The rows of many slices as one table, in the order of the slices' names."""
    (table,) = read_in_parts(found, sys.maxsize)
    return table


def read_in_parts(found: Iterable[Slice], rows: int) -> Iterator[pa.Table]:
    """The same rows as tables of so many, the last slice of each whole."""
    ordered = sorted(found)
    waiting: list[pa.Table] = []
    lacking = rows
    for table in storage.together(ordered[0][0], read, ordered):
        waiting.append(table)
        lacking -= len(table)
        if lacking <= 0:
            yield pa.concat_tables(waiting).combine_chunks()
            waiting, lacking = [], rows
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def divide(table: pa.Table, values: pa.Array) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each value of a text array as long as the table, in their order; values in the order of text."""
    encoded = values.dictionary_encode()
    order = pc.sort_indices(values)  # stable
    table = table.take(order)
    sizes = np.bincount(encoded.indices.to_numpy(), minlength=len(encoded.dictionary))
    counts = sorted(zip(encoded.dictionary.to_pylist(), sizes.tolist(), strict=True))
    start = 0
    for value, size in counts:
        yield value, table.slice(start, size)
        start += size
