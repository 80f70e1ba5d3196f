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

from shards import format, pictures
from shards.hashing import hash64
from shards.manifest import DatasetError
from shards.reader import Dataset
from shards.tables import column

THUMBNAIL = (320, 240)  # pixels; photos are fitted inside
_TINT = (255, 214, 0)
_COLUMNS = 6
_CAPTION_PX = 26


@dataclass(frozen=True)
class Card:
    """One sample to show. `picture` fits in THUMBNAIL; `flac` and `record` are as stored."""

    key: str
    split: str
    category: str
    picture: Image.Image
    flac: bytes
    record: dict[str, Any]


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
    table = dataset.table(columns=["key", "split", "category", "shard", *_places()])
    picked = pick(table["key"].to_pylist(), table["category"].to_pylist(), number)
    for row in table.take(pa.array(picked, pa.int64())).to_pylist():
        photo, mask, record = (dataset.read_member(row, name) for name in ("jpg", "mask.png", "json"))
        try:
            pictures.check_photo(photo)
            pictures.check_mask(mask)
            picture = overlay(photo, mask)
            facts = _record(record)
        except (OSError, ValueError, SyntaxError, pictures.PictureError) as error:
            raise DatasetError(
                f"{row['shard']}: sample {row['key']} does not decode ({error}); run `avs-data verify` on the dataset"
            ) from error
        yield Card(
            row["key"], row["split"], row["category"], picture, dataset.read_member(row, "flac"), facts
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


def _places() -> list[str]:
    return [
        f"{column(name)}_{part}" for name in format.SAMPLE_MEMBERS for part in ("offset", "size", "sha256")
    ]


def overlay(photo: bytes, mask: bytes) -> Image.Image:
    """A thumbnail: what the mask covers is tinted and outlined, the rest stands back."""
    with Image.open(io.BytesIO(photo)) as image:
        image.draft("RGB", (2 * THUMBNAIL[0], 2 * THUMBNAIL[1]))
        small = image.convert("RGB")
    small.thumbnail(THUMBNAIL)
    with Image.open(io.BytesIO(mask)) as image:
        inside = image.convert("L").resize(small.size, Image.Resampling.BOX)
    hard = inside.point([255 if value >= 128 else 0 for value in range(256)])
    edge = np.asarray(hard.filter(ImageFilter.MaxFilter(5)), dtype=bool) & ~np.asarray(hard, dtype=bool)
    halo = (
        np.asarray(hard.filter(ImageFilter.MaxFilter(9)), dtype=bool) & ~edge & ~np.asarray(hard, dtype=bool)
    )
    pixels = np.asarray(small, dtype=np.float32)
    grey = pixels.mean(axis=2, keepdims=True)
    cover = np.asarray(inside, dtype=np.float32)[..., None] / 255
    back = 0.6 * (0.4 * grey + 0.6 * pixels) + 58
    front = 0.8 * pixels + 0.2 * np.array(_TINT, dtype=np.float32)
    mixed = cover * front + (1 - cover) * back
    mixed[halo] *= 0.45
    mixed[edge] = _TINT
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
        caption = " ".join(card.category.replace("_", " ").split())[:36]
        pen.text((x + 2, y + THUMBNAIL[1] + 4), caption, fill=(36, 41, 47), font=font)
    return page
