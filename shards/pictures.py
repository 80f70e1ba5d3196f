"""What the header of a photo or mask says of its size, before a decoder makes room for it."""

import struct

from shards import format, jpeg
from shards.errors import AvsError

_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_PNG_HEAD = struct.Struct(">16sIIBB")  # with width, height, bits of a channel, kind of colour


class PictureError(AvsError):
    """A photo or mask that no decoder is given; the message says why."""


def check_photo(content: bytes) -> tuple[int, int]:
    """Width and height in pixels of a JPEG.

    Raises:
        PictureError: no JPEG, one of more than `format.MAX_PIXELS`, or of more passes than any photo has.
    """
    try:
        frame = jpeg.frame(content)
    except jpeg.JpegError as error:
        raise PictureError(f"jpg: no JPEG: {error}") from error
    _check_size("jpg", frame.width, frame.height)
    if (scans := jpeg.scans(content)) > jpeg.MAX_SCANS:
        raise PictureError(f"jpg: {scans} scans; at most {jpeg.MAX_SCANS}")
    return frame.width, frame.height


def check_mask(content: bytes, what: str = "mask.png") -> tuple[int, int]:
    """Width and height in pixels of a PNG of 8 bits and one channel.

    Raises:
        PictureError: no such PNG, or one of more than `format.MAX_PIXELS`.
    """
    if len(content) < _PNG_HEAD.size or not content.startswith(_PNG):
        raise PictureError(f"{what}: {len(content)} bytes that are no PNG")
    _, width, height, bits, colour = _PNG_HEAD.unpack_from(content)
    if (bits, colour) != (8, 0):
        raise PictureError(
            f"{what}: {bits} bits, colour type {colour}; the format has one channel, 0 or 255, the photo's size"
        )
    _check_size(what, width, height)
    return width, height


def check(content: bytes) -> None:
    """A photo, mask or other picture that a person gives: as `check_photo` where it is a JPEG, by its size where a PNG.

    Raises:
        PictureError: too large to decode.
    """
    if content.startswith(b"\xff\xd8"):
        check_photo(content)
    elif len(content) >= _PNG_HEAD.size and content.startswith(_PNG):
        _check_size("png", *_PNG_HEAD.unpack_from(content)[1:3])


def _check_size(what: str, width: int, height: int) -> None:
    if not 0 < width * height <= format.MAX_PIXELS:
        raise PictureError(f"{what}: {width} x {height}; at most {format.MAX_PIXELS:,} pixels")
