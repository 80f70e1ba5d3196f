"""Photos: what the header says, and whether the bytes decode. Photos are never re-encoded."""

import io

from PIL import Image, UnidentifiedImageError

from shards import storage
from shards.rejections import Reason, Rejected

Image.MAX_IMAGE_PIXELS = None  # the recipe's max_image_pixels is checked from the header, before any pixel

HEADER_BYTES = 65_536  # where most photos have told their size
_FAULTS = (OSError, SyntaxError, ValueError)  # what Pillow raises of bytes it cannot read


def header(url: str, *, min_side_px: int, max_pixels: int) -> tuple[int, int]:
    """Width and height in pixels, read from the header alone.

    Raises:
        Rejected: no JPEG, too small, or too large.
    """
    found = _size(storage.read_range(url, 0, HEADER_BYTES))
    if isinstance(found, str):
        found = _size(storage.read_bytes(url))
    if isinstance(found, str):
        raise Rejected(Reason.IMAGE_UNREADABLE, f"no JPEG: {found}")
    width, height = found
    if min(width, height) < min_side_px:
        raise Rejected(Reason.IMAGE_TOO_SMALL, f"{width} x {height}; shorter side at least {min_side_px}")
    if width * height > max_pixels:
        raise Rejected(Reason.IMAGE_TOO_LARGE, f"{width} x {height}; at most {max_pixels} pixels")
    return width, height


def _size(content: bytes) -> tuple[int, int] | str:
    """Width and height, or what is wrong. Of bytes, not of a file: a network that fails is no bad photo."""
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
            return image.size
    except _FAULTS as error:
        return said(error)


def said(error: BaseException) -> str:
    """Pillow's words without the address of the buffer it read, which differs from run to run."""
    return "no image" if isinstance(error, UnidentifiedImageError) else str(error)


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
    except _FAULTS as error:
        raise Rejected(Reason.IMAGE_UNREADABLE, f"{type(error).__name__}: {said(error)}") from error
    if size != (width, height):
        raise Rejected(Reason.IMAGE_SIZE_MISMATCH, f"{size[0]} x {size[1]}; {width} x {height} was planned")
