"""Encoded members to arrays of uint8 and float32. The work happens in C, outside Python's lock."""

import io
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import soundfile

from shards import pictures
from shards.errors import AvsError
from shards.hashing import unit
from shards.sound import RATE_HZ, WINDOW_SAMPLES, Flac, pcm_of, window_start

cv2.setNumThreads(0)  # the loader's own threads share the cores; OpenCV's would fight them


class DecodeError(AvsError):
    """Bytes that are not the picture or sound they should be."""


def photo(jpg: bytes) -> np.ndarray:
    """Decode a photo at its own size, without its EXIF orientation; (H, W, 3) uint8 RGB."""
    return _decoded(jpg, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION, "photo")


@dataclass(frozen=True)
class View:
    """The part of a photo that is seen, as fractions of its sides, and whether in a mirror."""

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0
    mirrored: bool = False

    def of(self, picture: np.ndarray) -> np.ndarray:
        height, width = picture.shape[:2]
        rows = slice(round(self.top * height), round(self.bottom * height))
        columns = slice(round(self.left * width), round(self.right * width))
        part = picture[rows, columns]
        return np.ascontiguousarray(part[:, ::-1]) if self.mirrored else part


WHOLE = View()
RESIZING = (
    "bilinear, area where both sides shrink"  # what `image` does; part of what an image embedding depends on
)


def drawn_view(seed: int, epoch: int, sample_id: str) -> View:
    """A window of 75 to 100 % of each side, mirrored half of the time: a pure function of its arguments."""
    draw = [unit("view", seed, epoch, sample_id, what) for what in ("width", "height", "x", "y", "mirror")]
    width, height = 0.75 + 0.25 * draw[0], 0.75 + 0.25 * draw[1]
    left, top = (1 - width) * draw[2], (1 - height) * draw[3]
    return View(left, top, left + width, top + height, draw[4] < 0.5)


def image(jpg: bytes, out: np.ndarray, view: View = WHOLE) -> None:
    """Decode a photo and resize it to `out`, (S, S, 3) uint8 RGB, written; the aspect ratio is not kept."""
    resized(view.of(photo(jpg)), out)


def resized(picture: np.ndarray, out: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 resized to `out`, written and returned.

    Bilinear, as the paper; a picture larger than `out` in both directions is averaged instead, because plain bilinear
    would skip pixels.
    """
    shrinks = picture.shape[0] > out.shape[0] and picture.shape[1] > out.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(picture, out.shape[1::-1], dst=out, interpolation=how)


def mask(png: bytes, out: np.ndarray, view: View = WHOLE) -> None:
    """Decode a mask and resize it to `out`, nearest neighbour by pixel centres.

    Args:
        out: (S, S) uint8, written as 0 or 1.
    """
    decoded = view.of(_decoded(png, cv2.IMREAD_GRAYSCALE, "mask"))
    _nearest((decoded > 127).view(np.uint8), out)


def classes(png: bytes, out: np.ndarray, view: View = WHOLE) -> None:
    """Decode numbers of classes and resize them to `out`, (S, S) uint8, written, nearest neighbour by pixel centres."""
    _nearest(view.of(_decoded(png, cv2.IMREAD_GRAYSCALE, "classes")), out)


def _nearest(picture: np.ndarray, out: np.ndarray) -> None:
    """(H, W) uint8 resized to `out`, written: what OpenCV's INTER_NEAREST_EXACT gives, which goes pixel by pixel. Here
    whole rows are copied, of the picture on its side, then of the picture.
    """
    if picture.shape == out.shape:
        np.copyto(out, picture)
        return
    rows, columns = (_taken(*sizes) for sizes in zip(picture.shape, out.shape, strict=True))
    widened = cv2.transpose(np.take(cv2.transpose(picture), columns, axis=0, mode="clip"))
    np.take(widened, rows, axis=0, out=out, mode="clip")


@lru_cache(1024)
def _taken(size: int, wanted: int) -> np.ndarray:
    """Which of `size` pixels each of the `wanted` ones takes; (wanted,)."""
    numbers = np.arange(size, dtype=np.int32)[np.newaxis]
    return cv2.resize(numbers, (wanted, 1), interpolation=cv2.INTER_NEAREST_EXACT)[0].astype(np.intp)


def waveform(flac: bytes, window: int = 1) -> np.ndarray:
    """One VGGish window of a 16 kHz sound; of a stereo one the mean of both channels.

    Returns:
        (15600,) float32 in [-1, 1].
    """
    try:
        with Flac(io.BytesIO(flac)) as file:
            if file.samplerate != RATE_HZ or file.channels not in (1, 2):
                raise DecodeError(
                    f"audio of {file.samplerate} Hz and {file.channels} channels, expected 16000 Hz, mono or stereo"
                )
            samples = file.part(window_start(file.frames, window), WINDOW_SAMPLES, "float32")
    except (soundfile.LibsndfileError, ValueError) as error:
        raise DecodeError(f"audio that does not decode: {error}") from error
    return fill_window(_mono(samples))


def window_of(pcm: np.ndarray, window: int = 1) -> np.ndarray:
    """What `waveform` makes of (n,) or (n, 2) int16 once they are written as FLAC."""
    start = window_start(len(pcm), window)
    return fill_window(_mono(pcm[start : start + WINDOW_SAMPLES].astype(np.float32) / np.float32(32768)))


def _mono(samples: np.ndarray) -> np.ndarray:
    return samples if samples.ndim == 1 else samples.mean(axis=1, dtype=np.float32)


def clip(flac: bytes) -> np.ndarray:
    """(n,) int16 of a clip of the pool."""
    try:
        return pcm_of(flac)
    except (soundfile.LibsndfileError, ValueError) as error:
        raise DecodeError(f"a clip that does not decode: {error}") from error


def fill_window(samples: np.ndarray) -> np.ndarray:
    """Repeat a sound shorter than a window until it fills one; (n,) -> (15600,) float32."""
    if len(samples) == 0:
        raise DecodeError("audio without a single sample")
    return samples if len(samples) == WINDOW_SAMPLES else np.resize(samples, WINDOW_SAMPLES)


def _decoded(encoded: bytes, flags: int, what: str) -> np.ndarray:
    try:
        pictures.check(encoded)
        decoded = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
    except (cv2.error, pictures.PictureError) as error:
        raise DecodeError(f"{what} that does not decode: {error}") from error
    if decoded is None:
        raise DecodeError(f"{what} of {len(encoded)} bytes that does not decode")
    return decoded
