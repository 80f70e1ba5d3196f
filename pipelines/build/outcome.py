"""What a stage gives: the rows it kept, and a rejection for each that it dropped."""

from dataclasses import dataclass

import pyarrow as pa

from shards.tables import REJECTIONS


@dataclass(frozen=True)
class Outcome:
    """What a stage made of one table: the rows it kept and one rejection for each it dropped."""

    kept: pa.Table
    rejected: pa.Table

    @classmethod
    def of(cls, kept: pa.Table, rejections: list[dict[str, str | None]]) -> "Outcome":
        return cls(kept, pa.Table.from_pylist(rejections, schema=REJECTIONS))
