"""Open Images (V5 to V7) segmentation: the official CSV files, `masks/<MaskPath>`, `images/<ImageID>.jpg`.

Format: https://storage.googleapis.com/openimages/web/download_v7.html. Masks and photos may lie in the folder
itself or one folder below (`masks/train-0/`, `images/validation/`).

Beside the segmentations, three optional tables of the same split are joined:
- boxes (`*{split}-annotations-bbox.csv`) for IsGroupOf, IsDepiction and the objects that have no mask. A mask
  carries the coordinates of the box it was drawn from, so the join is on ImageID, LabelName and the four
  coordinates at six decimals (box files may have more; what lies half-way is tried both ways);
- verified labels (any CSV with `human-imagelabels` in its name): what a photo surely does not show;
- images (any CSV with `rotation` in its name) for licence, author, address and Flickr id, on ImageID.

Segmentation files whose name begins with `sam-` are of masks that `avs-train segment` drew where there are boxes alone.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.corpora import csv_stream, names
from pipelines.corpora.corpus import Corpus, Fetching, NamedLabel, Need, Row, Vocabulary
from pipelines.corpora.keys import Seen, text_keys
from pipelines.corpora.open_images_classes import FOLDER, Labels, class_rows, of_corpora, of_files
from pipelines.corpora.open_images_tables import (
    BOX,
    MASK_COLUMNS,
    Boxes,
    Images,
    Lists,
    Wanted,
    box_keys,
    with_box,
)
from pipelines.corpora.open_images_verified import Verified
from pipelines.corpora.records import MASKS, PHOTOS
from pipelines.corpora.source import Chunk, Source, batch, joined, rejections, sift, unmarked
from shards import storage
from shards.rejections import Reason

SEGMENTATIONS = "-annotations-object-segmentation.csv"
BY_SAM = "sam-"  # what names of files begin with whose masks SAM drew
SCORES = ("PredictedIoU", "Stability")  # of those: how good SAM thinks that they are
_CORNERS = [BOX.index(name) for name in ("BoxXMin", "BoxYMin", "BoxXMax", "BoxYMax")]
_MASK_PATH = re.compile(r"[0-9a-f]{16}_[mg][0-9a-z_]+_[0-9a-f]{8}\.png")  # photo, label, box


def sources(corpora: str) -> list[Source]:
    """The segmentation files, sorted."""
    found = [name for name in storage.names(storage.join(corpora, FOLDER)) if name.endswith(SEGMENTATIONS)]
    return [Source("open_images", f"{FOLDER}/{name}", _split(name)) for name in found]


def labels(corpora: str) -> Iterator[NamedLabel]:
    """Each class of the class descriptions; its name is empty where it has none."""
    if sources(corpora):
        for path, _, fields in class_rows(storage.join(corpora, FOLDER), FOLDER):
            if len(fields) == 2:
                yield NamedLabel(path, "open_images", fields[0], fields[1])


def _split(name: str) -> str | None:
    word = name.removesuffix(SEGMENTATIONS).rsplit("-", 1)[-1]
    return word if word in ("train", "validation", "test") else None


def read(source: Source, corpora: str) -> Iterator[Chunk]:
    """MASKS of one segmentation file, a block at a time, in the file's order; width and height are null.

    `photo_keys` is empty where no image table names the photo. Where there are tables to join, the file is
    read once more beforehand, so that of those tables only the rows about its masks are kept.
    """
    folder = storage.join(corpora, FOLDER)
    masks_there = names.Listing(corpora, f"{FOLDER}/masks", ".png")
    photos_there = names.Listing(corpora, f"{FOLDER}/images", ".jpg")
    labels = Labels(folder, FOLDER)
    lists = _lists(source, corpora)
    wanted = lists.own
    boxes = Boxes(folder, FOLDER, source.split, wanted)
    images = Images(folder, FOLDER, source.split, wanted)
    verified = Verified(folder, FOLDER, source.split, wanted)
    is_first = not lists.before  # with which the faults of the tables are told
    for rejected in labels.faults if is_first else []:
        yield Chunk(batch({}, MASKS), rejected, len(rejected), 0)
    for rejected, lost in boxes.read(labels, lists):
        told = rejected if is_first else joined([])
        yield Chunk(batch({}, MASKS), told, len(told), 0, lost)
    for rejected in images.faults + verified.faults if is_first else []:
        yield Chunk(batch({}, MASKS), rejected, len(rejected), 0)
    photos = _photos(source, verified, images, photos_there, lists)
    yield Chunk(batch({}, MASKS), joined([]), 0, 0, photos=photos)
    listed = _Listed()
    columns = (*MASK_COLUMNS, *SCORES) if _by_sam(source) else MASK_COLUMNS
    for rows in csv_stream.read(storage.join(corpora, source.path), source.path, columns):
        yield _part(rows, source, wanted, labels, boxes, images, masks_there, photos_there, listed)


def _by_sam(source: Source) -> bool:
    return source.path.rsplit("/", 1)[-1].startswith(BY_SAM)


def _lists(source: Source, corpora: str) -> Lists:
    """All lists that may be about photos of one: people's before SAM's, and first those whose name tells no split."""
    alike = [
        one for one in sources(corpora) if None in (one.split, source.split) or one.split == source.split
    ]
    alike.sort(key=lambda one: (_by_sam(one), one.split is not None))
    wanted = {one: Wanted(storage.join(corpora, one.path), one.path) for one in alike}
    places = list(wanted)
    return Lists(
        own=wanted[source],
        before=tuple(wanted[one] for one in places[: places.index(source)]),
        people=tuple(wanted[one] for one in places if not _by_sam(one)),
        sam=tuple(wanted[one] for one in places if _by_sam(one)),
    )


def _photos(
    source: Source, verified: Verified, images: Images, photos_there: names.Listing, lists: Lists
) -> pa.RecordBatch:
    """PHOTOS of which something was verified, each with the first list that has it."""
    ids = verified.image_ids
    given = {
        "corpus": pa.repeat("open_images", len(ids)),
        "image_id": pc.binary_join_element_wise("open_images:", ids, ""),
        "image_path": photos_there.find(ids),
        "annotation_split": pa.repeat(pa.scalar(source.split, pa.string()), len(ids)),
        **images.columns(text_keys(ids)),
        **verified.columns(),
    }
    found = batch({name: given[name] for name in PHOTOS.names if name in given}, PHOTOS)
    return found.filter(pa.array(lists.first_here(text_keys(ids))))


class _Listed:
    """The masks and boxes of a file so far."""

    def __init__(self) -> None:
        self._masks, self._boxes = Seen(), Seen()

    def elsewhere(self, stems: pa.StringArray, millionths: np.ndarray) -> np.ndarray:
        """(n,) bool: masks that were listed before, never with this box: another object, which nothing marks."""
        keys = text_keys(stems)
        again = ~self._masks.first(keys)
        return again & self._boxes.first(with_box(keys, millionths))


def _part(
    rows: csv_stream.Rows,
    source: Source,
    wanted: Wanted,
    labels: Labels,
    boxes: Boxes,
    images: Images,
    masks_there: names.Listing,
    photos_there: names.Listing,
    listed: _Listed,
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
    millionths = np.rint(coordinates[:, kept] * 1e6)
    columns = {
        "mask_id": pc.binary_join_element_wise("open_images:", stems, ""),
        "corpus": pa.repeat("open_images", len(stems)),
        "image_id": pc.binary_join_element_wise("open_images:", image_ids, ""),
        "image_path": photos_there.find(image_ids),
        "label_id": mids,
        "label": labels.names.take(pa.array(label_at[kept])),
        "mask_path": masks_there.find(stems),
        "box": pa.array(coordinates[_CORNERS][:, kept].T.tolist(), MASKS.field("box").type),
        "annotation_split": pa.repeat(pa.scalar(source.split, pa.string()), len(stems)),
        **(_scores(rows, picked) if _by_sam(source) else {}),
        **images.columns(image_keys),
        **boxes.columns(box_keys(image_keys, mids, millionths)),
    }
    again = pa.array(listed.elsewhere(stems, millionths))
    moved = [columns[name].filter(again) for name in ("mask_id", "image_id", "label_id", "label")]
    twice = rejections(moved[0].to_pylist(), Reason.DUPLICATE_ID, [""] * len(moved[0]))
    faulty = csv_stream.rejected(rows, source.path)
    left = joined(
        [
            left,
            unmarked(twice, "open_images", *moved[1:]),
            *_named_by(joined(faulty), [fault.texts for fault in rows.faults], wanted),
            *_named_by(rejected, [[mask_paths[row].as_py()] if other[row] else [] for row in failed], wanted),
        ]
    )
    rejected = joined([*faulty, rejected])
    return Chunk(batch(columns, MASKS), rejected, len(kept) + len(rows.faults), rows.position, left)


def _scores(rows: csv_stream.Rows, picked: pa.Array) -> dict[str, pa.Array]:
    """Of masks by SAM; what is no number is null, and so below what any recipe asks for."""
    found = [csv_stream.numbers(rows.columns[name].filter(picked)) for name in SCORES]
    told = zip(("predicted_iou", "stability"), found, strict=True)
    drawn = pa.repeat("sam", len(found[0]))
    return {"mask_source": drawn} | {name: pa.array(values, from_pandas=True) for name, values in told}


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


def _needs(row: Row, addresses: Mapping[str, str]) -> Iterator[Need]:
    image_id = row["image_id"].partition(":")[2]
    drawn_here = row["mask_source"] is not None  # by a model: no archive has it
    split, name = row["annotation_split"] or "train", f"{image_id}.jpg"
    # a mask archive holds the masks of all photos whose id begins with its digit
    archive = f"{addresses['open_images']}/v5/{split}-masks/{split}-masks-{image_id[:1].lower()}.zip"
    stem = row["mask_id"].partition(":")[2]
    if not drawn_here:
        yield Need(row["mask_id"], "mask", archive, f"{FOLDER}/masks/{stem}.png", row["mask_path"])
    yield Need(
        row["image_id"],
        "photo",
        f"{addresses['open_images_photos']}/{split}/{quote(name)}",
        f"{FOLDER}/images/{name}",
        row["image_path"],
        (row["photo_keys"] or [row["image_id"]])[0],
    )


CORPUS = Corpus(
    name="open_images",
    title="Open Images",
    kind="images",
    layout="""\
open_images/*-annotations-object-segmentation.csv  masks (train-, validation-, test-)
open_images/class-descriptions-boxable.csv         names of classes, also as oidv7-...
open_images/*-annotations-bbox.csv                 optional: groups, depictions, objects without a mask
open_images/*human-imagelabels*.csv                optional: labels looked for, found or not
open_images/sam-*-annotations-object-segmentation.csv  optional: masks by `avs-train segment`
open_images/*rotation*.csv                         optional: licences, authors, addresses
open_images/masks/, images/                        or in folders one below""",
    sources=sources,
    read=read,
    labels=labels,
    official="Give the official class-descriptions-boxable.csv, as it was downloaded",
    vocabulary=Vocabulary(of_files, of_corpora),
    fetching=Fetching(
        {
            "open_images": "https://storage.googleapis.com/openimages",
            "open_images_photos": "https://open-images-dataset.s3.amazonaws.com",
        },
        _needs,
        item_bytes=330_000,  # 1024 px on the longer side
    ),
    usual=True,
    annotation_licence="cc-by-4.0",
)
