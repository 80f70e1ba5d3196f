"""Objects of Open Images that have a box and no mask: what `avs-train segment` draws masks of.

A photo's objects of one label are drawn all or none: where people drew the mask of any of them, all stay with people,
and where one cannot be drawn (a group, a depiction, no box inside the photo) a union of the others would leave it out.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.corpora import csv_stream, names, open_images
from pipelines.corpora.keys import distinct, text_keys
from pipelines.corpora.open_images_tables import BOXES
from pipelines.corpora.source import CorpusError
from shards import storage
from shards.hashing import mix64

FOLDER = "open_images"
MASKS, WORK = f"{FOLDER}/masks/sam", f"{FOLDER}/.sam"  # the masks, and what is kept until all are drawn
SIDES = ("XMin", "XMax", "YMin", "YMax")  # shares of the photo's sides
# One row a box. The sides are text, as the file has them.
OBJECTS = pa.schema(
    {
        "split": pa.string(),  # train | validation | test
        "image_id": pa.string(),
        "image_path": pa.string(),  # below the corpora folder
        "label_id": pa.string(),
        **{side: pa.string() for side in SIDES},
    }
)


def table(split: str) -> str:
    """The file below the corpora folder that lists the masks of a split, in the layout of the segmentations."""
    return f"{FOLDER}/{open_images.BY_SAM}{split}{open_images.SEGMENTATIONS}"


def without_masks(corpora: str, label_ids: Iterable[str], *, groups: bool, depictions: bool) -> pa.Table:
    """OBJECTS with one of these labels whose photo is there, sorted; each box once.

    Args:
        groups, depictions: take boxes around a group, and of drawings and toys, too.

    Raises:
        CorpusError: no box file, or one that is none.
    """
    mids = pa.array(sorted(set(label_ids)), pa.string())
    folder = storage.join(corpora, FOLDER)
    files = [name for name in storage.names(folder) if name.endswith(BOXES)]
    if not files:
        raise CorpusError(
            FOLDER,
            "boxes",
            f"no file whose name ends in {BOXES}",
            "Put train-annotations-bbox.csv and its kin there",
        )
    left_out = [_drawn(folder)]
    photos = names.Listing(corpora, f"{FOLDER}/images", ".jpg")
    found = [OBJECTS.empty_table()]
    for name in files:
        for objects, others in _of_file(folder, name, mids, {"IsGroupOf": groups, "IsDepiction": depictions}):
            left_out.append(others)
            objects = objects.append_column("image_path", photos.find(objects["image_id"].combine_chunks()))
            found.append(
                objects.filter(pc.is_valid(objects["image_path"])).select(OBJECTS.names).cast(OBJECTS)
            )
    table = pa.concat_tables(found)
    free = ~np.isin(_objects(table["image_id"], table["label_id"]), np.concatenate(left_out))
    return (
        table.filter(pa.array(free))
        .group_by(OBJECTS.names, use_threads=False)
        .aggregate([])
        .sort_by([(n, "ascending") for n in OBJECTS.names])
    )


def _of_file(
    folder: str, name: str, mids: pa.Array, taken: dict[str, bool]
) -> Iterator[tuple[pa.Table, np.ndarray]]:
    """OBJECTS of a box file but for `image_path`, and (n,) uint64: `_objects` of those that cannot be drawn.

    taken: whether boxes with a flag are.
    """
    word = name.removesuffix(BOXES).rsplit("-", 1)[-1]
    split = word if word in ("train", "validation", "test") else "train"
    columns = ("ImageID", "LabelName", *SIDES, "IsGroupOf", "IsDepiction")
    for rows in csv_stream.read(storage.join(folder, name), f"{FOLDER}/{name}", columns):
        found = rows.columns
        sides = np.stack([csv_stream.numbers(found[side]) for side in SIDES])
        left, right, top, bottom = sides
        with np.errstate(invalid="ignore"):
            is_box = (sides >= 0).all(axis=0) & (sides <= 1).all(axis=0) & (left < right) & (top < bottom)
        asked = names.safe(found["ImageID"]) & pc.is_in(found["LabelName"], mids).to_numpy(
            zero_copy_only=False
        )
        wanted = asked & is_box
        for flag, allowed in taken.items():
            if not allowed:
                wanted &= ~pc.equal(found[flag], "1").to_numpy(zero_copy_only=False)
        chosen = found.filter(pa.array(wanted))
        given = {
            "split": pa.repeat(split, len(chosen)),
            "image_id": chosen["ImageID"],
            "label_id": chosen["LabelName"],
        }
        others = found.filter(pa.array(asked & ~wanted))
        yield (
            pa.table(given | {side: chosen[side] for side in SIDES}),
            _objects(others["ImageID"], others["LabelName"]),
        )


def _drawn(folder: str) -> np.ndarray:
    """(n,) uint64: every label of every photo of which people drew a mask."""
    found = [np.empty(0, np.uint64)]
    for name in storage.names(folder):
        if name.endswith(open_images.SEGMENTATIONS) and not name.startswith(open_images.BY_SAM):
            for rows in csv_stream.read(
                storage.join(folder, name), f"{FOLDER}/{name}", ("ImageID", "LabelName")
            ):
                found.append(_objects(rows.columns["ImageID"], rows.columns["LabelName"]))
    return distinct(np.concatenate(found))


def _objects(images: pa.Array, mids: pa.Array) -> np.ndarray:
    return mix64(text_keys(_flat(images)) ^ mix64(text_keys(_flat(mids))))


def _flat(texts: pa.Array | pa.ChunkedArray) -> pa.Array:
    return texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
