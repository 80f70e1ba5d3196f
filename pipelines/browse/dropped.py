"""What a dataset does not hold, and why: the funnel's counts, and the rows of rejections.parquet a page at a time.

The table may have more rows than the dataset has samples, so it is read through, never held.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.browse.catalogue import Catalogue
from pipelines.browse.media import Broken, Media
from pipelines.publish import lookup
from shards import format, storage, tables
from shards.manifest import Manifest

PAGE = 60
_LINKED = 4  # samples of linked photos whose records are looked at


@dataclass(frozen=True)
class Group:
    """Items that one stage dropped for one reason."""

    stage: str
    unit: str
    reason: str
    count: int


@dataclass(frozen=True)
class Item:
    """
    Attributes:
        photo_key: a sample that has the photo; clip_key: the clip, where the pool has it. Both may be empty.
    """

    item: str
    stage: str
    unit: str
    reason: str
    detail: str
    category: str
    photo_key: str
    clip_key: str


def groups(made: Manifest) -> list[Group]:
    """The most frequent first."""
    found = [
        Group(step["stage"], step["unit"], reason, number)
        for step in made.funnel
        for reason, number in step["rejected"].items()
    ]
    return sorted(found, key=lambda group: (-group.count, group.stage, group.unit, group.reason))


def items(
    media: Media, stage: str, unit: str, reason: str, asked: str, start: int
) -> tuple[list[Item], bool]:
    """A page of rows that have these values ('': any) and are named so, and whether there are more.

    Raises:
        TableError: rejections.parquet is damaged. OSError: it cannot be read.
    """
    wanted = {"stage": stage, "unit": unit, "reason": reason}
    rows: list[dict[str, str | None]] = []
    for batch in _batches(media.catalogue):
        mask = pa.array(np.ones(batch.num_rows, bool))
        for name, value in wanted.items():
            if value and name in batch.schema.names:
                mask = pc.and_(mask, pc.equal(batch[name], value))
        if asked:
            mask = pc.and_(mask, lookup.dropped(batch["item"], asked))
        found = batch.filter(mask)
        skipped = min(start, found.num_rows)
        start -= skipped
        rows += found.slice(skipped, PAGE + 1 - len(rows)).to_pylist()
        if len(rows) > PAGE:
            break
    return [_item(media, row) for row in rows[:PAGE]], len(rows) > PAGE


def _batches(catalogue: Catalogue) -> Iterator[pa.RecordBatch]:
    return tables.batches(storage.join(catalogue.dataset.url, format.REJECTIONS))


def _item(media: Media, row: dict[str, str | None]) -> Item:
    catalogue = media.catalogue
    told = {name: value or "" for name, value in row.items()}
    told.setdefault("unit", "")
    photo = clip = ""
    if told["unit"] == "clips":
        at = pc.index(catalogue.pool["clip_id"], told["item"]).as_py()
        clip = catalogue.pool["key"][at].as_py() if at >= 0 else ""
    else:
        photo = _photo(media, told["item"])
    return Item(photo_key=photo, clip_key=clip, **told)


def _photo(media: Media, item: str) -> str:
    """The key of a sample that has the photo of a dropped sample (IMAGE|CATEGORY) or mask (IMAGE_...).

    Another corpus may have the photograph under an id of its own: then the sample's record has both.
    """
    catalogue = media.catalogue
    corpus, _, rest = item.partition("|")[0].partition(":")
    images = (f"{corpus}:{rest}", f"{corpus}:{rest.partition('_')[0]}")
    for image in images:
        if (at := pc.index(catalogue.ids["image_id"], image).as_py()) >= 0:
            return catalogue.key(at)
    for row in catalogue.same("component", list(images))[:_LINKED]:
        with suppress(Broken):
            if not {*media.record(catalogue.key(int(row)))["image"]["photo_keys"]}.isdisjoint(images):
                return catalogue.key(int(row))
    return ""
