"""Photos, masks and sounds of published datasets, as the members of a sample."""

import io

import numpy as np
from PIL import Image

from pipelines.media.images import said
from shards import storage
from shards.rejections import Reason, Rejected
from shards.sound import RATE_HZ, WINDOW_SAMPLES, decoder, to_flac, window_start


def photo(url: str) -> tuple[bytes, int, int]:
    """JPEG bytes as they are; anything else becomes a JPEG of quality 98 without chroma subsampling.

    Returns:
        The JPEG, its width and height in pixels.
    """
    content = _read(url, Reason.IMAGE_MISSING)
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            if image.format == "JPEG":
                return content, *image.size
            encoded = io.BytesIO()
            image.convert("RGB").save(encoded, "JPEG", quality=98, subsampling=0)
            return encoded.getvalue(), *image.size
    except (OSError, SyntaxError, ValueError) as error:
        raise Rejected(Reason.IMAGE_UNREADABLE, f"{type(error).__name__}: {said(error)}") from error


def mask(url: str, width: int, height: int) -> np.ndarray:
    """(height, width) bool: every pixel that is not black. Never dithered, whatever the file's mode."""
    content = _read(url, Reason.MASK_MISSING)
    try:
        with Image.open(io.BytesIO(content)) as image:
            pixels = np.asarray(image.convert("RGB") if image.mode not in ("1", "L", "I;16") else image)
    except (OSError, SyntaxError, ValueError) as error:
        raise Rejected(Reason.MASK_UNREADABLE, f"{type(error).__name__}: {said(error)}") from error
    found = pixels.any(axis=2) if pixels.ndim == 3 else pixels > 0
    if found.shape != (height, width):
        raise Rejected(Reason.IMAGE_SIZE_MISMATCH, f"mask {found.shape[::-1]}, photo {(width, height)}")
    return found


def sound(url: str, window: int) -> tuple[bytes, float]:
    """16 kHz mono FLAC of one VGGish window (of a shorter clip the last whole one), or of all, -1; and its seconds."""
    samples = decoder.decode(url)
    if len(samples) == 0:
        raise Rejected(Reason.AUDIO_TOO_SHORT, "no samples")
    if window >= 0:
        start = window_start(len(samples), window)
        samples = samples[start : start + WINDOW_SAMPLES]
    return to_flac(samples), len(samples) / RATE_HZ


def png(pixels: np.ndarray) -> bytes:
    """(height, width) bool to an 8-bit PNG of 0 and 255."""
    encoded = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8) * 255).save(encoded, "PNG", compress_level=3)
    return encoded.getvalue()


def _read(url: str, missing: Reason) -> bytes:
    if not storage.exists(url):
        raise Rejected(missing, f"no file {url.rsplit('/', 1)[-1]}")
    return storage.read_bytes(url)
