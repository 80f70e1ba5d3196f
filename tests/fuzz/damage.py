"""What may be wrong with bytes, JSON, a table, a file: drawn from a generator, so that a seed says all."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ESCAPES = (
    "../escape", "../../escape", "../../../escape", "/tmp/avs-fuzz-escape", "train/../../escape", "a\\..\\escape", "",
    ".", "..", "a\0b", "x" * 5_000, "\ud7ff\u202e", "train/train-000000.tar\n", "\x1b[31m", "<script>alert(1)</script>",
    "http://127.0.0.1:9/x", "file:///dev/zero", "/dev/zero", "/dev/stdin", "-", "CON", "{0}", "%s%n", "='1'+1",
)  # fmt: skip
NUMBERS = (
    -1, 0, 1, 7, 511, 512, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, -(2**63), 10**12, 10**18, 10**30, 0.5, -0.0,
    1e308, float("nan"), float("inf"),
)  # fmt: skip
OTHER: tuple[Any, ...] = (None, True, [], {}, [[]], "", "text", 3, {"a": 1}, ["a"] * 3)


def of_bytes(random: Random, content: bytes) -> bytes:
    """Bytes with a few of them wrong, a part missing, a part twice, or others altogether."""
    size = len(content)
    at = random.randrange(size + 1)
    end = min(size, at + random.choice((1, 8, 512, size)))
    return random.choice(
        (
            lambda: content[:at],
            lambda: content[at:],
            lambda: b"",
            lambda: content[:at] + content[end:],
            lambda: content[:at] + content[at:end] * 3 + content[end:],
            lambda: content[:at] + bytes(end - at) + content[end:],
            lambda: content[:at] + random.randbytes(end - at) + content[end:],
            lambda: (
                content[:at]
                + bytes(byte ^ 1 << random.randrange(8) for byte in content[at:end])
                + content[end:]
            ),
            lambda: random.randbytes(random.randrange(2_000)),
            lambda: random.choice((b"[", b'{"a":', b"((", b'"')) * 200_000,
            lambda: random.choice((b"\xff\xfe", b"\xef\xbb\xbf", b"\0")) + content,
            lambda: content.replace(b"1", random.choice((b"-1", b"1e999", b"9" * 400, b"NaN", b'"1"'))),
        )
    )()


def of_json(random: Random, value: Any) -> Any:
    """A JSON value with one place of it wrong."""
    places = list(_places(value))
    if not places or random.random() < 0.03:
        return random.choice(OTHER)
    holder, key = random.choice(places)
    found = holder[key]
    kind = random.random()
    if kind < 0.15 and isinstance(holder, dict):
        del holder[key]
    elif kind < 0.25 and isinstance(holder, dict):
        holder[random.choice(ESCAPES)] = holder.pop(key)
    elif kind < 0.35 and isinstance(found, list):
        holder[key] = found * random.choice((0, 2, 3))
    elif isinstance(found, str) and kind < 0.8:
        holder[key] = random.choice(
            (*ESCAPES, found + random.choice(("x", "/..", " ", "\n")), found.upper(), found[:-1])
        )
    elif isinstance(found, (int, float)) and kind < 0.8:
        holder[key] = random.choice((*NUMBERS, found + 1, -found))
    else:
        holder[key] = random.choice(OTHER)
    return value


def _places(value: Any) -> Any:
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


def of_text(random: Random, text: str, lines: bool = True) -> bytes:
    """A text (TOML, CSV) with a line, a value or its bytes wrong."""
    kind = random.random()
    if kind < 0.3:
        return of_bytes(random, text.encode())
    rows = text.splitlines(keepends=True)
    at = random.randrange(len(rows))
    if kind < 0.5:
        rows[at : at + 1] = rows[at : at + 1] * random.choice((0, 2))
    else:
        cut = sorted(random.randrange(len(rows[at]) + 1) for _ in range(2))
        new = str(random.choice((*ESCAPES, *NUMBERS, '"', ",", "\n", "[", "é" * 10)))
        rows[at] = rows[at][: cut[0]] + new + rows[at][cut[1] :]
    return "".join(rows).encode(errors="surrogatepass")


def of_table(random: Random, path: Path) -> None:
    """A Parquet file with a column, its type, its values or its order wrong; or that holds very much in little."""
    table = pq.read_table(path)
    place = random.randrange(table.num_columns)
    name, column = table.column_names[place], table.column(place)

    def values(given: list[Any], kind: pa.DataType) -> pa.Table:
        try:
            return table.set_column(place, name, pa.array(given, kind))
        except (pa.ArrowException, OverflowError, ValueError, TypeError):
            return table.set_column(place, name, pa.array([str(one) for one in given]))

    def one_value() -> pa.Table:
        given = column.to_pylist()
        if not given:
            return table
        new: Any = random.choice((*ESCAPES, None))
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            new = random.choice((*NUMBERS, None))
        elif pa.types.is_list(column.type):
            new = random.choice((None, [], [None], [random.choice(ESCAPES)], ["x"] * 10_000))
        given[random.randrange(len(given))] = new
        return values(given, column.type)

    def repeated() -> pa.Table:
        """One long text in each of many rows: some hundred bytes of Parquet."""
        rows = random.choice((1_000, 100_000))
        text = pa.array(["x" * random.choice((10, 100_000))]).dictionary_encode()
        long = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), text.dictionary)
        columns = [pa.nulls(rows, field.type) for field in table.schema]
        made = pa.table(columns, schema=table.schema)
        return made.set_column(place, name, long)

    changed = random.choice(
        (
            lambda: table.drop_columns([name]),
            lambda: table.rename_columns([*table.column_names[:-1], random.choice(ESCAPES)]),
            lambda: table.append_column("more", pa.array([0] * len(table))),
            lambda: values(column.to_pylist()[::-1], column.type),
            lambda: values([random.choice(OTHER[:2] + OTHER[5:8])] * len(table), pa.string()),
            lambda: table.slice(random.randrange(len(table) + 1)),
            lambda: pa.concat_tables([table, table]),
            lambda: table.take(list(range(len(table)))[::-1]),
            lambda: pa.table({"a": [1, 2]}),
            one_value, one_value, one_value, one_value, one_value, one_value,
            repeated,
        )
    )()  # fmt: skip
    pq.write_table(changed, path, compression="zstd", store_schema=random.random() < 0.8)


def of_page(random: Random, path: Path) -> None:
    """A Parquet file with numbers wrong in a page's header, which the footer knows nothing of."""
    table = pq.read_table(path)
    pq.write_table(table, path, compression=random.choice(("none", "zstd")), write_statistics=False)
    groups = pq.read_metadata(path)
    if not groups.num_row_groups:
        return
    column = groups.row_group(0).column(random.randrange(groups.num_columns))
    starts = [at for at in (column.dictionary_page_offset, column.data_page_offset) if at is not None]
    content, at = bytearray(path.read_bytes()), random.choice(starts)
    for _ in range(random.choice((1, 1, 4))):
        content[at + random.randrange(24)] = random.choice((0, 1, 127, 255, random.randrange(256)))
    if random.random() < 0.3:  # the size that it unpacks to is 2 GiB
        content[at + 2 : at + 8] = b"\x15\xfe\xff\xff\xff\x0f"
    path.write_bytes(content)


def of_file(random: Random, path: Path) -> None:
    """What lies under a name: nothing, a folder, a pipe, a device, a link into nowhere or into a ring, far too much."""
    path.unlink()
    choice: list[Callable[[], object]] = [
        lambda: None,
        path.mkdir,
        lambda: os.mkfifo(path),
        lambda: path.symlink_to("/dev/zero"),
        lambda: path.symlink_to("/dev/stdin"),
        lambda: path.symlink_to("nowhere"),
        lambda: path.symlink_to(path.name),
        lambda: _sparse(path, random.choice((1 << 33, 1 << 40))),
        path.touch,
    ]
    random.choice(choice)()


def _sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def dumped(value: Any) -> bytes:
    try:
        return json.dumps(value).encode()
    except ValueError:
        return b"{}"
