"""A photo and its mask, held against their row."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from shards import format, jpeg, pictures


def check(row: dict[str, Any], parts: dict[str, bytes]) -> Iterator[str]:
    size = pictures.check_photo(parts["jpg"])
    with JpegImageFile(io.BytesIO(parts["jpg"])) as photo:
        photo.draft(
            "L", (max(1, size[0] // 8), max(1, size[1] // 8))
        )  # every coded byte is read, few pixels made
        photo.load()
    if size != (row["width"], row["height"]):
        yield f"jpg: {size[0]} x {size[1]}; the table says {row['width']} x {row['height']}"
    if jpeg.cleared(parts["jpg"]) != parts["jpg"]:
        yield "jpg: its metadata tell readers to turn it, which would not turn the mask"
    pictures.check_mask(parts["mask.png"])
    with PngImageFile(io.BytesIO(parts["mask.png"])) as mask:
        mode, pixels = mask.mode, np.asarray(mask)
    if mode != "L" or pixels.shape[::-1] != size or ((pixels != 0) & (pixels != 255)).any():
        yield f"mask.png: mode {mode}, {pixels.shape[::-1]}; the format has one channel, 0 or 255, the photo's size"
        return
    area, box = int(np.count_nonzero(pixels)), _box(pixels)
    if area != row["area_px"] or box != tuple(row[f"bbox_{side}"] for side in "xywh"):
        yield f"mask.png: {area} pixels in {box}; the table says {row['area_px']}"
    if area / pixels.size != row["area_fraction"]:
        yield f"mask.png: {area / pixels.size} of the photo; the table says {row['area_fraction']}"
    if not area and "kind" not in row and not format.is_frame(row["image_id"]):
        yield "mask.png: no pixel is 255, and the photo is no frame of a video"


def _box(pixels: np.ndarray) -> tuple[int, int, int, int]:
    """x, y, width, height of what is not zero; zeros where everything is."""
    ys, xs = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
    if not len(xs):
        return 0, 0, 0, 0
    return int(xs[0]), int(ys[0]), int(xs[-1] - xs[0]) + 1, int(ys[-1] - ys[0]) + 1
