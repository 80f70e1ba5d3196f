"""Photos: what the header says, whether the bytes decode, and the bytes that every reader shows alike.

The coded pixels are never touched.
"""

import io
import random
import struct
import zlib

from PIL import Image, features
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from shards import jpeg, storage
from shards.rejections import Reason, Rejected

HEADER_BYTES = 65_536  # where most photos have told their size
MAX_BYTES = 256 << 20  # of a photo's or a mask's file
JPEG_MAGIC, PNG_MAGIC = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
# What `shown` decodes with. The number is raised where it refuses more than it did: what it let pass is decoded again.
DECODER = f"1, libjpeg {features.version('libjpeg_turbo') or features.version('jpg')}"
_NO_DATA = 128  # what libjpeg shows where it has none
_NOISE = bytes(random.Random(0).randrange(255) for _ in range(2048))
# What Pillow raises of bytes it cannot read.
FAULTS = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, ArithmeticError),
    *(struct.error, zlib.error),
)


def header(url: str, *, min_side_px: int, max_pixels: int) -> tuple[int, int]:
    """Width and height in pixels, read from the header alone.

    Raises:
        Rejected: no file, no JPEG, one that readers differ about, too small, or too large.
    """
    content = _range(url, HEADER_BYTES, Reason.IMAGE_MISSING)
    try:
        jpeg.frame(content)
    except jpeg.CutShort:
        content = read(url, Reason.IMAGE_MISSING, Reason.IMAGE_UNREADABLE)
    except jpeg.JpegError:
        pass  # told below
    return size(content, min_side_px=min_side_px, max_pixels=max_pixels)


def size(content: bytes, *, min_side_px: int, max_pixels: int) -> tuple[int, int]:
    """Width and height in pixels of a JPEG, from its bytes; raises as `header` does."""
    try:
        frame = jpeg.frame(content)
    except jpeg.JpegError as error:
        raise Rejected(Reason.IMAGE_UNREADABLE, f"no JPEG: {error}") from error
    if frame.unsupported:
        raise Rejected(Reason.IMAGE_UNSUPPORTED, f"{frame.unsupported}: readers differ about such a JPEG")
    width, height = frame.width, frame.height
    if min(width, height) < min_side_px:
        raise Rejected(Reason.IMAGE_TOO_SMALL, f"{width} x {height}; shorter side at least {min_side_px}")
    if width * height > max_pixels:
        raise Rejected(Reason.IMAGE_TOO_LARGE, f"{width} x {height}; at most {max_pixels} pixels")
    return width, height


def read(url: str, missing: Reason, unreadable: Reason) -> bytes:
    """A file's bytes.

    Raises:
        Rejected: `missing` where no regular file lies there, `unreadable` where it has more than MAX_BYTES.
    """
    content = _range(url, MAX_BYTES + 1, missing)
    if len(content) > MAX_BYTES:
        raise Rejected(unreadable, f"more than {MAX_BYTES >> 20} MiB")
    return content


def _range(url: str, length: int, missing: Reason) -> bytes:
    try:
        return storage.read_range(url, 0, length)
    except FileNotFoundError as error:
        raise Rejected(missing, f"no file {url.rsplit('/', 1)[-1]}") from error


def checked(content: bytes, width: int, height: int, *, is_decoded: bool = False) -> bytes:
    """A photo's bytes as the shards hold them: see `shards.jpeg.plain`.

    It is decoded at an eighth of its size, unless it is known to decode: every coded byte is read, few pixels are made.

    Raises:
        Rejected: truncated, corrupt, or not `width` x `height`.
    """
    try:
        frame = jpeg.frame(content)
        if (frame.width, frame.height) != (width, height):
            raise Rejected(
                Reason.IMAGE_SIZE_MISMATCH,
                f"{frame.width} x {frame.height}; {width} x {height} was planned",
            )
        if not is_decoded:
            shown(content, (max(1, width // 8), max(1, height // 8)))
        return jpeg.plain(content)
    except FAULTS as error:
        raise Rejected(Reason.IMAGE_UNREADABLE, f"{type(error).__name__}: {said(error)}") from error


def shown(content: bytes, target: tuple[int, int]) -> Image.Image:
    """The luma of a JPEG, at the smallest scale that is at least `target` (width, height).

    libjpeg says nothing of coded data that ends before the picture does and shows grey. Bytes put behind complete data
    change no pixel. One scan is tried so only where the picture ends grey; of several, the last may lack what luma and
    a small scale do not show.

    Raises:
        JpegError, and what Pillow raises: the coded data is not complete, or not of a photo.
    """
    scans, coded = jpeg.complete_scans(content), jpeg.bare(content)
    luma = _drafted(coded, "L", target)
    if scans > 1:
        frame = jpeg.frame(content)
        form = ("YCbCr", (max(1, frame.width // 4), max(1, frame.height // 4)))
        first = _drafted(coded, *form)
    elif luma.getpixel((luma.width - 1, luma.height - 1)) == _NO_DATA:
        form, first = ("L", target), luma
    else:
        return luma
    if _drafted(jpeg.bare(content, _NOISE), *form).tobytes() != first.tobytes():
        raise jpeg.JpegError("its coded data ends before the picture does")
    return luma


def _drafted(content: bytes, mode: str, target: tuple[int, int]) -> Image.Image:
    with JpegImageFile(io.BytesIO(content)) as image:
        image.draft(mode, target)
        image.load()
        return image


def of_png(content: bytes, max_pixels: int) -> Image.Image:
    """A photo kept as PNG, as RGB pixels.

    Raises:
        Rejected: too large, corrupt, or not plain 8-bit pixels: transparent, animated, 16 bit.
    """
    try:
        with PngImageFile(io.BytesIO(content)) as image:
            if image.width * image.height > max_pixels:
                raise Rejected(
                    Reason.IMAGE_TOO_LARGE, f"{image.width} x {image.height}; at most {max_pixels} pixels"
                )
            if content[24] == 16 or getattr(image, "n_frames", 1) > 1:
                raise Rejected(
                    Reason.IMAGE_UNSUPPORTED, "a PNG of 16 bits a channel, or of more than one picture"
                )
            image.load()
            if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema()[0] != 255:
                raise Rejected(Reason.IMAGE_UNSUPPORTED, "a PNG with transparent pixels")
            return image.convert("RGB")
    except FAULTS as error:
        raise Rejected(Reason.IMAGE_UNREADABLE, f"{type(error).__name__}: {said(error)}") from error


def said(error: BaseException) -> str:
    """Pillow's words without the address of the buffer it read, which differs from run to run."""
    words = str(error)
    return "no image" if "object at 0x" in words else words
