"""The streaming JSON reader against json.loads, at block sizes that cut everywhere."""

import io
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.corpora.json_stream import JsonStream, fields, value_end
from pipelines.corpora.source import CorpusError


class Row(msgspec.Struct):
    id: int
    body: msgspec.Raw


def read(text: bytes, block_bytes: int = 16) -> tuple[dict, list]:
    """Every key: arrays of objects as rows, anything else decoded whole; and the faults."""
    stream = JsonStream(io.BytesIO(text), "x.json", block_bytes)
    found, faults = {}, []
    for key in stream.keys():  # noqa: SIM118
        if key == "rows":
            blocks = list(stream.array(Row))
            found[key] = [
                {"id": row.id, "body": json.loads(bytes(row.body))} for b in blocks for row in b.rows
            ]
            faults += [fault for block in blocks for fault in block.faults]
        elif key != "skipped":
            found[key] = stream.value()
    return found, faults


TRICKY = st.sampled_from(["},{", "}, {", '"}, {"', "\\", '\\"', "]", "[{", "}\n,\n{", "é", "\U0001f600", "a"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TRICKY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TRICKY, inner, max_size=3),
    max_leaves=8,
)
ROWS = st.lists(
    st.builds(lambda body, number: {"body": body, "id": number}, JSON, st.integers(0, 99)), max_size=8
)


@settings(max_examples=200, deadline=None)
@given(
    rows=ROWS,
    other=JSON,
    skipped=ROWS | JSON,
    order=st.permutations(["rows", "other", "skipped"]),
    block_bytes=st.integers(1, 64),
    indent=st.sampled_from([None, 0, 2]),
    ascii_only=st.booleans(),
)
def test_reads_what_json_reads(rows, other, skipped, order, block_bytes, indent, ascii_only):
    document = {key: {"rows": rows, "other": other, "skipped": skipped}[key] for key in order}
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode()
    found, faults = read(text, block_bytes)
    assert found == {key: value for key, value in document.items() if key != "skipped"}
    assert not faults


@given(value=JSON)
def test_value_end_is_where_the_value_ends(value):
    text = json.dumps(value).encode()
    assert value_end(text + b",", 0) == len(text)
    if text[:1] in b'{["':
        assert value_end(text[:-1], 0) is None


def test_every_truncation_is_an_error():
    text = json.dumps(
        {"skipped": [{"a": "}, {"}], "other": [1, "x"], "rows": [{"id": 1, "body": [2]}]}
    ).encode()
    read(text)
    for length in range(len(text)):
        with pytest.raises(CorpusError, match=r"x\.json, byte \d+: .*(the end|ends inside|empty)"):
            read(text[:length])


@pytest.mark.parametrize("block_bytes", [1, 16, 1000])
def test_a_malformed_byte_is_named(block_bytes):
    text = b'{"other": 1, "rows": [{"id": 1, "body": 1}, {"id": 2, "body": tru}, {"id": 3, "body": 3}]}'
    with pytest.raises(CorpusError) as caught:
        read(text, block_bytes)
    assert text.index(b"tru}") <= int(caught.value.position.split()[1]) <= text.index(b"tru}") + 4


def test_the_position_of_an_error_is_exact_far_into_a_file():
    rows = b", ".join(b'{"id": %d, "body": "%s"}' % (n, b"x" * 50) for n in range(500))
    text = b'{"rows": [' + rows + b', {"id": 7, "body": 01}]}'
    with pytest.raises(CorpusError) as caught:
        read(text, 4096)
    offset = int(caught.value.position.split()[1])
    assert abs(offset - text.index(b"01}")) <= 1
    assert "invalid number" in caught.value.rule


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (b"", "the file is empty"),
        (b"  \n", "the file is empty"),
        (b"[1, 2]", "expected a JSON object"),
        (b"id,start,label\n", "expected a JSON object"),
        (b'{"a": 1} {"b": 2}', "expected the end of the file"),
        (b'{"a": 1, "a": 2}', "the key 'a' appears twice"),
        (b'{"a" 1}', "expected ':' after the key 'a'"),
        (b'{"rows": 5}', "expected an array of objects"),
        (b'{"rows": [1, 2]}', "expected an array of objects"),
        (b'{"rows": [{"id": 1, "body": 1} {"id": 2, "body": 1}]}', "expected ',' and a value, or ']'"),
        (b'{"rows": [{"id": 1, "body": 1},]}', "expected ',' and a value, or ']'"),
        (b'{"other": ' + b"[" * 5000 + b"]" * 5000 + b"}", "nested too deep"),
        (b'{"rows": [{"id": 1, "body": NaN}]}', "invalid character"),
        (b'{"rows": [{"id": 1, "body": "\x00"}]}', "invalid character"),
    ],
)
def test_what_is_no_such_file_is_refused(text, rule):
    for block_bytes in (3, 100_000):
        with pytest.raises(CorpusError) as caught:
            read(text, block_bytes)
        assert rule in str(caught.value)


def test_a_string_that_never_closes_does_not_load_the_whole_file(monkeypatch):
    monkeypatch.setattr("pipelines.corpora.json_stream.LARGEST_OBJECT_BYTES", 10_000)
    text = b'{"rows": [{"id": 1, "body": "' + b"x" * 200_000 + b'"}]}'
    file = io.BytesIO(text)
    with pytest.raises(CorpusError, match="byte 10: the object that starts here is longer than 10000 bytes"):
        list(JsonStream(file, "x.json", 1000).keys())
    assert file.tell() < 50_000


@pytest.mark.parametrize("block_bytes", [1, 40, 1000])
def test_an_object_of_another_type_is_a_fault_and_costs_no_other(block_bytes):
    objects = [{"id": 0, "body": 0}, {"id": "one", "body": 1}, {"id": 2}, {"id": 3, "body": "}, {"}, 5]
    found, faults = read(json.dumps({"rows": objects}).encode(), block_bytes)
    assert found["rows"] == [objects[0], objects[3]]
    assert [(fault.index, json.loads(fault.raw)) for fault in faults] == [
        (row, objects[row]) for row in (1, 2, 4)
    ]
    assert "Expected `int`, got `str`" in faults[0].message
    assert "missing required field `body`" in faults[1].message
    assert "Expected `object`, got `int`" in faults[2].message


def test_a_byte_order_mark_is_passed_over():
    assert read(b'\xef\xbb\xbf{"other": 1}')[0] == {"other": 1}


def test_a_value_can_be_read_again_from_its_position():
    text = json.dumps({"rows": [{"id": n, "body": n} for n in range(30)], "other": 2}).encode()
    stream = JsonStream(io.BytesIO(text), "x.json", 32)
    position = next(stream.position for key in stream.keys() if key == "rows")  # noqa: SIM118
    stream.seek(position)
    assert [row.id for block in stream.array(Row) for row in block.rows] == list(range(30))


@pytest.mark.parametrize("block_bytes", [1, 40, 100_000])
def test_an_object_nested_too_deep_costs_no_other(block_bytes):
    deep = b"[" * 5000 + b"]" * 5000
    text = (
        b'{"rows": [{"id": 1, "body": 0}, {"id": 2, "body": '
        + deep
        + b'}, {"id": 3, "body": 0}], "other": 5}'
    )
    found, faults = read(text, block_bytes)
    assert [row["id"] for row in found["rows"]] == [1, 3]
    assert found["other"] == 5
    assert [(fault.index, fault.message) for fault in faults] == [(1, "brackets nested too deep")]
    assert fields(faults[0].raw, ("id", "body")) == {"id": 2}


@given(row=st.dictionaries(TRICKY, JSON, max_size=5), indent=st.sampled_from([None, 1]))
def test_fields_are_those_of_json_loads(row, indent):
    text = json.dumps(row, indent=indent).encode()
    for wanted in ((), tuple(row)[:2], tuple(row)):
        assert fields(text, wanted) == {key: row[key] for key in wanted}


def test_fields_of_what_is_no_object():
    for text in (b"", b"5", b'"a"', b"{", b'{"a"', b'{"a":', b'{"a":1'):
        assert fields(text, ("a",)) in ({}, {"a": 1})
    assert fields(b'{"a": "\xf6", "b": 2}', ("a", "b")) == {"b": 2}


class Named(msgspec.Struct):
    id: int
    name: str


@pytest.mark.parametrize("block_bytes", [3, 64, 1 << 20])
@pytest.mark.parametrize("key", ["rows", "info", "named"])
def test_a_byte_that_is_not_utf8_is_named(key, block_bytes):
    row = {"id": 1, "name": "NAME"}
    of = {
        "rows": [{"id": "one", "name": "d"}, row],
        "info": {"a": "NAME"},
        "named": [{"id": 0, "name": "d"}, row],
    }
    text = json.dumps({"b": 1, **of}).encode()
    at = text.index(b"NAME", text.index(b'"%s"' % key.encode()))
    text = text[:at] + b"\xf6" + text[at + 1 :]
    stream = JsonStream(io.BytesIO(text), "x.json", block_bytes)

    def all_of() -> None:
        for found in stream.keys():  # noqa: SIM118
            if found == key == "info":
                stream.value()
            elif found == key:
                list(stream.array(Named))

    with pytest.raises(CorpusError, match=rf"x.json, byte {at}: 0xf6 is not UTF-8 \(in Latin-1 it is 'ö'\)"):
        all_of()
