"""Stage exclude: samples and clips that people judged bad stay out, by the lists that a recipe names."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.build.outcome import Outcome
from pipelines.recipes.recipe import Recipe
from shards import text
from shards.errors import AvsError
from shards.rejections import Reason, rejection

COLUMNS = ("unit", "item", "reason")
UNITS = ("samples", "clips")


class ExcludeError(AvsError, ValueError):
    """A list of what stays out that cannot be used; the message says where and why."""


@dataclass(frozen=True)
class Excluded:
    """What stays out: sample ids and clip ids, each with the reason. sha256: of all lists; "": there is none."""

    samples: Mapping[str, str] = field(default_factory=dict)
    clips: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""


def read(recipe: Recipe) -> Excluded:
    """The lists of `select.exclude`, which are URLs, or paths from the folder of the recipe.

    Raises:
        ExcludeError: no such file, or a row that names nothing. TextError: no CSV with COLUMNS.
    """
    found: dict[str, dict[str, str]] = {unit: {} for unit in UNITS}
    for name in recipe.select.exclude:
        url = name if "://" in name else os.path.join(recipe.folder, name)
        try:
            for line, row in text.read_rows(url, COLUMNS):
                if row["unit"] not in UNITS or not row["item"]:
                    raise ExcludeError(
                        f"{url}:{line}: unit {row['unit']!r} and item {row['item']!r}: a row names one of "
                        f"{' or '.join(UNITS)}, by its id, as `avs-data judge flags` writes it"
                    )
                found[row["unit"]].setdefault(row["item"], row["reason"])
        except FileNotFoundError as error:
            raise ExcludeError(
                f"select.exclude names {name!r}, and there is no {url}: put it there, or take it out of the recipe"
            ) from error
    listed = repr([sorted(found[unit].items()) for unit in UNITS])
    digest = hashlib.sha256(listed.encode()).hexdigest() if recipe.select.exclude else ""
    return Excluded(found["samples"], found["clips"], digest)


def exclude_clips(table: pa.Table, excluded: Excluded) -> Outcome:
    """Categorized clips without those."""
    return _without(table, [[row] for row in table["clip_id"].to_pylist()], excluded.clips, "clip_id")


def exclude_samples(table: pa.Table, excluded: Excluded) -> Outcome:
    """Candidates or scenes without those, and without scenes in which one of those is a source."""
    ids: list[list[str]] = [[row] for row in table["sample_id"].to_pylist()]
    if "sources" in table.column_names:
        for names, sources in zip(ids, table["sources"].to_pylist(), strict=True):
            names += [source["sample_id"] for source in sources]
    return _without(table, ids, excluded.samples, "sample_id")


def unmet(excluded: Excluded, rejections: pa.Table) -> list[str]:
    """The ids that no row of a build's rejections.parquet is about, sorted: of another dataset, or dropped before."""
    told = rejections.filter(pc.equal(rejections["reason"], Reason.JUDGED_BAD.value))
    met = {*told["item"].to_pylist(), *(detail.partition(": ")[0] for detail in told["detail"].to_pylist())}
    return sorted({*excluded.samples, *excluded.clips} - met)


def _without(table: pa.Table, ids: list[list[str]], why: Mapping[str, str], column: str) -> Outcome:
    """Rows of which none of `ids` is in `why`."""
    found = [next((name for name in names if name in why), None) for names in ids]
    rows: list[dict[str, Any]] = table.select([column, "category"]).to_pylist()
    rejections = [
        rejection(
            "exclude",
            row[column],
            Reason.JUDGED_BAD,
            why[name] if name == row[column] else f"{name}: {why[name]}",
            row["category"],
        )
        for row, name in zip(rows, found, strict=True)
        if name is not None
    ]
    return Outcome.of(table.filter(pa.array([name is None for name in found], pa.bool_())), rejections)
