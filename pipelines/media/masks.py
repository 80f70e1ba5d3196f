"""Masks as COCO run lengths: one small form from polygons and mask images alike, joined and measured without pixels.

Run lengths are those of pycocotools: `{"size": [height, width], "counts": bytes}`, column by column, background
first. What comes from a corpus is checked whole before pycocotools sees it: its runs fill the image exactly.
"""

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from PIL import Image
from pycocotools import mask as coco

from pipelines.media import mask_images
from pipelines.media.images import PNG_MAGIC
from shards import run_lengths
from shards.rejections import Reason, Rejected

Rle = dict[str, Any]

_BOX_MARGIN = 0.05  # of the image's sides; of real masks nothing lies outside the box grown by it
_OUTSIDE = 0.2  # of a mask's pixels
MAX_BYTES = 4 << 20  # of a segmentation's JSON
MAX_POLYGONS = 10_000  # of one mask
MAX_OUTLINE_PX = 4_000_000  # of all its polygons: what drawing them costs
# Masks times bytes: pycocotools goes through all that it has joined for each further one.
_JOINED_ONE_BY_ONE = 4 << 20


class _Runs(msgspec.Struct):
    size: tuple[int, int]
    counts: str | list[int]


_Segmentation = list[list[float]] | _Runs


def from_coco(segmentation: bytes, width: int, height: int) -> Rle:
    """Run lengths of a COCO segmentation: polygons, or run lengths plain or compressed.

    Polygons smaller than a pixel give an empty mask.

    Raises:
        Rejected: not a segmentation, one that says nothing of where the object is, or drawn outside the image (1 % of
            its side and a pixel are forgiven).
    """
    if len(segmentation) > MAX_BYTES:
        raise _unreadable(f"{len(segmentation)} bytes of JSON; at most {MAX_BYTES}")
    try:
        shape = msgspec.json.decode(segmentation, type=_Segmentation)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(f"neither polygons nor run lengths: {error}") from error
    return _of_runs(shape, width, height) if isinstance(shape, _Runs) else _of_polygons(shape, width, height)


def _unreadable(detail: str) -> Rejected:
    return Rejected(Reason.MASK_UNREADABLE, detail)


def _of_polygons(shape: list[list[float]], width: int, height: int) -> Rle:
    if not shape:
        raise Rejected(Reason.MASK_EMPTY, "no polygon")
    if len(shape) > MAX_POLYGONS:
        raise _unreadable(f"{len(shape)} polygons; at most {MAX_POLYGONS}")
    if any(len(polygon) < 6 or len(polygon) % 2 for polygon in shape):
        raise _unreadable("a polygon is a flat list of at least three x, y pairs")
    polygons = [np.array(polygon).reshape(-1, 2) for polygon in shape]
    points = np.concatenate(polygons)
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    before = left < -(0.01 * width + 1) or top < -(0.01 * height + 1)
    if before or right > 1.01 * width + 1 or bottom > 1.01 * height + 1:
        raise Rejected(
            Reason.MASK_OUTSIDE_IMAGE,
            f"x {left:,.6g} to {right:,.6g}, y {top:,.6g} to {bottom:,.6g} in an image of {width} x {height}",
        )
    following = [np.concatenate((polygon[1:], polygon[:1])) for polygon in polygons]
    both = list(zip(polygons, following, strict=True))
    if not any(_doubled_area(*pair) for pair in both):
        raise Rejected(Reason.MASK_EMPTY, "points and lines, without any area")
    outline_px = sum(np.abs(after - polygon).max(axis=1).sum() for polygon, after in both)
    if outline_px > MAX_OUTLINE_PX:
        raise _unreadable(f"an outline of {outline_px:.0f} pixels; at most {MAX_OUTLINE_PX}")
    return union(coco.frPyObjects(shape, height, width))


def _doubled_area(polygon: np.ndarray, following: np.ndarray) -> float:
    """`following`: of each point the next one."""
    (x, y), (next_x, next_y) = (polygon - polygon[0]).T, (following - polygon[0]).T
    return abs(float(np.dot(x, next_y) - np.dot(y, next_x)))


def _of_runs(shape: _Runs, width: int, height: int) -> Rle:
    if shape.size != (height, width):
        raise Rejected(
            Reason.MASK_OUTSIDE_IMAGE, f"run lengths of {list(shape.size)}; the image is {[height, width]}"
        )
    try:
        runs = (
            run_lengths.decompress(shape.counts)
            if isinstance(shape.counts, str)
            else np.array(shape.counts, np.int64)
        )
    except (OverflowError, ValueError) as error:
        raise _unreadable(f"run lengths: {error}") from error
    pixels = width * height
    if len(runs) == 0 or runs.min() < 0 or runs.max() > pixels or runs.sum() != pixels:
        total = f"{runs.sum()}" if len(runs) and runs.min() >= 0 and runs.max() <= pixels else "no image"
        raise _unreadable(f"run lengths add up to {total}, not {pixels}")
    if not runs[1::2].any():
        raise Rejected(Reason.MASK_EMPTY, "no pixel set")
    return _rle(np.cumsum(runs[:-1]), height, width)


def _rle(turns: np.ndarray, height: int, width: int) -> Rle:
    """From the pixels at which background and object take turns; two turns at one pixel are none."""
    pixels = height * width
    turns, times = np.unique(turns, return_counts=True)
    turns = turns[(times % 2 == 1) & (turns < pixels)]
    runs = np.diff(turns, prepend=0, append=pixels)
    return coco.frPyObjects({"size": [height, width], "counts": runs.tolist()}, height, width)


def _turns(rle: Rle) -> np.ndarray:
    return np.cumsum(run_lengths.decompress(rle["counts"].decode()))


def from_image(content: bytes, width: int, height: int, max_pixels: int) -> Rle:
    """Run lengths of a mask image, scaled to the photo by nearest neighbour where its size differs.

    Raises:
        Rejected: not readable, ambiguous, too large, empty, or of another shape than the photo (over 2 % and a pixel).
    """
    pixels = mask_images.read(content, max_pixels=max_pixels)
    if not pixels.any():
        raise Rejected(Reason.MASK_EMPTY, "no pixel set")
    high, wide = pixels.shape
    if abs(wide * height - high * width) > 0.02 * wide * height + max(width, height):
        raise Rejected(Reason.IMAGE_SIZE_MISMATCH, f"mask {wide} x {high}, image {width} x {height}")
    if pixels.shape != (height, width):
        scaled = Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST)
        pixels = np.asarray(scaled)
    return coco.encode(np.asfortranarray(pixels, dtype=np.uint8))


def expect_inside(rle: Rle, box: Sequence[float]) -> None:
    """Reject a mask that lies elsewhere than the corpus's own box, as one does that shows the ground for the object.

    Args:
        box: left, top, right, bottom as shares of the image's sides.
    """
    height, width = rle["size"]
    margins = np.array([-1, -1, 1, 1]) * _BOX_MARGIN
    left, top, right, bottom = (np.array(box) + margins).clip(0, 1)
    rows = slice(int(top * height), int(np.ceil(bottom * height)))
    columns = slice(int(left * width), int(np.ceil(right * width)))
    found = pixels(rle)
    outside = 1 - float(found[rows, columns].sum() / found.sum())
    if outside > _OUTSIDE:
        raise Rejected(
            Reason.MASK_AMBIGUOUS,
            f"{outside:.0%} of it lie outside its box, grown by {_BOX_MARGIN:.0%} of the image; at most {_OUTSIDE:.0%}",
        )


def union(rles: list[Rle]) -> Rle:
    """All pixels that are in any of the masks, which have one size; at least one mask."""
    if len(rles) == 1:
        return rles[0]
    if len(rles) * sum(len(rle["counts"]) for rle in rles) <= _JOINED_ONE_BY_ONE:
        return coco.merge(rles)
    height, width = rles[0]["size"]
    turns = [_turns(rle) for rle in rles]
    begins = np.concatenate([found[0:-1:2] for found in turns])
    ends = np.concatenate([found[1::2] for found in turns])
    places = np.concatenate([begins, ends])
    steps = np.repeat(np.array([1, -1], np.int64), [len(begins), len(ends)])
    order = np.lexsort((-steps, places))  # where one mask ends and another begins, the object goes on
    places, steps = places[order], steps[order]
    depth = np.cumsum(steps)
    turning = ((depth == 1) & (steps == 1)) | (depth == 0)
    return _rle(places[turning], height, width)


def overlap_px(one: Rle, other: Rle) -> int:
    """Pixels that are in both of two masks of one size."""
    return area_px(one) + area_px(other) - area_px(union([one, other]))


def area_px(rle: Rle) -> int:
    return int(coco.area(rle))


def bbox(rle: Rle) -> tuple[int, int, int, int]:
    """x, y, width, height in whole pixels; the tightest box around the mask."""
    x, y, w, h = coco.toBbox(rle)
    return int(x), int(y), int(w), int(h)


def pixels(rle: Rle) -> np.ndarray:
    """(height, width) bool.

    Raises:
        ValueError: the runs do not fill the image.
    """
    return run_lengths.pixels(rle["counts"].decode(), *rle["size"])


def to_png(rle: Rle) -> bytes:
    """The mask as the shards hold it: 8 bit, one channel, 0 or 255; shape (height, width)."""
    return png(pixels(rle))


def png(mask: np.ndarray) -> bytes:
    """(height, width) bool to an 8-bit PNG of 0 and 255."""
    return grey_png(mask.astype(np.uint8) * np.uint8(255))


def grey_png(values: np.ndarray) -> bytes:
    """(height, width) uint8 to an 8-bit PNG of one channel."""
    height, width = values.shape
    rows = np.zeros((height, 1 + width), np.uint8)  # each begins with its filter: none
    rows[:, 1:] = values
    # Of masks half the size and time of searching and filtering.
    deflate = zlib.compressobj(1, strategy=zlib.Z_RLE)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = deflate.compress(rows.data) + deflate.flush()
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return PNG_MAGIC + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
