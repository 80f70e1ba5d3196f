"""Whether a build would make what its folder holds already, so that it need not be made again.

A build is a function of its job (recipe, label map, lists, limits), of the index of its annotation files, of the media
that the index names, and of the code. Annotations are read anew each time; a photo, mask or clip counts as the same by
size and time of its file, as it does where a shard is kept. Whatever cannot be told so is built.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

import label_maps
import pipelines
import shards
from label_maps import LabelMap
from pipelines.build.code import code_versions
from pipelines.build.graph import NEAR_CLIPS, NEAR_PHOTOS, Job, near_duplicates
from pipelines.corpora.keys import Seen, text_keys
from shards import format, storage, tables
from shards.claims import WORK
from shards.manifest import DatasetError
from shards.reader import Dataset
from shards.rejections import Reason
from shards.verify import files

_RECORD = "finished.json"  # below the work folder: what the dataset was built from, and which one it is
_PLACES = ("out", "work", "report")  # of a job: where it writes decides nothing
_INDEXED = ("masks", "clips", "photos", "unmarked", "rejections")
_SOURCES = (".py", ".json", ".toml", ".csv")  # files of our packages that can decide something
_THREADS, _PATHS = 8, 1_000  # that ask a disk for so many files at a time


def inputs(job: Job) -> str:
    """Hash of all that decides the dataset; "": corpora at a store are not asked file by file.

    Called before any photo, mask or clip is read: one that changes meanwhile is another one the next time.
    """
    if not storage.is_local(job.corpora):
        return ""
    found = hashlib.sha256()
    told = {each.name: _plain(getattr(job, each.name)) for each in fields(job) if each.name not in _PLACES}
    for part in (told, code_versions(scenes=True), [sys.version, _own_code()]):
        found.update(json.dumps(part, sort_keys=True).encode())
    folder = near_duplicates(job.corpora)
    read = [storage.join(index, f"{name}.parquet") for index in job.indexes for name in _INDEXED]
    near = [storage.join(folder, f"{name}.parquet") for name in (NEAR_PHOTOS, NEAR_CLIPS)]
    for url in [*read, *filter(storage.exists, near)]:
        found.update(f"\n{storage.sha256(url)} {url.rsplit('/', 1)[-1]}".encode())
    for stamps in storage.in_threads(
        partial(_stamps, corpora=job.corpora), _media(job.indexes, job.label_map), _THREADS
    ):
        found.update(stamps)
    return found.hexdigest()


def is_finished(out: str, built_from: str) -> bool:
    """Whether a folder holds the dataset that was built from these inputs, with all its files and no others.

    Tables are hashed; shards are held against their size, as where a build goes on.
    """
    try:
        record = json.loads(storage.read_bytes(storage.join(out, WORK, _RECORD)))
        if not built_from or record != _record(out, built_from):
            return False
        dataset = Dataset(out)
        made = dataset.manifest
        return (
            all(
                storage.sha256(storage.join(out, name)) == entry.sha256 for name, entry in made.tables.items()
            )
            and all(
                storage.size(storage.join(out, entry.path)) == entry.bytes
                for entry in (*made.shards, *made.pool_shards)
            )
            and not files.strange(dataset)
        )
    except (FileNotFoundError, ValueError, RecursionError, DatasetError):
        return False


def remember(out: str, built_from: str) -> None:
    """Note what a dataset was built from that has just been finished.

    One that lacks items for a fault of the program is not noted: these are tried again.
    """
    reasons = Dataset(out).table(format.REJECTIONS, ["reason"])["reason"]
    if built_from and not pc.any(pc.equal(reasons, Reason.INTERNAL_ERROR.value)).as_py():
        content = format.json_bytes(_record(out, built_from))
        storage.write_atomic(storage.join(out, WORK, _RECORD), content)


def _record(out: str, built_from: str) -> dict[str, str]:
    return {"inputs": built_from, "manifest": storage.sha256(storage.join(out, format.MANIFEST))}


def _media(indexes: list[str], label_map: LabelMap) -> Iterator[list[str]]:
    """Paths of everything that the build may read beside the index, each once, so many at a time."""
    labels = pa.array(sorted({link.source_id for link in label_map.links}), pa.string())
    seen = Seen()
    kinds = {"masks": ("image_path", "mask_path"), "clips": ("clip_path",)}
    for index, (name, columns) in product(indexes, kinds.items()):
        with storage.open_read(storage.join(index, f"{name}.parquet")) as file:
            asked = [*columns, "label_id"] if name == "masks" else [*columns]
            for batch in tables.parquet(file).iter_batches(columns=asked, use_threads=False):
                if name == "masks":  # of other labels nothing is read
                    batch = batch.filter(pc.is_in(batch["label_id"], labels))
                paths = pa.concat_arrays([batch[column] for column in columns]).drop_null().unique()
                new = sorted(paths.filter(pa.array(seen.first(text_keys(paths)))).to_pylist())
                yield from (new[start : start + _PATHS] for start in range(0, len(new), _PATHS))


def _stamps(paths: list[str], corpora: str) -> bytes:
    return "".join(f"\n{path}\0{_stamp(storage.join(corpora, path))}" for path in paths).encode(
        errors="surrogateescape"
    )


def _stamp(url: str) -> str:
    try:
        return storage.stamp(url)
    except FileNotFoundError:
        return "none"


def _own_code() -> str:
    """Hash of the files of this distribution: a rule that changed shows in no version while one works on it."""
    found = hashlib.sha256()
    for package in (label_maps, pipelines, shards):
        root = Path(package.__path__[0])
        for path in sorted(each for each in root.rglob("*") if each.suffix in _SOURCES):
            found.update(f"\n{path.relative_to(root)}\0".encode() + path.read_bytes())
    return found.hexdigest()


def _plain(value: Any) -> Any:
    """A value of a job as JSON has it, the same for equal values.

    Raises:
        TypeError: of a kind whose content is not known.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return sorted(([_plain(key), _plain(one)] for key, one in value.items()), key=repr)
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(one) for one in value), key=repr)
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise TypeError(f"{type(value).__name__}: what decides a build must be plain values")
