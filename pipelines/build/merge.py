"""Stage merge: one sample of a photograph and category that two corpora describe.

Only where the corpora that are read share photographs by number (`Corpus.id_space`), as COCO and LVIS do. Each corpus's
masks make a sample of their own first, by the rules, so that a faulty annotation of one leaves the other's. Of two
samples the one stays whose corpus says that all objects of the category are annotated; then one of which nothing is
said; last, one that may show more (a recipe can allow it). Of equals, that of the corpus whose name comes first. The
record of what stays names the other's photo and labels.
"""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

import pyarrow as pa

from pipelines.build.outcome import Outcome
from shards.rejections import Reason, rejection

_ORDER = {True: 0, None: 1, False: 2}  # by `exhaustive`


def name_photographs(table: pa.Table, spaces: Mapping[str, str]) -> pa.Table:
    """Add `photograph` to candidates: the number that corpora share, or the image's own id.

    Args:
        spaces: corpus -> the id space of its photos.
    """
    rows = table.select(["corpus", "image_id", "photo_keys"]).to_pylist()
    names = []
    for row in rows:
        front = f"{spaces.get(row['corpus'])}:"
        shared = (name for name in (row["image_id"], *row["photo_keys"]) if name.startswith(front))
        names.append(next(shared, row["image_id"]))
    return table.append_column("photograph", pa.array(names, pa.string()))


def merge(table: pa.Table, whole: bool = False) -> Outcome:
    """Candidates, all of a photograph together, to one a category; a policy that keeps instances keeps one corpus's.

    Args:
        whole: of each photograph keep one corpus's candidates alone: a scene is made of all of them.
    """
    rows = table.to_pylist()
    order = sorted(
        range(len(rows)),
        key=lambda row: tuple(rows[row][name] for name in ("photograph", "category", "corpus", "key")),
    )
    kept: list[dict[str, Any]] = []
    rejections = []
    for _, group in groupby(order, key=lambda row: (rows[row]["photograph"], whole or rows[row]["category"])):
        found = [rows[row] for row in group]
        best = min(found, key=lambda row: (_ORDER[row["exhaustive"]], row["corpus"]))["corpus"]
        others = [row for row in found if row["corpus"] != best]
        kept += [_with(row, others) for row in found if row["corpus"] == best]
        rejections += [
            rejection(
                "merge",
                row["sample_id"],
                Reason.DESCRIBED_TWICE,
                f"the masks of {best} are taken for this photograph",
                row["category"],
            )
            for row in others
        ]
    return Outcome.of(pa.Table.from_pylist(kept, schema=table.schema).drop_columns("photograph"), rejections)


def _with(row: dict[str, Any], others: list[dict[str, Any]]) -> dict[str, Any]:
    """A candidate that names the other photos of its photograph, and the labels of its category there."""
    keys = {*row["photo_keys"], *(name for one in others for name in (one["image_id"], *one["photo_keys"]))}
    columns = ("label_corpora", "label_ids", "labels")
    alike = [one for one in others if one["category"] == row["category"]]
    labels = {label[:2]: label for one in (*alike, row) for label in zip(*map(one.get, columns), strict=True)}
    merged = [list(values) for values in zip(*(labels[key] for key in sorted(labels)), strict=True)]
    return row | {"photo_keys": sorted(keys - {row["image_id"]})} | dict(zip(columns, merged, strict=True))
