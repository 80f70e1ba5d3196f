"""Check a photo before it gets its name: type by magic bytes,
complete, decodable, large enough; and its perceptual hash.
"""

import io
import warnings
from dataclasses import dataclass

import imagehash
import numpy as np
from PIL import Image, UnidentifiedImageError

from pipelines.fetch.causes import Cause, Failure
from pipelines.media import images

_FORMATS = {"JPEG": (b"\xff\xd8\xff", "image/jpeg"), "PNG": (b"\x89PNG\r\n\x1a\n", "image/png")}
_UNTYPED = {"", "application/octet-stream", "binary/octet-stream", "image/jpg", "image/pjpeg"}


@dataclass(frozen=True)
class PhotoRules:
    """`decode`: decode every photo before it gets its name (False: header, markers and length alone)."""

    min_side_px: int = 64
    max_pixels: int = 100_000_000
    decode: bool = True


def check(content: bytes, content_type: str, rules: PhotoRules, form: str = "JPEG") -> bytes | None:
    """Raise Failure unless `content` is a complete image of `form`; return its fingerprint (8 bytes) if it was decoded.

    The fingerprint is the 64-bit DCT hash of imagehash (`phash`), of the image decoded at the smallest JPEG
    scale >= 64 px.
    """
    magic, mime = _FORMATS[form]
    if not content.startswith(magic):
        raise Failure(Cause.BAD_CONTENT, f"the content begins with {content[:12]!r}, not as {form} does")
    if content_type not in _UNTYPED and content_type != mime:
        raise Failure(Cause.BAD_CONTENT, f"content type {content_type!r}, not {mime!r}")
    if form == "JPEG" and b"\xff\xd9" not in content[-4096:]:
        raise Failure(Cause.DECODE_ERROR, f"{len(content)} bytes without a JPEG end marker")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, told below, and of EXIF, which no pixel needs
            image = Image.open(io.BytesIO(content), formats=[form])
        width, height = image.size
        if min(width, height) < rules.min_side_px:
            raise Failure(
                Cause.TOO_SMALL, f"{width} x {height} px; the shorter side must be >= {rules.min_side_px}"
            )
        if width * height > rules.max_pixels:
            raise Failure(Cause.TOO_LARGE, f"{width} x {height} px are more than {rules.max_pixels} pixels")
        if not rules.decode:
            return None
        shown = images.shown(content, (64, 64)) if form == "JPEG" else image
        return np.packbits(imagehash.phash(shown).hash.reshape(-1)).tobytes()
    except Image.DecompressionBombError as error:
        raise Failure(Cause.TOO_LARGE, str(error)) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise Failure(Cause.DECODE_ERROR, f"{type(error).__name__}: {error}") from error
