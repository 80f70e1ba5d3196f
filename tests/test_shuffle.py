"""Rows brought together in one step and in several, against plain Python; how many slices that takes."""

import zlib
from collections import defaultdict
from collections.abc import Iterator
from unittest import mock

import apache_beam as beam
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_slices import ROWS, table_of

from pipelines.build import shuffle, slices
from pipelines.build.local_runner import local_runner
from pipelines.build.shuffle import Grouping

PARKED = "memory://parked"


def brought_together(grouping: Grouping, parts: list[pa.Table]) -> tuple[dict[str, pa.Table], int]:
    """What `Regroup` does, by a plain loop: the table of each group, and how many slices there were."""
    cuts: dict[str, list[slices.Slice]] = defaultdict(list)
    number = 0
    found: Iterator[tuple[str, slices.Slice]] = (cut for table in parts for cut in grouping.cut(table))
    for level in range(1, grouping.levels + 1):
        if level > 1:
            again = [cut for group in cuts.items() for cut in grouping.cut_again(group, level)]
            cuts.clear()
            found = iter(again)
        for name, one in found:
            cuts[name].append(one)
            number += 1
    return {name: slices.read_all(reversed(found)) for name, found in cuts.items()}, number


@pytest.mark.parametrize("fan_out", [2, 3, 128])
@settings(max_examples=30)
@given(parts=st.lists(ROWS, min_size=1, max_size=4), groups=st.integers(1, 9), hashed=st.booleans())
def test_what_is_cut_from_many_tables_comes_together_whole(
    fan_out: int, parts: list[list[tuple[str, int]]], groups: int, hashed: bool
) -> None:
    grouping = Grouping(PARKED, "name", groups, hashed)
    with mock.patch.object(shuffle, "FAN_OUT", fan_out):
        joined, _ = brought_together(grouping, [table_of(rows) for rows in parts])
        assert all(grouping.group(name) in joined for rows in parts for name, _ in rows)
    everything = sorted(row for rows in parts for row in rows)
    found = {group: list(zip(*table.to_pydict().values(), strict=True)) for group, table in joined.items()}
    assert sorted(row for rows in found.values() for row in rows) == everything
    names = [name for rows in found.values() for name in {name for name, _ in rows}]
    assert sorted(names) == sorted({name for name, _ in everything})
    if not hashed:
        assert sorted(found) == sorted(names)


@pytest.mark.parametrize("hashed", [True, False])
def test_slices_grow_with_the_rows_not_with_their_square(hashed: bool) -> None:
    def slices_of(rows: int) -> int:
        tables = [
            pa.table({"name": [str(number % (rows // 100)) for number in range(begin, begin + 100)]})
            for begin in range(0, rows, 100)
        ]
        return brought_together(Grouping(PARKED, "name", rows // 100, hashed), tables)[1]

    with mock.patch.object(shuffle, "FAN_OUT", 6), mock.patch.object(shuffle, "_ROWS", 100):
        few, many = slices_of(2_000), slices_of(20_000)
    assert many < 10 * few * 2, "from two levels to three"


def test_groups_are_those_of_the_hash_where_one_step_will_do() -> None:
    assert Grouping("", "item", 7).group("a") == str(zlib.crc32(b"a") % 7)


def test_the_runner_brings_rows_together_in_several_steps() -> None:
    parts = [table_of([(f"{number}", begin) for number in range(0, 200, 3)]) for begin in range(5)]
    found: list[dict] = []
    with mock.patch.object(shuffle, "FAN_OUT", 3), beam.Pipeline(local_runner(1)) as p:
        grouping = Grouping(PARKED, "name", 20)
        assert grouping.levels == 3
        joined = p | beam.Create(parts, reshuffle=False) | shuffle.Regroup(grouping)
        _ = joined | beam.Map(lambda table: found.append(table.to_pydict()))
    assert sorted(row for one in found for row in zip(*one.values(), strict=True)) == sorted(
        (f"{number}", begin) for number in range(0, 200, 3) for begin in range(5)
    )
    assert all(sorted(set(one["n"])) == list(range(5)) for one in found)
