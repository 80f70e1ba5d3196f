"""A dataset's samples as columns: what is filtered, counted, ordered and looked up, never row by row.

Some 200 bytes a sample stay in memory: its ids as Arrow has them, and codes and numbers of what is filtered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.browse.query import FACETS, Query
from pipelines.browse.rows import Rows
from pipelines.pages.kept import Kept
from pipelines.publish import lookup
from shards import format
from shards.pools import Pools
from shards.reader import Dataset

UNKNOWN = "unknown"
_IDS = ("key", "sample_id", "image_id", "clip_id", "video_id", "component", "mask_ids")
_FILTERED = ("split", "category", "area_fraction", "duration_s", "image_licence", "audio_licence")
_OF_SCENES = ("kind", "categories", "clip_ids", "video_ids")
_SELECTIONS_KEPT = 32


@dataclass(frozen=True)
class Facet:
    """What samples are told apart by. values: its names; codes: index of a name, (m,) int32; rows: of which sample each
    code is, (m,) ascending, None where every sample has one, m samples.
    """

    values: list[str]
    codes: np.ndarray
    rows: np.ndarray | None = None

    def having(self, values: tuple[str, ...], samples: int) -> np.ndarray:
        """Which samples have one of some values, (samples,) bool."""
        wanted = (
            np.isin(np.array(self.values, object), np.array(values, object))
            if self.values
            else np.zeros(0, bool)
        )
        found = wanted[self.codes]
        if self.rows is None:
            return found
        mask = np.zeros(samples, bool)
        mask[self.rows[found]] = True
        return mask

    def counts(self, mask: np.ndarray) -> np.ndarray:
        """Samples of a mask, per value."""
        codes = self.codes[mask if self.rows is None else mask[self.rows]]
        return np.bincount(codes, minlength=len(self.values))


class Catalogue:
    """
    Raises:
        TableError: a table is damaged, or says what cannot be.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.scenes = bool(dataset.manifest.targets)
        table = dataset.table(columns=[*_IDS, *_FILTERED, *(_OF_SCENES if self.scenes else ())])
        self.ids = table.select([*_IDS, *(_OF_SCENES[2:] if self.scenes else ())])
        self.size = table.num_rows
        self.numbers = {
            "area": table["area_fraction"].to_numpy().astype(np.float32) * np.float32(100),
            "length": table["duration_s"].to_numpy().astype(np.float32),
        }
        self.facets = self._facets(table)
        self._rows, self._pool_rows = Rows(dataset, format.SAMPLES), Rows(dataset, format.POOL_TABLE)
        self._selections: Kept[Query, np.ndarray] = Kept(_SELECTIONS_KEPT)

    @cached_property
    def pool(self) -> pa.Table:
        """Of the clips of the pool what is looked up, in the table's order."""
        names = ["key", "clip_id", "video_id", "split", "categories", "label", "duration_s"]
        return self.dataset.table(format.POOL_TABLE, names)

    @cached_property
    def pools(self) -> Pools:
        return Pools(self.pool.select(["clip_id", "split", "categories"]))

    def _facets(self, table: pa.Table) -> dict[str, Facet]:
        clips = table["clip_ids" if self.scenes else "clip_id"]
        found = {
            "category": _facet(table["categories" if self.scenes else "category"]),
            "split": _facet(table["split"]),
            "photos": _facet(_corpus(table["image_id"])),
            "sounds": _mapped(clips, _corpus),
            "label": _mapped(clips, self._labels),
            "photo_licence": _facet(pc.fill_null(table["image_licence"], UNKNOWN)),
            "sound_licence": _facet(pc.fill_null(table["audio_licence"], UNKNOWN)),
        }
        if self.scenes:
            found["kind"] = _facet(table["kind"])
        return {name: found[name] for name, _ in FACETS if name in found}

    def _labels(self, clips: pa.Array) -> pa.Array:
        """CORPUS:LABEL of each clip; the pool knows the label."""
        labels = _whole(self.pool["label"]).take(pc.index_in(clips, _whole(self.pool["clip_id"])))
        return pc.binary_join_element_wise(_corpus(clips), labels, ":")

    def shown_as(self) -> list[str]:
        """What each sample is of: its first category, or where it has none its kind."""
        facet = self.facets["category"]
        if facet.rows is None:
            return [facet.values[code] for code in facet.codes]
        kinds = self.facets["kind"]
        found = [kinds.values[code] for code in kinds.codes]
        for row, code in zip(facet.rows[::-1].tolist(), facet.codes[::-1].tolist(), strict=True):
            found[row] = facet.values[code]
        return found

    def mask(self, query: Query) -> np.ndarray:
        """Which samples a query lets through, (size,) bool."""
        found = np.ones(self.size, bool)
        for name, values in query.chosen:
            if name in self.facets:
                found &= self.facets[name].having(values, self.size)
        for name, (least, most) in query.ranges:
            found &= (self.numbers[name] >= least) & (self.numbers[name] <= most)
        if query.asked:
            named = np.zeros(self.size, bool)
            named[self._named(query.asked)] = True
            found &= named
        return found

    def _named(self, asked: str) -> np.ndarray:
        found = lookup.samples(self.ids, asked)
        return found if len(found) else np.flatnonzero(pc.equal(self.ids["component"], asked).to_numpy())

    def select(self, query: Query) -> np.ndarray:
        """The rows that a query lets through, in its order, (n,) int32."""
        return self._selections.get(query, lambda: self._select(query))

    def _select(self, query: Query) -> np.ndarray:
        rows = np.flatnonzero(self.mask(query)).astype(np.int32)
        if query.order:
            values = self.numbers[query.order.removeprefix("-")][rows]
            rows = rows[np.argsort(-values if query.order.startswith("-") else values, kind="stable")]
        return rows

    def key(self, row: int) -> str:
        return str(self.ids["key"][row].as_py())

    def find(self, key: str) -> int | None:
        """The row of a key."""
        found = pc.index(self.ids["key"], key).as_py()
        return None if found < 0 else int(found)

    def row(self, row: int) -> dict[str, Any]:
        """All columns of a sample. Raises as `Rows.row`."""
        return self._rows.row(row, self.key(row))

    def clip(self, key: str) -> dict[str, Any] | None:
        """All columns of a clip of the pool; None where it has none of this key. Raises as `Rows.row`."""
        found = pc.index(self.pool["key"], key).as_py()
        return None if found < 0 else self._pool_rows.row(found, key)

    def same(self, column: str, values: list[str]) -> np.ndarray:
        """Rows that share a value of `image_id`, `clip_ids` or `component`, ascending."""
        wanted = pa.array(values, pa.string())
        if column == "clip_ids" and self.scenes:
            return lookup.having(self.ids[column], wanted)
        name = "clip_id" if column == "clip_ids" else column
        return np.flatnonzero(pc.is_in(self.ids[name], wanted).to_numpy())


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _facet(column: pa.Array | pa.ChunkedArray) -> Facet:
    """Of a column of texts, or of lists of them."""
    array = _whole(column)
    rows = None
    if pa.types.is_list(array.type):
        rows, array = pc.list_parent_indices(array).to_numpy(zero_copy_only=False), pc.list_flatten(array)
    if array.null_count:
        known = pc.is_valid(array).to_numpy(zero_copy_only=False)
        rows, array = (np.arange(len(array)) if rows is None else rows)[known], array.drop_null()
    encoded = array.dictionary_encode()
    return Facet(encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int32), rows)


def _mapped(column: pa.ChunkedArray, function: Callable[[pa.Array], pa.Array]) -> Facet:
    """Of what a function makes of a column's texts, or of those in its lists."""
    array = _whole(column)
    if not pa.types.is_list(array.type):
        return _facet(function(array))
    found = _facet(function(pc.list_flatten(array)))
    parents = pc.list_parent_indices(array).to_numpy(zero_copy_only=False)
    rows = parents if found.rows is None else parents[found.rows]
    each = np.unique(rows * len(found.values) + found.codes)  # two clips of one corpus count once
    return Facet(found.values, each % max(1, len(found.values)), each // max(1, len(found.values)))


def _corpus(ids: pa.Array | pa.ChunkedArray) -> pa.Array:
    """What stands before the first colon of each id."""
    array = _whole(ids)
    prefix = pc.replace_substring_regex(array, ":.*", "")
    return pc.if_else(pc.match_substring(array, ":"), prefix, UNKNOWN)
