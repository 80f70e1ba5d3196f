"""Masks on a photo as people see them: each source in its colour, what it covers lit, the rest standing back."""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from shards import format, run_lengths

Colour = tuple[int, int, int]
Layer = tuple[Colour, Image.Image]  # a colour, and a mask in mode L
TINTS: tuple[Colour, ...] = (  # of the sources of a scene
    (255, 214, 0),
    (0, 190, 255),
    (255, 90, 200),
    (120, 230, 90),
    (255, 130, 40),
)
_SHADE = (12, 12, 14, 130)  # of what no mask covers, over a photo


def layers(record: dict[str, Any], masks: dict[str, bytes], classes: tuple[str, ...]) -> list[Layer]:
    """Colour and mask of each source that is seen, as far as the targets tell them apart; overlaps are of both.

    Args:
        record: KEY.json. masks: PNG by extension. classes: of the manifest.
    """
    seen = [source for source in record.get("sources", ()) if source["mask_ids"]]
    height, width = record["image"]["height"], record["image"]["width"]
    if seen and all("instances" in source for source in seen):
        drawn = [
            np.logical_or.reduce(
                [run_lengths.pixels(one["counts"], height, width) for one in source["instances"]]
            )
            for source in seen
        ]
    elif "sources" in record and format.CLASSES in masks:
        numbers = np.asarray(_grey(masks[format.CLASSES]))
        own = [classes.index(source["category"]) + 1 for source in seen]
        drawn = [(numbers == number) | (numbers == format.IGNORE) for number in own]
    else:
        return [(TINTS[0], _grey(masks["mask.png"]))]
    pictures = (Image.fromarray(pixels.astype(np.uint8) * np.uint8(255)) for pixels in drawn)
    return [(TINTS[place % len(TINTS)], picture) for place, picture in enumerate(pictures)]


def caption(record: dict[str, Any]) -> tuple[tuple[str, Colour | None], ...]:
    """What is heard: each source that is seen in the colour of its mask, of the others what kind they are."""
    if "sources" not in record:
        return ((record["category"], None),)
    names = [source["category"] for source in record["sources"]]
    if record["kind"] == "off_screen":
        return ((f"off screen: {', '.join(names)}", None),)
    if record["kind"] in ("silence", "noise"):
        return ((record["kind"], None),)
    return tuple((name, TINTS[place % len(TINTS)]) for place, name in enumerate(names))


def fitted(photo: bytes, size: tuple[int, int]) -> Image.Image:
    """The photo, RGB, at most of a size (width, height in pixels)."""
    with Image.open(io.BytesIO(photo)) as image:
        image.draft("RGB", (2 * size[0], 2 * size[1]))
        small = image.convert("RGB")
    small.thumbnail(size)
    return small


def overlay(photo: bytes, drawn: list[Layer], size: tuple[int, int]) -> Image.Image:
    """A thumbnail: what a mask covers is tinted and outlined in its colour, the rest stands back."""
    small = fitted(photo, size)
    pixels = np.asarray(small, dtype=np.float32)
    grey = pixels.mean(axis=2, keepdims=True)
    mixed = 0.6 * (0.4 * grey + 0.6 * pixels) + 58
    outlines = []
    for colour, mask in drawn:
        inside = mask.resize(small.size, Image.Resampling.BOX)
        hard = _hard(inside)
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


def sheer(drawn: list[Layer], size: tuple[int, int]) -> Image.Image:
    """The masks alone, RGBA of a size, to be laid over the photo: dark where none is, with an outline around each."""
    covered = np.zeros((size[1], size[0]), bool)
    edges = []
    for colour, mask in drawn:
        hard = _hard(mask.resize(size, Image.Resampling.BOX))
        solid = np.asarray(hard, dtype=bool)
        edges.append((colour, np.asarray(hard.filter(ImageFilter.MaxFilter(7)), dtype=bool) & ~solid))
        covered |= solid
    pixels = np.where(covered[..., None], np.uint8(0), np.array(_SHADE, np.uint8))
    for colour, edge in edges:
        pixels[edge] = (*colour, 255)
    return Image.fromarray(pixels, "RGBA")


def _hard(mask: Image.Image) -> Image.Image:
    return mask.point([255 if value >= 128 else 0 for value in range(256)])


def _grey(png: bytes) -> Image.Image:
    with Image.open(io.BytesIO(png)) as image:
        return image.convert("L")
