"""What the index tables say of every label, brought into the queue: photos, clips and a few examples of
each.
"""

import json
import zlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.review import queue_file
from pipelines.review.errors import ReviewError
from pipelines.review.queue import Queue
from shards import hashing, storage, tables

PHOTOS_PER_LABEL = 6
CLIPS_PER_LABEL = 5
MASKS_PER_PHOTO = 40  # a crowd of cows does not make the queue large


@dataclass(frozen=True)
class IndexReport:
    visual_labels: int
    images: int
    masks: int
    audio_labels: int
    clips: int


def load_index(queue: Queue, index: str) -> IndexReport:
    """Replace what the queue knows of the corpora by `INDEX/masks.parquet` and `INDEX/clips.parquet`.

    Raises:
        ReviewError: a table is missing.
    """
    for name in ("masks.parquet", "clips.parquet"):
        if not storage.exists(storage.join(index, name)):
            raise ReviewError(
                f"{index!r} has no {name}: write the index with `avs-data index --corpora DIR --out {index}`"
            )
    with queue_file.transaction(queue.connection):
        for table in ("label_images", "label_clips", "examples"):
            queue.connection.execute(f"DELETE FROM {table}")
        labels, images, masks = _load_masks(queue, storage.join(index, "masks.parquet"))
        audio_labels, clips = _load_clips(queue, storage.join(index, "clips.parquet"))
        queue.set_meta(index_loads=int(queue.meta("index_loads", "0")) + 1)
    return IndexReport(labels, images, masks, audio_labels, clips)


def _load_masks(queue: Queue, url: str) -> tuple[int, int, int]:
    columns = ["corpus", "label_id", "label", "image_id", "image_path"]
    with tables.opened(url, columns) as parquet:
        table = parquet.read(columns=columns, use_threads=False)
        if not table.num_rows:
            return 0, 0, 0
        keys = pc.binary_join_element_wise(
            table["corpus"].cast(pa.string()), table["label_id"].cast(pa.string()), "\x1f"
        )
        label_codes, label_names = _encode(keys)
        image_codes, image_names = _encode(table["image_id"])
        pairs, first_rows = np.unique(label_codes * len(image_names) + image_codes, return_index=True)
        pair_labels, pair_images = np.divmod(pairs, len(image_names))
        bounds = np.searchsorted(pair_labels, np.arange(len(label_names) + 1))
        masks = np.bincount(label_codes, minlength=len(label_names))
        names = table["label"].take(first_rows[bounds[:-1]]).to_pylist()
        sources = [name.split("\x1f") for name in label_names]
        queue.connection.executemany(
            "INSERT INTO label_images VALUES (?, ?, ?, ?, ?)",
            [
                (
                    *sources[code],
                    names[code] or "",  # some of Open Images' classes have none
                    int(masks[code]),
                    _pack(pair_images[bounds[code] : bounds[code + 1]]),
                )
                for code in range(len(label_names))
            ],
        )
        has_photo = np.asarray(pc.is_valid(table["image_path"]))[first_rows]
        chosen = _choose(pair_labels, image_names[pair_images], has_photo, PHOTOS_PER_LABEL)
        _store_photos(queue, parquet, pairs[chosen], label_codes * len(image_names) + image_codes)
    return len(label_names), len(image_names), table.num_rows


def _store_photos(queue: Queue, parquet: pq.ParquetFile, chosen: np.ndarray, row_pairs: np.ndarray) -> None:
    """Read the rows of the chosen (label, image) pairs, a row group at a time, and store each pair with its
    masks.
    """
    place_of = {int(pair): place for place, pair in enumerate(chosen)}
    wanted = np.isin(row_pairs, chosen)
    found: dict[int, dict] = {}
    masks: dict[int, list] = defaultdict(list)
    columns = ["corpus", "label_id", "image_id", "image_path", "segmentation", "mask_path", "width", "height"]
    start = 0
    for group in range(parquet.num_row_groups):
        rows = parquet.metadata.row_group(group).num_rows
        here = np.flatnonzero(wanted[start : start + rows])
        if len(here):
            table = parquet.read_row_group(
                group, columns=[*columns, "licence", "author"], use_threads=False
            ).take(here)
            for pair, row in zip(row_pairs[start + here].tolist(), table.to_pylist(), strict=True):
                found.setdefault(pair, row)
                if len(masks[pair]) < MASKS_PER_PHOTO:
                    masks[pair] += _mask(row)
        start += rows
    queue.connection.executemany(
        "INSERT INTO examples (kind, source, source_id, place, item, path, masks, width, height, licence, "
        "author) VALUES ('photo', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                row["corpus"],
                row["label_id"],
                place_of[pair],
                row["image_id"],
                row["image_path"],
                json.dumps(masks[pair]),
                row["width"],
                row["height"],
                row["licence"],
                row["author"],
            )
            for pair, row in sorted(found.items(), key=lambda entry: place_of[entry[0]])
        ],
    )


def _mask(row: dict) -> list:
    """A COCO segmentation (polygons or RLE), or the path of a PNG; nothing where the corpus has neither."""
    if row["segmentation"] is not None:
        return [json.loads(row["segmentation"])]
    return [row["mask_path"]] if row["mask_path"] is not None else []


def _load_clips(queue: Queue, url: str) -> tuple[int, int]:
    """Labels that have clips, and clips; a clip counts for each of its labels."""
    clips = tables.read(url, ["clip_id", "corpus", "label_ids", "clip_path", "licence", "author"])
    clips = clips.combine_chunks()
    if not clips.num_rows:
        return 0, 0
    labels = clips["label_ids"].combine_chunks()
    table = clips.drop_columns("label_ids").take(pc.list_parent_indices(labels))
    table = table.append_column("label_id", pc.list_flatten(labels))
    codes, names = _encode(
        pc.binary_join_element_wise(table["corpus"].cast(pa.string()), table["label_id"], "\x1f")
    )
    counts = np.bincount(codes, minlength=len(names))
    queue.connection.executemany(
        "INSERT INTO label_clips VALUES (?, ?, ?)",
        [(*name.split("\x1f"), int(n)) for name, n in zip(names, counts, strict=True)],
    )
    order = np.argsort(codes, kind="stable")
    playable = np.asarray(pc.is_valid(table["clip_path"]))[order]
    clip_ids = table["clip_id"].to_numpy(zero_copy_only=False)[order]
    chosen = order[_choose(codes[order], clip_ids, playable, CLIPS_PER_LABEL)]
    rows = table.take(chosen).to_pylist()
    queue.connection.executemany(
        "INSERT INTO examples (kind, source, source_id, place, item, path, masks, licence, author) "
        "VALUES ('clip', ?, ?, ?, ?, ?, '[]', ?, ?)",
        [
            (
                row["corpus"],
                row["label_id"],
                place,
                row["clip_id"],
                row["clip_path"],
                row["licence"],
                row["author"],
            )
            for place, row in enumerate(rows)
        ],
    )
    return len(names), len(clips)


def _encode(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """int64 code of every row, and the value of every code."""
    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, encoded.dictionary.to_numpy(zero_copy_only=False)


def _choose(groups: np.ndarray, names: np.ndarray, usable: np.ndarray, most: int) -> np.ndarray:
    """Positions of at most `most` usable entries of each group, by a hash of their names; groups are
    sorted.
    """
    positions = np.flatnonzero(usable)
    if not len(positions):
        return positions
    drawn = np.array([hashing.hash64("example", name) for name in names[positions]], dtype=np.uint64)
    positions = positions[np.lexsort((drawn, groups[positions]))]
    first = np.searchsorted(groups[positions], groups[positions])
    return positions[np.arange(len(positions)) - first < most]


def _pack(numbers: Iterable[int]) -> bytes:
    return zlib.compress(np.asarray(numbers, dtype="<u4").tobytes(), 1)


def unpack(blob: bytes) -> np.ndarray:
    """(n,) uint32, sorted: the numbers of a label's images."""
    return np.frombuffer(zlib.decompress(blob), dtype="<u4")
