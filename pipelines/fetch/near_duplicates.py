"""Near-duplicate photos and clips of what is stored: fingerprints that are missing, then the tables of pairs."""

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow.parquet as pq

from pipelines.fetch import fingerprints, tasks
from pipelines.fetch.causes import Failure, guarded
from pipelines.fetch.items import Item, Kind
from pipelines.fetch.ledger import FOLDER, Attempt, Ledger
from pipelines.fetch.options import FetchOptions
from pipelines.fetch.store import Store
from pipelines.fetch.workers import Workers
from shards import storage

PHOTO_PAIRS, CLIP_PAIRS = "near_duplicate_photos.parquet", "near_duplicate_clips.parquet"


def write(
    items: Sequence[Item], store: Store, ledger: Ledger, options: FetchOptions, workers: Workers
) -> tuple[int, int]:
    """Write the pairs of near-duplicate photos and clips; how many there are of each."""
    latest = ledger.latest()
    stored = [
        item
        for item in items
        if item.kind in (Kind.PHOTO, Kind.CLIP) and item.name in latest and latest[item.name].ok
    ]
    have = ledger.fingerprints()
    missing = [item for item in stored if have.get(item.name, ("",))[0] != latest[item.name].sha256]
    have |= _fingerprints(missing, latest, store, ledger, options, workers)
    stored = [item for item in stored if item.name in have]
    photos = {item.photo_key or item.name: have[item.name][1] for item in stored if item.kind is Kind.PHOTO}
    words = {
        item.name: np.frombuffer(have[item.name][1], np.uint32) for item in stored if item.kind is Kind.CLIP
    }
    photo_pairs = fingerprints.photo_pairs(photos, options.photos.near_duplicate_bits)
    clip_pairs = fingerprints.clip_pairs(words, options.clips.near_duplicate_error)
    for name, table in ((PHOTO_PAIRS, photo_pairs), (CLIP_PAIRS, clip_pairs)):
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        storage.write_atomic(storage.join(store.corpora, FOLDER, name), buffer.getvalue())
    return len(photo_pairs), len(clip_pairs)


def _fingerprints(
    items: Sequence[Item],
    latest: dict[str, Attempt],
    store: Store,
    ledger: Ledger,
    options: FetchOptions,
    workers: Workers,
) -> dict[str, tuple[str, bytes]]:
    """Fingerprints of stored files; one that cannot be decoded is taken out, and fetched again next time."""

    def make(item: Item) -> bytes | Failure:
        return guarded(item.name, lambda: tasks.fingerprint_of(store, item, options))

    made = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for item, value in zip(items, pool.map(make, items), strict=True):
            if isinstance(value, Failure):
                store.remove(item.path)
                workers.note(item, latest[item.name].attempt + 1, value, tasks.TOOL)
            else:
                made[item.name] = (latest[item.name].sha256, value)
    ledger.add_fingerprints(made)
    return made
