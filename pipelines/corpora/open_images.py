"""Open Images (V5 to V7) segmentation: the official CSV files, `masks/<MaskPath>`, `images/<ImageID>.jpg`.

Format: https://storage.googleapis.com/openimages/web/download_v7.html. Masks and photos may lie in the folder
itself or one folder below (`masks/train-0/`, `images/validation/`).

Beside the segmentations, two optional tables of the same split are joined:
- boxes (`*{split}-annotations-bbox.csv`) for IsGroupOf and IsDepiction. A mask carries the coordinates of the
  box it was drawn from, so the join is on ImageID, LabelName and the four coordinates at six decimals (box
  files may have more; what lies half-way is tried both ways);
- images (any CSV with `rotation` in its name) for licence, author, address and Flickr id, on ImageID.
"""

import re
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.corpora import csv_stream, names
from pipelines.corpora.keys import text_keys
from pipelines.corpora.open_images_tables import (
    BOX,
    MASK_COLUMNS,
    Boxes,
    Images,
    Labels,
    Wanted,
    box_keys,
    class_rows,
)
from pipelines.corpora.records import MASKS
from pipelines.corpora.source import Chunk, Source, batch, joined, sift, unmarked
from shards import storage
from shards.rejections import Reason

LAYOUT = "open_images/*-annotations-object-segmentation.csv (train-, validation-, test-)"
_FOLDER = "open_images"
_SEGMENTATIONS = "-annotations-object-segmentation.csv"
_MASK_PATH = re.compile(r"[0-9a-f]{16}_[mg][0-9a-z_]+_[0-9a-f]{8}\.png")  # photo, label, box


def sources(corpora: str) -> list[Source]:
    """The segmentation files, sorted."""
    found = [name for name in storage.names(storage.join(corpora, _FOLDER)) if name.endswith(_SEGMENTATIONS)]
    return [Source("open_images", f"{_FOLDER}/{name}", _split(name)) for name in found]


def labels(corpora: str) -> Iterator[tuple[str, str, str]]:
    """File, MID and display name (empty where it has none) of each class in the class descriptions."""
    for path, _, fields in class_rows(storage.join(corpora, _FOLDER), _FOLDER):
        if len(fields) == 2:
            yield path, fields[0], fields[1]


def _split(name: str) -> str | None:
    word = name.removesuffix(_SEGMENTATIONS).rsplit("-", 1)[-1]
    return word if word in ("train", "validation", "test") else None


def read(source: Source, corpora: str) -> Iterator[Chunk]:
    """MASKS of one segmentation file, a block at a time, in the file's order; width and height are null.

    `photo_keys` is empty where no image table names the photo. Where there are tables to join, the file is
    read once more beforehand, so that of those tables only the rows about its masks are kept.
    """
    folder = storage.join(corpora, _FOLDER)
    masks_there = names.Listing(corpora, f"{_FOLDER}/masks", ".png")
    photos_there = names.Listing(corpora, f"{_FOLDER}/images", ".jpg")
    labels = Labels(folder, _FOLDER)
    wanted = Wanted(storage.join(corpora, source.path), source.path)
    boxes = Boxes(folder, _FOLDER, source.split, wanted)
    images = Images(folder, _FOLDER, source.split, wanted)
    for rejected in labels.faults + boxes.faults + images.faults:
        yield Chunk(batch({}, MASKS), rejected, len(rejected), 0)
    for lost in boxes.unmarked:
        yield Chunk(batch({}, MASKS), joined([]), 0, 0, lost)
    for rows in csv_stream.read(storage.join(corpora, source.path), source.path, MASK_COLUMNS):
        yield _part(rows, source, wanted, labels, boxes, images, masks_there, photos_there)


def _part(
    rows: csv_stream.Rows,
    source: Source,
    wanted: Wanted,
    labels: Labels,
    boxes: Boxes,
    images: Images,
    masks_there: names.Listing,
    photos_there: names.Listing,
) -> Chunk:
    mask_paths, image_ids, mids = (rows.columns[name] for name in MASK_COLUMNS[:3])
    coordinates = np.stack([csv_stream.numbers(rows.columns[name]) for name in BOX])
    label_at = labels.find(mids)
    is_name = names.safe(image_ids)
    other = _is_of_other(mask_paths, image_ids, mids)
    kept, rejected, failed = sift(
        mask_paths,
        [
            (
                ~np.isfinite(coordinates).all(axis=0),
                Reason.BAD_ROW,
                lambda row: f"{[rows.columns[name][row].as_py() for name in BOX]}: four numbers make a box",
            ),
            (
                ~names.safe(mask_paths),
                Reason.HOSTILE_NAME,
                lambda row: f"MaskPath {mask_paths[row]}: {names.RULE}",
            ),
            (
                ~is_name,
                Reason.HOSTILE_NAME,
                lambda row: f"ImageID {image_ids[row]}: {names.RULE}",
            ),
            (
                ~pc.ends_with(mask_paths, ".png").to_numpy(zero_copy_only=False),
                Reason.BAD_ROW,
                lambda row: f"MaskPath {mask_paths[row]}: the name of a .png is needed",
            ),
            (
                other,
                Reason.BAD_ROW,
                lambda row: (
                    f"MaskPath {mask_paths[row]} is of another photo or label than {image_ids[row]}, {mids[row]}"
                ),
            ),
            (
                label_at < 0,
                Reason.UNKNOWN_LABEL,
                lambda row: f"LabelName {mids[row]} is not in the class descriptions",
            ),
        ],
    )
    lost = pa.array(failed)
    known = pa.array(label_at[failed], mask=(label_at[failed] < 0) | other[failed])
    left = unmarked(
        rejected,
        "open_images",
        pc.if_else(
            pa.array(is_name[failed]),
            pc.binary_join_element_wise("open_images:", image_ids.take(lost), ""),
            pa.scalar(None, pa.string()),
        ),
        pc.if_else(known.is_valid(), mids.take(lost), pa.scalar(None, pa.string())),
        labels.names.take(known),
    )
    picked = pa.array(kept)
    image_ids, mids = image_ids.filter(picked), mids.filter(picked)
    stems = pc.utf8_slice_codeunits(mask_paths.filter(picked), 0, -len(".png"))
    image_keys = text_keys(image_ids)
    columns = {
        "mask_id": pc.binary_join_element_wise("open_images:", stems, ""),
        "corpus": pa.repeat("open_images", len(stems)),
        "image_id": pc.binary_join_element_wise("open_images:", image_ids, ""),
        "image_path": photos_there.find(image_ids),
        "label_id": mids,
        "label": labels.names.take(pa.array(label_at[kept])),
        "mask_path": masks_there.find(stems),
        "annotation_split": pa.repeat(pa.scalar(source.split, pa.string()), len(stems)),
        **images.columns(image_keys),
        **boxes.columns(box_keys(image_keys, mids, np.rint(coordinates[:, kept] * 1e6))),
    }
    faulty = csv_stream.rejected(rows, source.path)
    left = joined(
        [
            left,
            *_named_by(joined(faulty), [fault.texts for fault in rows.faults], wanted),
            *_named_by(rejected, [[mask_paths[row].as_py()] if other[row] else [] for row in failed], wanted),
        ]
    )
    rejected = joined([*faulty, rejected])
    return Chunk(batch(columns, MASKS), rejected, len(kept) + len(rows.faults), rows.position, left)


def _is_of_other(mask_paths: pa.Array, image_ids: pa.Array, mids: pa.Array) -> np.ndarray:
    """(n,) bool: masks whose name, where it is as Open Images gives them, tells another photo or label."""
    told = pc.binary_join_element_wise(image_ids, pc.replace_substring(mids, "/", ""), "", "_")
    other = ~pc.equal(pc.utf8_slice_codeunits(mask_paths, 0, -len("00000000.png")), told).to_numpy(
        zero_copy_only=False
    )
    for row in np.flatnonzero(other):
        other[row] = _MASK_PATH.fullmatch(mask_paths[row].as_py()) is not None
    return other


def _named_by(rejected: pa.RecordBatch, texts: Sequence[list[str]], wanted: Wanted) -> list[pa.RecordBatch]:
    """UNMARKED of the photos that the texts of rejected rows name, whatever their label."""
    found = [(row, name) for row, told in enumerate(texts) if told for name in wanted.named(told)]
    if not found:
        return []
    unknown = pa.nulls(len(found), pa.string())
    image_ids = pa.array([f"open_images:{name}" for _, name in found], pa.string())
    rows = rejected.take(pa.array([row for row, _ in found]))
    return [unmarked(rows, "open_images", image_ids, unknown, unknown)]
