"""`avs-train segment`."""

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avs_train.commands import options
from shards import storage
from shards.command_line import Command
from shards.errors import AvsError

if TYPE_CHECKING:
    import pyarrow as pa

    from avs_train.display import RunDisplay
    from pipelines.recipes.recipe import Recipe

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
_FOLDER = "open_images"
_WORK = f"{_FOLDER}/.sam"  # a file a chunk of photos, until all are drawn
_MASKS = f"{_FOLDER}/masks/sam"
_OTHERS = (
    "{url} has masks of other weights ({theirs}...; here {mine}...): two models never mix. Remove it and {masks}, or "
    "give the checkpoint that drew them"
)


class SegmentError(AvsError):
    """Masks that cannot be drawn here; the message says what to do."""


@dataclass
class _Told:
    """What was drawn: objects by label, those of them that the recipe's thresholds keep; photos that cannot be read."""

    objects: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, str] = field(default_factory=dict)


@click.command(cls=Command, kept="each finished chunk of photos is kept; the same command goes on")
@click.argument("recipe_name", metavar="RECIPE")
@click.option("--corpora", required=True, metavar="DIR", help="Folder or URL with open_images/.")
@click.option(
    "--checkpoint",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Official SAM weights.",
)
@click.option("--batch", type=click.IntRange(1), default=4, show_default=True, help="Photos at once.")
@click.option("--device", default="auto", show_default=True, help="auto | cpu | cuda | cuda:1 ...")
@click.option(
    "--image-size", type=click.IntRange(64), default=1024, hidden=True, help="Pixels that SAM sees."
)
@options.JSON
def command(
    recipe_name: str, corpora: str, checkpoint: Path, batch: int, device: str, image_size: int, as_json: bool
) -> None:
    """Draw masks where Open Images has boxes alone: accordion, harp, trombone, violin, chainsaw and the like.

    SAM is given each box of a label that RECIPE's label map links, but of photos in which people drew masks of that
    label or one of its boxes is of a group, and writes DIR/open_images/masks/sam/ and
    DIR/open_images/sam-SPLIT-annotations-object-segmentation.csv, in Open Images' own layout, with the scores.
    Recipes take them with `select.mask_sources = ["human", "sam"]`, by `select.min_predicted_iou` and
    `min_stability`; records and tables then say who drew each mask.

    Example: avs-train segment avs_wide --corpora corpora --checkpoint sam_vit_h_4b8939.pth
    """
    from avs_train.display import RunDisplay
    from shards import terminal

    if not checkpoint.is_file():
        raise SegmentError(
            f"{checkpoint}: no such checkpoint; docs/train_on_gpus.md says where SAM's weights come from"
        )
    with RunDisplay(f"Draw masks by the boxes of {corpora}", "Draw", "photos") as display:
        from pipelines.recipes import recipe

        told = _draw(recipe.load(recipe_name), corpora, checkpoint, batch, device, image_size, display)
    if as_json:
        terminal.out_json({"objects": told.objects, "kept": told.kept, "left_out": told.left_out})
        return
    for label, number in sorted(told.objects.items()):
        terminal.out(f"{label}: {number:,} objects, {told.kept[label]:,} of them as sure as the recipe asks")
    for image_id, why in sorted(told.left_out.items()):
        terminal.out(f"left out: {image_id}: {why}")
    if not told.objects:
        terminal.out(
            "no object with a box and no mask, of a label that the recipe uses and a photo that is there"
        )


def _draw(
    asked: "Recipe", corpora: str, checkpoint: Path, batch: int, device: str, side: int, display: "RunDisplay"
) -> _Told:
    from avs_train import segment
    from avs_train.distributed import choose_device
    from pipelines.build import boxes

    table = boxes.without_masks(asked, corpora)
    weights = storage.sha256(str(checkpoint))
    told, rows = _Told(), {}
    photos = _photos(table)
    chunks = [photos[first : first + batch] for first in range(0, len(photos), batch)]
    known = {split: _known(corpora, split, weights) for split in sorted({photo.split for photo in photos})}
    model = None
    display.begin({"photos": len(photos), "objects": len(table), "steps": len(photos), "begin": 0})
    done = 0
    for chunk in chunks:
        made = _made(corpora, chunk, known, weights, side)
        if made is None:
            if model is None:
                model, size = segment.open_sam(checkpoint, choose_device(device), side)
            made = _chunk(corpora, chunk, segment, model, f"sam_{size}", weights, side)
            storage.write_atomic(_place(corpora, chunk, weights, side), json.dumps(made).encode())
        told.left_out |= made["left_out"]
        for row in made["rows"]:
            rows[row["MaskPath"]] = row
            told.objects[row["LabelName"]] += 1
            sure = row["PredictedIoU"] >= asked.select.min_predicted_iou
            told.kept[row["LabelName"]] += sure and row["Stability"] >= asked.select.min_stability
        done += len(chunk)
        display.step(done, {})
    of_split = {photo.image_id: photo.split for photo in photos}
    for split, before in known.items():
        new = {path: row for path, row in rows.items() if of_split[row["ImageID"]] == split}
        storage.write_atomic(_table(corpora, split), _csv({**before, **new}))
    storage.remove(storage.join(corpora, _WORK))
    return told


@dataclass(frozen=True)
class _Photo:
    split: str
    image_id: str
    path: str
    objects: tuple[
        tuple[str, tuple[str, ...]], ...
    ]  # label and the sides XMin, XMax, YMin, YMax as the file has them


def _photos(table: "pa.Table") -> list[_Photo]:
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


def _table(corpora: str, split: str) -> str:
    return storage.join(corpora, _FOLDER, f"sam-{split}-annotations-object-segmentation.csv")


def _place(corpora: str, chunk: list[_Photo], weights: str, side: int) -> str:
    digest = hashlib.sha256(repr((weights, side, chunk)).encode()).hexdigest()[:32]
    return storage.join(corpora, _WORK, f"{digest}.json")


def _known(corpora: str, split: str, weights: str) -> dict[str, dict[str, Any]]:
    """The masks that an earlier run drew and that are there, by name."""
    url = _table(corpora, split)
    if not storage.exists(url):
        return {}
    there = set(storage.names(storage.join(corpora, _MASKS)))
    known = {}
    try:
        for row in csv.DictReader(io.StringIO(storage.read_bytes(url).decode()), strict=True):
            if row.get("Weights") and row["Weights"] != weights:
                theirs, masks = row["Weights"][:12], storage.join(corpora, _MASKS)
                raise SegmentError(_OTHERS.format(url=url, theirs=theirs, mine=weights[:12], masks=masks))
            if None in row or None in row.values():
                raise ValueError(f"a row of other than {len(_COLUMNS)} fields")
            if row["MaskPath"] in there:
                scores = {name: float(row[name]) for name in ("PredictedIoU", "Stability")}
                known[row["MaskPath"]] = {**row, **scores}
    except (ValueError, KeyError, csv.Error) as error:
        raise SegmentError(f"{url} is damaged ({error}): remove it, and its masks are drawn again") from error
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
    corpora: str, chunk: list[_Photo], segment: Any, model: Any, name: str, weights: str, side: int
) -> dict[str, Any]:
    """Draw the masks of some photos; their rows, and the photos that cannot be read."""
    import numpy as np
    from PIL import Image

    from avs_train.data import decode

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
            storage.write_atomic(storage.join(corpora, _MASKS, path), buffer.getvalue(), durable=False)
            scores = (round(object_.predicted_iou, 6), "", round(object_.stability, 6), name, weights)
            rows.append(dict(zip(_COLUMNS, (path, photo.image_id, label, box, *sides, *scores), strict=True)))
    return {"rows": rows, "left_out": left_out}


def _csv(rows: dict[str, dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows[path] for path in sorted(rows))
    return text.getvalue().encode()
