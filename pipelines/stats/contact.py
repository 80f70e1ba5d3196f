"""The contact sheet: samples picked by hash and spread over the categories, with their masks laid over the photos."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from PIL import Image, ImageDraw, ImageFont

from pipelines.media import images, overlays
from shards import pictures
from shards.hashing import spread
from shards.manifest import DatasetError
from shards.reader import Dataset
from shards.tables import column

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
THUMBNAIL = (320, 240)  # pixels; photos are fitted inside
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
    picked = spread(table["key"].to_pylist(), shown, number)
    for row in table.take(pa.array(picked, pa.int64())).to_pylist():
        photo, record = (dataset.read_member(row, name) for name in ("jpg", "json"))
        masks = {name: dataset.read_member(row, name) for name in members if name.endswith(".png")}
        try:
            pictures.check_photo(photo)
            for name, content in masks.items():
                pictures.check_mask(content, name)
            facts = _record(record)
            layers = overlays.layers(facts, masks, dataset.manifest.classes)
            picture = overlays.overlay(photo, layers, THUMBNAIL)
        except (*images.FAULTS, pictures.PictureError) as error:
            raise DatasetError(
                f"{row['shard']}: sample {row['key']} does not decode ({error}); run `avs-data verify --deep`"
            ) from error
        yield Card(
            row["key"],
            row["split"],
            row["category"] or row["kind"],
            picture,
            dataset.read_member(row, "flac"),
            facts,
            overlays.caption(facts),
        )


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
