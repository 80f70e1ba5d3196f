"""Masks for a corpora folder: every object of Open Images that a recipe uses and nobody masked, drawn by SAM.

A chunk of photos is drawn at once and kept until all are; the lists that a build reads appear when everything is there.
"""

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from avs_train import segment
from avs_train.data import decode
from avs_train.display import RunDisplay
from avs_train.distributed import choose_device
from avs_train.models.sam import Sam
from pipelines.build.categorize import label_map_of
from pipelines.corpora import open_images_boxes as boxes
from pipelines.recipes.recipe import Recipe
from shards import storage
from shards.errors import AvsError

_COLUMNS = (
    *(
        "MaskPath",
        "ImageID",
        "LabelName",
        "BoxID",
        "BoxXMin",
        "BoxXMax",
        "BoxYMin",
        "BoxYMax",
        "PredictedIoU",
    ),
    *("Clicks", "Stability", "Model", "Weights"),
)
_OTHERS = (
    "{url} has masks of other weights ({theirs}...; here {mine}...): two models never mix. Remove it and {masks}, or "
    "give the checkpoint that drew them"
)


class OtherWeights(AvsError):
    """Masks of another checkpoint are there; the message says what to do."""


class DamagedList(AvsError):
    """A list of masks that cannot be read; the message says what to do."""


@dataclass
class Told:
    """What was drawn: objects by label, those of them that the recipe's thresholds keep; photos that cannot be read."""

    objects: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, str] = field(default_factory=dict)


def objects(recipe: Recipe, corpora: str) -> pa.Table:
    """What is to be drawn (`open_images_boxes.OBJECTS`).

    Raises:
        CorpusError: no box file. LabelMapError, CategoryError: of the recipe.
    """
    label_map = label_map_of(recipe.labels, corpora, recipe.corpora)
    links = [link for link in label_map.links if link.source == boxes.FOLDER and label_map.is_used(link)]
    select = recipe.select
    return boxes.without_masks(
        corpora,
        (link.source_id for link in links),
        groups=select.group_of,
        depictions=select.depiction,
    )


def draw(
    recipe: Recipe, corpora: str, checkpoint: Path, batch: int, device: str, side: int, display: RunDisplay
) -> Told:
    """Draw what is not drawn yet, and write the lists.

    Args:
        batch: photos at once; side: pixels of the image that SAM sees.

    Raises:
        OtherWeights, DamagedList
        CheckpointError: no weights of SAM.
    """
    table = objects(recipe, corpora)
    weights = storage.sha256(str(checkpoint))
    told, rows = Told(), {}
    photos = _photos(table)
    chunks = [photos[first : first + batch] for first in range(0, len(photos), batch)]
    known = {split: _known(corpora, split, weights) for split in sorted({photo.split for photo in photos})}
    model = None
    display.begin({"photos": len(photos), "objects": len(table)}, len(photos))
    done = 0
    for chunk in chunks:
        made = _made(corpora, chunk, known, weights, side)
        if made is None:
            if model is None:
                model, size = segment.open_sam(checkpoint, choose_device(device), side)
            made = _chunk(corpora, chunk, model, f"sam_{size}", weights, side)
            storage.write_atomic(_place(corpora, chunk, weights, side), json.dumps(made).encode())
        told.left_out |= made["left_out"]
        for row in made["rows"]:
            rows[row["MaskPath"]] = row
            told.objects[row["LabelName"]] += 1
            sure = row["PredictedIoU"] >= recipe.select.min_predicted_iou
            told.kept[row["LabelName"]] += sure and row["Stability"] >= recipe.select.min_stability
        done += len(chunk)
        display.step(done, {})
    of_split = {photo.image_id: photo.split for photo in photos}
    for split, before in known.items():
        new = {path: row for path, row in rows.items() if of_split[row["ImageID"]] == split}
        storage.write_atomic(storage.join(corpora, boxes.table(split)), _csv({**before, **new}))
    storage.remove(storage.join(corpora, boxes.WORK))
    return told


@dataclass(frozen=True)
class _Photo:
    split: str
    image_id: str
    path: str
    objects: tuple[
        tuple[str, tuple[str, ...]], ...
    ]  # label and the sides XMin, XMax, YMin, YMax as the file has them


def _photos(table: pa.Table) -> list[_Photo]:
    found: dict[tuple[str, str, str], list[tuple[str, tuple[str, ...]]]] = {}
    for batch in table.to_batches():
        for row in batch.to_pylist():
            photo = (row["split"], row["image_id"], row["image_path"])
            sides = tuple(row[side] for side in ("XMin", "XMax", "YMin", "YMax"))
            found.setdefault(photo, []).append((row["label_id"], sides))
    return [_Photo(*photo, tuple(objects)) for photo, objects in found.items()]


def _named(photo: _Photo) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """The mask's name, its box's, and label and sides, of each object."""
    for label, sides in photo.objects:
        box = hashlib.sha256(":".join(("sam", photo.image_id, label, *sides)).encode()).hexdigest()[:8]
        yield f"{photo.image_id}_{label.replace('/', '')}_{box}.png", box, label, sides


def _place(corpora: str, chunk: list[_Photo], weights: str, side: int) -> str:
    digest = hashlib.sha256(repr((weights, side, chunk)).encode()).hexdigest()[:32]
    return storage.join(corpora, boxes.WORK, f"{digest}.json")


def _known(corpora: str, split: str, weights: str) -> dict[str, dict[str, Any]]:
    """The masks that an earlier run drew and that are there, by name."""
    url, masks = storage.join(corpora, boxes.table(split)), storage.join(corpora, boxes.MASKS)
    if not storage.exists(url):
        return {}
    there = set(storage.names(masks))
    known = {}
    try:
        for row in csv.DictReader(io.StringIO(storage.read_bytes(url).decode()), strict=True):
            if row.get("Weights") and row["Weights"] != weights:
                theirs = row["Weights"][:12]
                raise OtherWeights(_OTHERS.format(url=url, theirs=theirs, mine=weights[:12], masks=masks))
            if None in row or None in row.values():
                raise ValueError(f"a row of other than {len(_COLUMNS)} fields")
            if row["MaskPath"] in there:
                scores = {name: float(row[name]) for name in ("PredictedIoU", "Stability")}
                known[row["MaskPath"]] = {**row, **scores}
    except (ValueError, KeyError, csv.Error) as error:
        raise DamagedList(f"{url} is damaged ({error}): remove it, and its masks are drawn again") from error
    return known


def _made(
    corpora: str, chunk: list[_Photo], known: dict[str, dict[str, dict[str, Any]]], weights: str, side: int
) -> dict[str, Any] | None:
    """What an earlier run made of a chunk; None: it is still to be drawn."""
    wanted = [(photo.split, name) for photo in chunk for name, *_ in _named(photo)]
    if all(name in known[split] for split, name in wanted):
        return {"rows": [known[split][name] for split, name in wanted], "left_out": {}}
    url = _place(corpora, chunk, weights, side)
    return json.loads(storage.read_bytes(url)) if storage.exists(url) else None


def _chunk(
    corpora: str, chunk: list[_Photo], model: Sam, name: str, weights: str, side: int
) -> dict[str, Any]:
    """Draw the masks of some photos; their rows, and the photos that cannot be read."""
    pictures, around, there = [], [], []
    left_out = {}
    for photo in chunk:
        try:
            picture = decode.photo(storage.read_bytes(storage.join(corpora, photo.path)))
        except (decode.DecodeError, FileNotFoundError) as error:
            left_out[photo.image_id] = f"{type(error).__name__}: {error}"
            continue
        height, width = picture.shape[:2]
        shares = np.array([[float(side) for side in sides] for _, sides in photo.objects])
        around.append(shares[:, [0, 2, 1, 3]] * (width, height, width, height))
        pictures.append(picture)
        there.append(photo)
    rows = []
    for photo, found in zip(
        there, segment.outline(model, pictures, around, side) if there else (), strict=True
    ):
        for (path, box, label, sides), object_ in zip(_named(photo), found, strict=True):
            buffer = io.BytesIO()
            Image.fromarray(object_.mask).save(buffer, "PNG")
            storage.write_atomic(storage.join(corpora, boxes.MASKS, path), buffer.getvalue(), durable=False)
            scores = (round(object_.predicted_iou, 6), "", round(object_.stability, 6), name, weights)
            rows.append(dict(zip(_COLUMNS, (path, photo.image_id, label, box, *sides, *scores), strict=True)))
    return {"rows": rows, "left_out": left_out}


def _csv(rows: dict[str, dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows[path] for path in sorted(rows))
    return text.getvalue().encode()
