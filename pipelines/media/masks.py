"""Masks as COCO run lengths: one small form from polygons and PNGs alike, joined and measured without pixels.

Run lengths are those of pycocotools: `{"size": [height, width], "counts": bytes}`.
"""

import io
from typing import Any

import msgspec
import numpy as np
from PIL import Image
from pycocotools import mask as coco

from pipelines.media.images import said
from shards.rejections import Reason, Rejected

Rle = dict[str, Any]


def from_coco(segmentation: bytes, width: int, height: int) -> Rle:
    """Run lengths of a COCO segmentation: polygons, or run lengths plain or compressed.

    Raises:
        Rejected: not a segmentation, or drawn outside the image (1 % of its side and a pixel are forgiven).
    """
    try:
        shape = msgspec.json.decode(segmentation)
    except msgspec.DecodeError as error:
        raise Rejected(Reason.MASK_UNREADABLE, f"segmentation is not JSON: {error}") from error
    try:
        if isinstance(shape, dict):
            size = [int(side) for side in shape["size"]]
            if size != [height, width]:
                raise Rejected(
                    Reason.MASK_OUTSIDE_IMAGE, f"run lengths of {size}; the image is {[height, width]}"
                )
            if isinstance(shape["counts"], list):
                if sum(shape["counts"]) != height * width or min(shape["counts"]) < 0:
                    raise ValueError(f"run lengths add up to {sum(shape['counts'])}, not {height * width}")
                return coco.frPyObjects(shape, height, width)
            rle = {"size": size, "counts": shape["counts"].encode()}
            if int(coco.area(rle)) > height * width:
                raise ValueError("run lengths beyond the image")
            return rle
        polygons = [np.asarray(polygon, dtype=np.float64) for polygon in shape]
        if any(p.ndim != 1 or len(p) < 6 or len(p) % 2 for p in polygons):
            raise ValueError("a polygon is a flat list of at least three x, y pairs")
        if not polygons:
            raise Rejected(Reason.MASK_EMPTY, "no polygon")
        points = np.concatenate([p.reshape(-1, 2) for p in polygons])
        if not np.isfinite(points).all():
            raise ValueError("coordinates that are no numbers")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Rejected(Reason.MASK_UNREADABLE, f"{type(error).__name__}: {error}") from error
    low, high = points.min(axis=0), points.max(axis=0)
    sides = np.array([width, height], dtype=np.float64)
    if (low < -(0.01 * sides + 1)).any() or (high > 1.01 * sides + 1).any():
        raise Rejected(
            Reason.MASK_OUTSIDE_IMAGE,
            f"x {low[0]:.1f} to {high[0]:.1f}, y {low[1]:.1f} to {high[1]:.1f} in an image of {width} x {height}",
        )
    return coco.merge(coco.frPyObjects([p.tolist() for p in polygons], height, width))


def from_png(content: bytes, width: int, height: int, max_pixels: int) -> Rle:
    """Run lengths of a mask PNG, scaled to the image by nearest neighbour where its size differs.

    Raises:
        Rejected: not a PNG, too large, or of another shape than the image (over 2 % and a pixel).
    """
    try:
        with Image.open(io.BytesIO(content)) as png:
            if png.width * png.height > max_pixels:
                raise Rejected(
                    Reason.MASK_UNREADABLE, f"{png.width} x {png.height}; at most {max_pixels} pixels"
                )
            if abs(png.width * height - png.height * width) > 0.02 * png.width * height + max(width, height):
                raise Rejected(
                    Reason.IMAGE_SIZE_MISMATCH, f"mask {png.width} x {png.height}, image {width} x {height}"
                )
            mask = png.convert("L")
            if mask.size != (width, height):
                mask = mask.resize((width, height), Image.Resampling.NEAREST)
            pixels = np.asarray(mask) >= 128
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Rejected(Reason.MASK_UNREADABLE, f"{type(error).__name__}: {said(error)}") from error
    return coco.encode(np.asfortranarray(pixels, dtype=np.uint8))


def union(rles: list[Rle]) -> Rle:
    return rles[0] if len(rles) == 1 else coco.merge(rles)


def area_px(rle: Rle) -> int:
    return int(coco.area(rle))


def bbox(rle: Rle) -> tuple[int, int, int, int]:
    """x, y, width, height in whole pixels; the tightest box around the mask."""
    x, y, w, h = coco.toBbox(rle)
    return int(x), int(y), int(w), int(h)


def to_png(rle: Rle) -> bytes:
    """The mask as the shards hold it: 8 bit, one channel, 0 or 255; shape (height, width)."""
    buffer = io.BytesIO()
    Image.fromarray(coco.decode(rle) * np.uint8(255), mode="L").save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()
