"""Photos, masks and sounds of published datasets, as the members of a sample."""

import io

import numpy as np
import soundfile

from pipelines.media import audio, images, mask_images
from shards import storage
from shards.format import RATE_HZ
from shards.rejections import Reason, Rejected

WINDOW, HOP = 15_600, 15_360  # samples of one VGGish window, and from one to the next
_LONGEST_S = 3600.0
_MAX_PIXELS = 50_000_000


def photo(url: str) -> tuple[bytes, bytes, int, int]:
    """A JPEG whose pixels are those of the file; a PNG becomes one of quality 98 without chroma subsampling.

    Returns:
        The file, the JPEG as the shards hold it, and its width and height in pixels.
    """
    content = images.read(url, Reason.IMAGE_MISSING, Reason.IMAGE_UNREADABLE)
    if content.startswith(images.PNG_MAGIC):
        image, encoded = images.of_png(content, _MAX_PIXELS), io.BytesIO()
        image.save(encoded, "JPEG", quality=98, subsampling=0)
        return content, encoded.getvalue(), *image.size
    width, height = images.size(content, min_side_px=1, max_pixels=_MAX_PIXELS)
    return content, images.checked(content, width, height), width, height


def mask(url: str, width: int, height: int) -> np.ndarray:
    """(height, width) bool; objects drawn in colours of their own, as AVSBench has several, are one mask together."""
    content = images.read(url, Reason.MASK_MISSING, Reason.MASK_UNREADABLE)
    found = mask_images.read(content, max_pixels=_MAX_PIXELS, several=True)
    if found.shape != (height, width):
        raise Rejected(Reason.IMAGE_SIZE_MISMATCH, f"mask {found.shape[::-1]}, photo {(width, height)}")
    return found


def sound(url: str, window: int) -> tuple[bytes, float]:
    """16 kHz mono FLAC of one VGGish window (of a shorter clip the last whole one), or of all, -1; and its seconds."""
    if not storage.exists(url):
        raise Rejected(Reason.CLIP_MISSING, f"no file {url.rsplit('/', 1)[-1]}")
    signal = audio.decode(url, _LONGEST_S)
    if len(signal) == 0:
        raise Rejected(Reason.AUDIO_TOO_SHORT, "no samples")
    if window >= 0:
        start = HOP * max(0, min(window, (len(signal) - WINDOW) // HOP))
        signal = signal[start : start + WINDOW]
    pcm = np.clip(np.rint(signal * 32767.0), -32768, 32767).astype(np.int16)
    encoded = io.BytesIO()
    soundfile.write(encoded, pcm, RATE_HZ, format="FLAC", subtype="PCM_16")
    return encoded.getvalue(), len(signal) / RATE_HZ
