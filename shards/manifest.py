"""The manifest: what a dataset is, what it was built from, and the hash of every file. Written last."""

import json
from dataclasses import dataclass
from typing import Any

from shards import format, storage
from shards.errors import AvsError


class DatasetError(AvsError):
    """A folder that is no complete dataset of this format; the message says what to do."""


@dataclass(frozen=True)
class ShardEntry:
    """One shard as the manifest lists it. `categories` counts samples (clips, in the pool) per category."""

    path: str
    split: str
    samples: int
    bytes: int
    sha256: str
    categories: dict[str, int]


@dataclass(frozen=True)
class TableEntry:
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """`manifest.json`; the fields are those of `shards/README.md`."""

    name: str
    seed: int
    recipe: dict[str, str]
    label_map: dict[str, str]
    code: dict[str, str]
    counts: dict[str, Any]
    shards: tuple[ShardEntry, ...]
    pool_shards: tuple[ShardEntry, ...]
    tables: dict[str, TableEntry]
    funnel: tuple[dict[str, Any], ...]
    held_out: tuple[dict[str, Any], ...] = ()


def dump(manifest: Manifest) -> bytes:
    record = {"format": format.FORMAT, "format_version": format.FORMAT_VERSION, **_plain(manifest)}
    return (json.dumps(record, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def load(dataset: str) -> Manifest:
    """Read DATASET/manifest.json.

    Raises:
        DatasetError: there is none, or it is not of this format and version.
    """
    url = storage.join(dataset, format.MANIFEST)
    if not storage.exists(url):
        raise DatasetError(
            f"{dataset} holds no {format.MANIFEST}: it is no dataset, or its build has not finished; "
            "run `avs-data build` with the same --out to finish it"
        )
    try:
        record = json.loads(storage.read_bytes(url))
        found = (record.pop("format"), record.pop("format_version"))
        if found != (format.FORMAT, format.FORMAT_VERSION):
            raise DatasetError(
                f"{url} is {found}; this version reads {(format.FORMAT, format.FORMAT_VERSION)}"
            )
        for name in ("shards", "pool_shards"):
            record[name] = tuple(ShardEntry(**entry) for entry in record[name])
        record["tables"] = {name: TableEntry(**entry) for name, entry in record["tables"].items()}
        record["funnel"], record["held_out"] = tuple(record["funnel"]), tuple(record["held_out"])
        return Manifest(**record)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DatasetError(
            f"{url} is damaged ({type(error).__name__}: {error}); build the dataset again"
        ) from error


def shard_counts(manifest: Manifest) -> dict[str, int]:
    """Shards that keys are spread over, per split and for the pool: the highest number in use, and one.

    Shards above it, if there were any, hold nothing; leaving them out moves no key.
    """
    counts: dict[str, int] = {}
    for entry in (*manifest.shards, *manifest.pool_shards):
        number = int(entry.path.removesuffix(".tar").rsplit("-", 1)[1]) + 1
        counts[entry.split] = max(number, counts.get(entry.split, 0))
    return counts


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
