"""What can be fetched: one item a file below the corpora folder."""

from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa


class Kind(StrEnum):
    ANNOTATION = "annotation"
    PHOTO = "photo"
    ARCHIVE = "archive"  # a zip of masks; never stored, its members are
    MASK = "mask"
    CLIP = "clip"


@dataclass(frozen=True)
class Item:
    """`name` is stable across runs: the id of an image, mask or clip, or `annotation:<path>`.

    `path` is relative to the corpora folder. A mask's `url` is its archive's. `start_s` is a clip's, seconds.
    """

    name: str
    kind: Kind
    url: str
    path: str
    categories: tuple[str, ...] = ()
    photo_key: str = ""
    start_s: float = 0.0


SCHEMA = pa.schema(
    {
        "name": pa.string(),
        "kind": pa.string(),
        "url": pa.string(),
        "path": pa.string(),
        "categories": pa.list_(pa.string()),
        "photo_key": pa.string(),
        "start_s": pa.float64(),
    }
)


def to_table(items: list[Item]) -> pa.Table:
    rows = sorted(items, key=lambda item: item.name)
    columns = {name: [getattr(item, name) for item in rows] for name in SCHEMA.names}
    columns["kind"] = [item.kind.value for item in rows]
    columns["categories"] = [list(item.categories) for item in rows]
    return pa.table(columns, schema=SCHEMA)


def from_table(table: pa.Table) -> list[Item]:
    columns = [table.column(name).to_pylist() for name in SCHEMA.names]
    return [
        Item(name, Kind(kind), url, path, tuple(categories), photo_key, start_s)
        for name, kind, url, path, categories, photo_key, start_s in zip(*columns, strict=True)
    ]
