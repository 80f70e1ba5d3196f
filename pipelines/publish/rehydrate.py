"""Reference-only edition and the user's own clips -> the full dataset, every byte checked against its manifest."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.build import pool
from pipelines.build.code import differences
from pipelines.build.index import index
from pipelines.publish import profiles
from pipelines.publish.records import clip_ids
from pipelines.recipes import recipe
from shards import format, new_dataset, scene, storage, tables
from shards.manifest import DatasetError, Manifest, ShardEntry
from shards.reader import Dataset, by_shard
from shards.records import SampleRecord, decode
from shards.rejections import Reason, Rejected
from shards.sound import pcm_of, pcm_to_flac
from shards.writer import Content, write_shard


@dataclass(frozen=True)
class Missing:
    """A clip that could not be had again. `reason`: a Reason, or `other_bytes`."""

    clip_id: str
    reason: str
    detail: str


def rehydrate(edition: str, corpora: str, out: str, progress: Callable[[int, int], None]) -> list[Missing]:
    """Rebuild the dataset that `edition` refers to; the manifest comes last, and only if nothing is missing.

    A clip is decoded as the build did it. Shards that are complete already are left alone, so a rerun after fetching
    what was missing resumes.

    Args:
        corpora: has the corpora of the clips, each in its layout.
        progress: called with (shards written, shards in all).

    Raises:
        ClaimError: `out` holds something else.
        DatasetError: no reference-only edition, or a shard came out with other bytes.
    """
    if not profiles.is_reference(edition):
        raise DatasetError(
            f"{edition} is no reference-only edition: it has no {format.REFERENCE}/{format.MANIFEST}"
        )
    dataset = profiles.AnyDataset(edition)
    made, url = dataset.manifest, storage.join(edition, format.REFERENCE, format.MANIFEST)
    new_dataset.begin(out, {"command": "rehydrate", "edition": storage.sha256(url)})
    entries = (*made.pool_shards, *made.shards)
    done = 0
    pool = dataset.table(format.POOL_TABLE)
    missing = []
    media = None
    for path, rows in by_shard(pool):
        entry = next(entry for entry in entries if entry.path == path)
        if not _whole(out, entry):
            media = _media(corpora) if media is None else media
            missing += _pool_shard(dataset, corpora, out, entry, rows, media)
        progress(done := done + 1, len(entries))
    if missing:
        return missing
    clips = {row["clip_id"]: row for row in pool.to_pylist()}
    for path, rows in by_shard(dataset.table()):
        entry = next(entry for entry in entries if entry.path == path)
        if not _whole(out, entry):
            _sample_shard(dataset, out, entry, rows, clips)
        progress(done := done + 1, len(entries))
    for name in made.tables:
        storage.link(storage.join(edition, name), storage.join(out, name))
    storage.write_atomic(storage.join(out, format.MANIFEST), storage.read_bytes(url))
    return []


def _media(corpora: str) -> dict[str, dict[str, Any]]:
    """Where every clip below the corpora folder lies, and how it is to be read."""
    with tempfile.TemporaryDirectory() as folder:
        found = index(corpora, folder)
        columns = ["clip_id", "clip_path", "part_start_s", "part_end_s", "longest_s", "is_padded"]
        table = tables.read(found.clips, columns)
    return {row["clip_id"]: row for row in table.to_pylist()}


def _whole(out: str, entry: ShardEntry) -> bool:
    url = storage.join(out, entry.path)
    return storage.exists(url) and storage.size(url) == entry.bytes and storage.sha256(url) == entry.sha256


def _pool_shard(
    edition: Dataset,
    corpora: str,
    out: str,
    entry: ShardEntry,
    rows: list[dict[str, Any]],
    media: dict[str, dict[str, Any]],
) -> list[Missing]:
    """Convert the clips of a shard and write it; where one is missing, only say which."""
    loaded = recipe.recorded(edition.manifest)
    if loaded is None:
        raise DatasetError(
            f"{edition.url} was imported, not built from the clips of corpora: import it again from its own release"
        )
    rules = loaded.select
    missing, sounds = [], {}
    for row in rows:
        clip_media = media.get(row["clip_id"], {})
        path = clip_media.get("clip_path")
        try:
            if path is None:
                raise Rejected(Reason.CLIP_MISSING, f"no media below {corpora}")
            clip = pool.decoded(clip_media, corpora, rules)
        except Rejected as error:
            missing.append(Missing(row["clip_id"], error.reason.value, error.detail))
            continue
        sounds[row["key"]] = Content.of(clip.flac)
        if sounds[row["key"]].sha256 != row["flac_sha256"]:
            detail = (
                f"{path} gives {sounds[row['key']].sha256}; the edition was made from {row['flac_sha256']}"
            )
            missing.append(Missing(row["clip_id"], "other_bytes", f"{detail}{_versions(edition.manifest)}"))
    if not missing:
        samples = (
            (key, {"flac": sounds[key], **contents})
            for key, contents in profiles.stripped(edition, entry.path, rows)
        )
        _write(out, entry, samples)
    return missing


def _versions(made: Manifest) -> str:
    differ = differences(made.code)
    return f"; it was made with {'; '.join(differ)}" if differ else ""


def _sample_shard(
    edition: Dataset,
    out: str,
    entry: ShardEntry,
    rows: list[dict[str, Any]],
    clips: dict[str, dict[str, Any]],
) -> None:
    lost = [clip_id for row in rows for clip_id in clip_ids(row) if clip_id not in clips]
    if lost:
        raise DatasetError(
            f"{edition.url}: {entry.path} hears {lost[0]}, which is not in its pool: get the edition again"
        )
    heard = {row["key"]: row["clip_id"] for row in rows}

    def sound(clip_id: str) -> Content:
        clip = clips[clip_id]
        flac = storage.read_range(storage.join(out, clip["shard"]), clip["flac_offset"], clip["flac_size"])
        return Content(flac, clip["flac_sha256"])

    def samples() -> Iterator[tuple[str, dict[str, Content]]]:
        for key, contents in profiles.stripped(edition, entry.path, rows):
            if edition.manifest.targets:
                record = decode(contents["json"].data, SampleRecord)
                made = scene.rendered(record, lambda audio: pcm_of(sound(audio.id).data))
                yield key, {"flac": Content.of(pcm_to_flac(made.pcm)), **contents}
            else:
                yield key, {"flac": sound(heard[key]), **contents}

    _write(out, entry, samples())


def _write(out: str, entry: ShardEntry, samples: Iterator[tuple[str, dict[str, Content]]]) -> None:
    shard = write_shard(storage.join(out, entry.path), samples)
    if shard.sha256 != entry.sha256:
        raise DatasetError(
            f"{entry.path} came out as {shard.sha256}; the manifest says {entry.sha256}: the edition is "
            "damaged, get it again"
        )
