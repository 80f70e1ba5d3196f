"""Rows brought together: tables are cut into slices by the value of a column, and the slices of a value are joined.

T tables cut into G groups make T x G slices, and both grow with the rows. So a table is cut into FAN_OUT groups at
most, and what is in each of them again: the slices then grow with the rows, not with their square.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import apache_beam as beam
import pyarrow as pa

from pipelines.build import slices
from pipelines.build.slices import Slice

FAN_OUT = 128  # also the most workers that cut again; decides speed, never the output
_ROWS = 16 << 10  # of the tables that are cut again


@dataclass(frozen=True)
class Grouping:
    """Which rows come together: those with the same value of a text column or, `hashed`, the same hash of it.

    Args:
        parked: the folder or URL of the slices.
        groups: how many there are, about; with `hashed` no fewer, and many values share one.
    """

    parked: str
    column: str
    groups: int
    hashed: bool = True

    @property
    def levels(self) -> int:
        """How many times a row is cut."""
        return next(level for level in count(1) if FAN_OUT**level >= self.groups)

    def group(self, value: str) -> str:
        """The group of a value."""
        return _name(value, self._modulus(self.levels))

    def cut(self, table: pa.Table, level: int = 1) -> Iterator[tuple[str, Slice]]:
        """The slices of a table, one a group; before the last level one a coarser group, of whole groups."""
        modulus = self._modulus(level)
        groups = pa.array([_name(value, modulus) for value in table[self.column].to_pylist()], pa.string())
        pieces = dict(slices.divide(table, groups))
        yield from zip(pieces, slices.write(pieces.values(), self.parked), strict=True)

    def cut_again(self, group: tuple[str, Iterable[Slice]], level: int) -> Iterator[tuple[str, Slice]]:
        """The slices of all that is in a coarser group."""
        for table in slices.read_in_parts(group[1], _ROWS):
            yield from self.cut(table, level)

    def _modulus(self, level: int) -> int:
        """Of the hash of a value; 0: the value itself makes the group."""
        if level < self.levels:
            return FAN_OUT**level
        coarse = FAN_OUT ** (self.levels - 1)
        return -(-self.groups // coarse) * coarse if self.hashed else 0


def _name(value: str, modulus: int) -> str:
    return str(zlib.crc32(value.encode()) % modulus) if modulus else value


class Cut(beam.PTransform):
    """Tables to (group, slice), of the coarsest level: they wait in files."""

    def __init__(self, grouping: Grouping) -> None:
        super().__init__()
        self.grouping = grouping

    def expand(self, tables: Any) -> Any:
        return tables | "Cut" >> beam.FlatMap(self.grouping.cut).with_output_types(tuple[str, Slice])


class Join(beam.PTransform):
    """What `Cut` made of tables to one table a group."""

    def __init__(self, grouping: Grouping) -> None:
        super().__init__()
        self.grouping = grouping

    def expand(self, cuts: Any) -> Any:
        for level in range(2, self.grouping.levels + 1):
            again = beam.FlatMap(self.grouping.cut_again, level).with_output_types(tuple[str, Slice])
            cuts = cuts | f"Group level {level - 1}" >> beam.GroupByKey() | f"Cut level {level}" >> again
        joined = beam.MapTuple(lambda _, found: slices.read_all(found)).with_output_types(pa.Table)
        return cuts | "Group slices" >> beam.GroupByKey() | "Join slices" >> joined


class Regroup(Cut):
    """Bring rows together: tables to one table a group."""

    def expand(self, tables: Any) -> Any:
        return super().expand(tables) | Join(self.grouping)


class Park(beam.PTransform):
    """Put tables aside until something else is known; the workers then share them out anew."""

    def __init__(self, parked: str) -> None:
        super().__init__()
        self.parked = parked

    def expand(self, tables: Any) -> Any:
        written = beam.FlatMap(lambda table, parked: slices.write([table], parked), self.parked)
        return (
            tables
            | "Write" >> written.with_output_types(Slice)
            | "Share out" >> beam.Reshuffle()
            | "Read" >> beam.Map(slices.read).with_output_types(pa.Table)
        )
