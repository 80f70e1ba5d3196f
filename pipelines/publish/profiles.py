"""Editions of a dataset that leave something out: samples by licence, sounds by reference."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipelines.publish import subset
from pipelines.publish.attribution import allowed
from shards import format, members, storage
from shards.manifest import DatasetError, Manifest, load
from shards.reader import Dataset, by_shard
from shards.rejections import Reason
from shards.writer import Content, write_shard


def unlicensed(dataset: Dataset, licences: Sequence[str]) -> list[str]:
    """Samples and clips whose licence is not one of these, each with it."""
    rows = dataset.table(columns=["sample_id", "image_licence", "audio_licence"]).to_pylist()
    clips = dataset.table(format.POOL_TABLE, ["clip_id", "licence"]).to_pylist()
    return [
        f"{row['sample_id']} (photo: {row['image_licence'] or 'unknown'})"
        for row in rows
        if not allowed(row["image_licence"], licences)
    ] + [
        f"{row['clip_id']} (sound: {row['licence'] or 'unknown'})"
        for row in clips
        if not allowed(row["licence"], licences)
    ]


def with_licences(dataset: Dataset, licences: Sequence[str], out: str) -> Dataset:
    """Write to `out` the samples whose photo is under one of these licences, with sounds that are too.

    Args:
        licences: families or exact names (`cc-by` allows `cc-by-2.0`); what is unknown is left out.

    Raises:
        DatasetError: a licence that the dataset has nowhere, or nothing would be left.
    """
    rows = dataset.table(columns=["key", "image_licence"]).to_pylist()
    clips = dataset.table(format.POOL_TABLE, ["clip_id", "licence"]).to_pylist()
    known = {row["image_licence"] for row in rows} | {row["licence"] for row in clips}
    for name in licences:
        if not any(allowed(licence, [name]) for licence in known):
            names = ", ".join(sorted(licence or "unknown" for licence in known))
            raise DatasetError(f"no photo or sound is under {name!r}; {dataset.url} has: {names}")
    told = f"; kept: {', '.join(licences)}"
    cut = subset.Cut(
        "profile",
        Reason.LICENCE,
        {
            row["key"]: f"{row['image_licence']}{told}"
            for row in rows
            if not allowed(row["image_licence"], licences)
        },
        {row["clip_id"]: f"{row['licence']}{told}" for row in clips if not allowed(row["licence"], licences)},
    )
    if cut.samples or cut.clips:
        subset.write(dataset, out, cut)
        return Dataset(out)
    return dataset


def without_sounds(dataset: Dataset, out: str) -> list[str]:
    """Write the reference-only edition to `out`: all but the `flac` members. Gives its files, relative to `out`."""
    written = []
    for table in (dataset.table(), dataset.table(format.POOL_TABLE)):
        for path, rows in by_shard(table):
            extensions = [extension for extension in _members(dataset, path) if extension != "flac"]
            with storage.open_read(storage.join(dataset.url, path)) as file:
                write_shard(
                    storage.join(out, path),
                    ((row["key"], {ext: members.read(file, row, ext) for ext in extensions}) for row in rows),
                )
            written.append(path)
    for name in dataset.manifest.tables:
        storage.link(storage.join(dataset.url, name), storage.join(out, name))
    storage.link(
        storage.join(dataset.url, format.MANIFEST), storage.join(out, format.REFERENCE, format.MANIFEST)
    )
    return [*written, *dataset.manifest.tables, f"{format.REFERENCE}/{format.MANIFEST}"]


class AnyDataset(Dataset):
    """A dataset or a reference-only edition: tables and manifest of either."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.manifest: Manifest = load(
            storage.join(self.url, format.REFERENCE) if is_reference(self.url) else self.url
        )


def is_reference(url: str) -> bool:
    return storage.exists(storage.join(url, format.REFERENCE, format.MANIFEST))


def stripped(
    edition: Dataset, path: str, rows: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, dict[str, Content]]]:
    """(key, extension -> content) of a reference-only edition's shard, whose rows are those of the complete one.

    Raises:
        DatasetError: other members lie there.
    """
    with storage.open_read(storage.join(edition.url, path)) as file:
        yield from members.without(file, rows, "flac", _members(edition, path))


def _members(dataset: Dataset, path: str) -> tuple[str, ...]:
    return format.CLIP_MEMBERS if path.startswith(f"{format.POOL}/") else dataset.manifest.sample_members
