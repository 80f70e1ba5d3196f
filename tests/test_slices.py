"""Tables parked in files: what comes back, against plain Python."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.build import slices

ROWS = st.lists(st.tuples(st.text("abé|𝄞Z", max_size=3), st.integers(0, 99)), max_size=40)


def table_of(rows: list[tuple[str, int]]) -> pa.Table:
    return pa.table({"name": pa.array([name for name, _ in rows], pa.string()), "n": [n for _, n in rows]})


@given(ROWS)
def test_a_table_divides_by_value_and_keeps_the_order_of_rows(rows: list[tuple[str, int]]) -> None:
    table = table_of(rows)
    found = {
        value: piece["n"].to_pylist() for value, piece in slices.divide(table, table["name"].combine_chunks())
    }
    assert found == {value: [n for name, n in rows if name == value] for value, _ in rows}
    assert list(found) == sorted(found)


def test_two_attempts_write_the_same_file(tmp_path: Path) -> None:
    tables = [table_of([("a", 1)]), table_of([("b", 2), ("c", 3)])]
    first = slices.write(tables, str(tmp_path))
    assert slices.write(tables, str(tmp_path)) == first
    assert len(list(tmp_path.iterdir())) == 1
    assert [slices.read(one).to_pylist() for one in first] == [table.to_pylist() for table in tables]


def test_a_slice_that_was_cut_short_is_an_error(tmp_path: Path) -> None:
    (found,) = slices.write([table_of([("a", 1)] * 100)], str(tmp_path))
    path = Path(found[0])
    path.write_bytes(path.read_bytes()[: found[2] // 2])
    with pytest.raises((pa.ArrowInvalid, OSError)):
        slices.read(found)
