"""The contact sheet: samples picked by hash and spread over the categories, with their masks laid over the photos."""

import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from shards import format, pictures, run_lengths
from shards.hashing import hash64
from shards.manifest import DatasetError
from shards.reader import Dataset
from shards.tables import column

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
THUMBNAIL = (320, 240)  # pixels; photos are fitted inside
_TINT = (255, 214, 0)
_TINTS = (_TINT, (0, 190, 255), (255, 90, 200), (120, 230, 90), (255, 130, 40))  # of the sources of a scene
_INK = (36, 41, 47)
_COLUMNS = 6
_CAPTION_PX = 26


@dataclass(frozen=True)
class Card:
    """One sample to show. `picture` fits in THUMBNAIL; `flac` and `record` are as stored.

    caption: words, each with the colour of what it names in the picture, None for text that names nothing there.
    """

    key: str
    split: str
    category: str
    picture: Image.Image
    flac: bytes
    record: dict[str, Any]
    caption: tuple[tuple[str, tuple[int, int, int] | None], ...] = ()


def pick(keys: list[str], categories: list[str], number: int) -> list[int]:
    """Positions of `number` samples: one of each category in turn, each category's samples in an order by hash."""
    turns: dict[str, list[int]] = {}
    for place in sorted(range(len(keys)), key=lambda place: hash64("contact sheet", keys[place])):
        turns.setdefault(categories[place], []).append(place)
    names = sorted(turns, key=lambda name: hash64("contact sheet", name))
    ranked = sorted(
        (turn, order, place)
        for order, name in enumerate(names)
        for turn, place in enumerate(turns[name][:number])
    )
    return [place for _, _, place in ranked[:number]]


def cards(dataset: Dataset, number: int) -> Iterator[Card]:
    """The samples of the contact sheet, read one at a time by range.

    Raises:
        DatasetError: a photo, mask or record of the sheet does not decode.
    """
    members = dataset.manifest.sample_members
    scenes = bool(dataset.manifest.targets)
    columns = ["key", "split", "category", "shard", *(["kind"] if scenes else []), *_places(members)]
    table = dataset.table(columns=columns)
    shown = table["category"].to_pylist()
    if scenes:  # negatives take turns by their kind
        shown = [name or kind for name, kind in zip(shown, table["kind"].to_pylist(), strict=True)]
    picked = pick(table["key"].to_pylist(), shown, number)
    for row in table.take(pa.array(picked, pa.int64())).to_pylist():
        photo, record = (dataset.read_member(row, name) for name in ("jpg", "json"))
        masks = {name: dataset.read_member(row, name) for name in members if name.endswith(".png")}
        try:
            pictures.check_photo(photo)
            for name, content in masks.items():
                pictures.check_mask(content, name)
            facts = _record(record)
            layers = (
                _layers(facts, masks, dataset.manifest.classes)
                if scenes
                else [(_TINT, _grey(masks["mask.png"]))]
            )
            picture = overlay(photo, layers)
        except (OSError, ValueError, SyntaxError, pictures.PictureError) as error:
            raise DatasetError(
                f"{row['shard']}: sample {row['key']} does not decode ({error}); run `avs-data verify` on the dataset"
            ) from error
        yield Card(
            row["key"],
            row["split"],
            row["category"] or row["kind"],
            picture,
            dataset.read_member(row, "flac"),
            facts,
            _caption(facts) if scenes else ((row["category"], None),),
        )


def _layers(
    record: dict[str, Any], masks: dict[str, bytes], classes: tuple[str, ...]
) -> list[tuple[tuple[int, int, int], Image.Image]]:
    """Colour and mask of each source that is seen, as far as the targets tell them apart; overlaps are of both."""
    seen = [source for source in record["sources"] if source["mask_ids"]]
    height, width = record["image"]["height"], record["image"]["width"]
    if all("instances" in source for source in seen):
        drawn = [
            np.logical_or.reduce(
                [run_lengths.pixels(one["counts"], height, width) for one in source["instances"]]
            )
            for source in seen
        ]
    elif format.CLASSES in masks:
        numbers = np.asarray(_grey(masks[format.CLASSES]))
        own = [classes.index(source["category"]) + 1 for source in seen]
        drawn = [(numbers == number) | (numbers == format.IGNORE) for number in own]
    else:
        return [(_TINTS[0], _grey(masks["mask.png"]))]
    pictures = (Image.fromarray(pixels.astype(np.uint8) * np.uint8(255)) for pixels in drawn)
    return [(_TINTS[place % len(_TINTS)], picture) for place, picture in enumerate(pictures)]


def _caption(record: dict[str, Any]) -> tuple[tuple[str, tuple[int, int, int] | None], ...]:
    """What is heard: each source that is seen in the colour of its mask, of the others what kind they are."""
    names = [source["category"] for source in record["sources"]]
    if record["kind"] == "off_screen":
        return ((f"off screen: {', '.join(names)}", None),)
    if record["kind"] in ("silence", "noise"):
        return ((record["kind"], None),)
    return tuple((name, _TINTS[place % len(_TINTS)]) for place, name in enumerate(names))


def _grey(png: bytes) -> Image.Image:
    with Image.open(io.BytesIO(png)) as image:
        return image.convert("L")


def _record(content: bytes) -> dict[str, Any]:
    """A sample's record.

    Raises:
        ValueError: not a JSON object.
    """
    record = json.loads(content)
    if not isinstance(record, dict):
        raise ValueError("its record is no JSON object")
    return record


def _places(members: tuple[str, ...]) -> list[str]:
    return [f"{column(name)}_{part}" for name in members for part in ("offset", "size", "sha256")]


def overlay(photo: bytes, layers: list[tuple[tuple[int, int, int], Image.Image]]) -> Image.Image:
    """A thumbnail: what a mask covers is tinted and outlined in its colour, the rest stands back."""
    with Image.open(io.BytesIO(photo)) as image:
        image.draft("RGB", (2 * THUMBNAIL[0], 2 * THUMBNAIL[1]))
        small = image.convert("RGB")
    small.thumbnail(THUMBNAIL)
    pixels = np.asarray(small, dtype=np.float32)
    grey = pixels.mean(axis=2, keepdims=True)
    mixed = 0.6 * (0.4 * grey + 0.6 * pixels) + 58
    outlines = []
    for colour, mask in layers:
        inside = mask.resize(small.size, Image.Resampling.BOX)
        hard = inside.point([255 if value >= 128 else 0 for value in range(256)])
        solid = np.asarray(hard, dtype=bool)
        edge = np.asarray(hard.filter(ImageFilter.MaxFilter(5)), dtype=bool) & ~solid
        halo = np.asarray(hard.filter(ImageFilter.MaxFilter(9)), dtype=bool) & ~edge & ~solid
        cover = np.asarray(inside, dtype=np.float32)[..., None] / 255
        front = 0.8 * pixels + 0.2 * np.array(colour, dtype=np.float32)
        mixed = cover * front + (1 - cover) * mixed
        outlines.append((colour, edge, halo))
    for _, _, halo in outlines:
        mixed[halo] *= 0.45
    for colour, edge, _ in outlines:
        mixed[edge] = colour
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


def sheet(shown: list[Card]) -> Image.Image:
    """All pictures in a grid, the category below each."""
    columns = min(_COLUMNS, max(1, len(shown)))
    rows = math.ceil(len(shown) / columns)
    cell = (THUMBNAIL[0] + 12, THUMBNAIL[1] + _CAPTION_PX + 12)
    page = Image.new("RGB", (columns * cell[0] + 12, max(1, rows) * cell[1] + 12), (246, 248, 250))
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size=17)
    for place, card in enumerate(shown):
        x, y = 12 + place % columns * cell[0], 12 + place // columns * cell[1]
        pen.rectangle((x, y, x + THUMBNAIL[0] - 1, y + THUMBNAIL[1] - 1), fill=(225, 229, 234))
        width, height = card.picture.size
        page.paste(card.picture, (x + (THUMBNAIL[0] - width) // 2, y + (THUMBNAIL[1] - height) // 2))
        _write(pen, font, (x + 2, y + THUMBNAIL[1] + 4), card)
    return page


def _write(
    pen: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    at: tuple[int, int],
    card: Card,
) -> None:
    """The caption; a square in the colour of its mask stands before what is seen."""
    x, y = at
    end = x + THUMBNAIL[0] - 2
    for words, colour in card.caption or ((card.category, None),):
        told = " ".join(words.replace("_", " ").split())
        square = 16 if colour and len(card.caption) > 1 else 0
        while told and x + square + font.getlength(told) > end:
            told = told[:-2] + "…" if len(told) > 2 else ""
        if told and square:
            pen.rectangle((x, y + 4, x + 11, y + 15), fill=colour, outline=_INK)
        pen.text((x + square, y), told, fill=_INK, font=font)
        x += square + round(font.getlength(told)) + 10
