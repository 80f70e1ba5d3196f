"""Photos, masks and sounds of published datasets, as the members of a sample."""

import io
from collections.abc import Sequence

import numpy as np

from pipelines.imports import class_masks
from pipelines.media import images, mask_images
from shards.format import IGNORE
from shards.rejections import Reason, Rejected
from shards.sound import RATE_HZ, WINDOW_SAMPLES, decoder, to_flac, window_start

_MAX_PIXELS = 50_000_000
_SILENCE_PEAK = 0.001  # as a recipe's select.silence_peak


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
    return _fitting(mask_images.read(content, max_pixels=_MAX_PIXELS, several=True), width, height)


def class_mask(
    numbers_url: str, colours_url: str, classes: int, width: int, height: int, values: Sequence[int] = ()
) -> np.ndarray:
    """(height, width) uint8, the number of the class of each pixel, as `class_masks.read` says.

    Args:
        values: what the image has for each class, where that is not its number.
    """
    found = class_masks.read(numbers_url, colours_url, max(values, default=classes), _MAX_PIXELS)
    if values:
        strange = np.setdiff1d(np.unique(found), [0, *values, IGNORE])
        if len(strange):
            named = ", ".join(map(str, strange[:5]))
            raise Rejected(
                Reason.UNKNOWN_LABEL, f"{numbers_url.rsplit('/', 1)[-1]}: values {named}, of no class"
            )
        numbers = np.zeros(256, np.uint8)
        numbers[[*values, IGNORE]] = [*range(1, classes + 1), IGNORE]
        found = numbers[found]
    return _fitting(found, width, height)


def _fitting(found: np.ndarray, width: int, height: int) -> np.ndarray:
    if found.shape != (height, width):
        raise Rejected(Reason.IMAGE_SIZE_MISMATCH, f"mask {found.shape[::-1]}, photo {(width, height)}")
    return found


def expect_heard(samples: np.ndarray) -> None:
    """Raise Rejected where (n,) samples in [-1, 1) are silent: nothing that is seen makes that sound."""
    loudest = decoder.peak(samples)
    if loudest < _SILENCE_PEAK:
        raise Rejected(Reason.AUDIO_SILENT, f"peak {loudest:.6f}; at least {_SILENCE_PEAK:g}")


def sound(url: str, window: int) -> tuple[bytes, float]:
    """16 kHz mono FLAC of one VGGish window (of a shorter clip the last whole one), or of all, -1; and its seconds.

    Raises:
        Rejected: unreadable, empty, or all of it silent. A window of a recording may be silent: the release judges it.
    """
    samples = decoder.decode(url)
    if len(samples) == 0:
        raise Rejected(Reason.AUDIO_TOO_SHORT, "no samples")
    if window >= 0:
        start = window_start(len(samples), window)
        samples = samples[start : start + WINDOW_SAMPLES]
    else:
        expect_heard(samples)
    return to_flac(samples), len(samples) / RATE_HZ
