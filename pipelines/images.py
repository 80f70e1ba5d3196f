"""Photos: what the header says, and whether the bytes decode. Photos are never re-encoded."""

import io

from PIL import Image

from pipelines.records import Reason, Rejected
from shards import storage

Image.MAX_IMAGE_PIXELS = None  # the recipe's max_image_pixels is checked from the header, before any pixel


def header(url: str, *, min_side_px: int, max_pixels: int) -> tuple[int, int]:
    """Width and height in pixels, read from the header alone.

    Raises:
        Rejected: no JPEG, too small, or too large.
    """
    try:
        with storage.open_read(url) as file, Image.open(file, formats=("JPEG",)) as image:
            width, height = image.size
    except (OSError, SyntaxError, ValueError) as error:
        raise Rejected(Reason.IMAGE_UNREADABLE, f"no JPEG: {error}") from error
    if min(width, height) < min_side_px:
        raise Rejected(Reason.IMAGE_TOO_SMALL, f"{width} x {height}; shorter side at least {min_side_px}")
    if width * height > max_pixels:
        raise Rejected(Reason.IMAGE_TOO_LARGE, f"{width} x {height}; at most {max_pixels} pixels")
    return width, height


def check(content: bytes, width: int, height: int) -> None:
    """Decode a JPEG at an eighth of its size: every coded byte is read, few pixels are made.

    Raises:
        Rejected: truncated, corrupt, or not `width` x `height`.
    """
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
            size = image.size
            image.draft("L", (max(1, width // 8), max(1, height // 8)))
            image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise Rejected(Reason.IMAGE_UNREADABLE, f"{type(error).__name__}: {error}") from error
    if size != (width, height):
        raise Rejected(Reason.IMAGE_SIZE_MISMATCH, f"{size[0]} x {size[1]}; {width} x {height} was planned")
