"""A sound as a picture: its waveform above its log-mel spectrogram, and how loud it is.

The spectrogram is that of librosa (`feature.melspectrogram`, `power_to_db`) in a few lines of numpy: librosa itself
brings scipy, numba and scikit-learn, 400 MB for one picture. A test holds it against librosa.
"""

import io
from dataclasses import dataclass

import numpy as np
import soundfile
from PIL import Image

from pipelines.pages.errors import Unreadable
from shards.sound import MAX_AUDIO_S, RATE_HZ

WINDOW, HOP, MELS = 1024, 160, 128  # samples, samples, bands from 0 to 8 kHz
RANGE_DB = 70.0  # that the picture shows below the loudest
WIDTH, WAVE, BAND = 960, 120, 256  # pixels
_LONGEST = round(2 * MAX_AUDIO_S * RATE_HZ)  # samples that are read, whatever the file states
_INK = (34, 150, 138)
# Dark to light, as loudness grows: even steps, told apart without colour, too.
_MAP = (
    (8, 8, 20),
    (52, 16, 96),
    (132, 32, 112),
    (208, 64, 84),
    (250, 138, 70),
    (253, 210, 120),
    (252, 252, 210),
)


@dataclass(frozen=True)
class Heard:
    """
    Attributes:
        picture: PNG of WIDTH x (WAVE + BAND).
        loudness_db: root mean square, peak_db: largest value, of full scale; None of silence.
    """

    picture: bytes
    seconds: float
    channels: int
    loudness_db: float | None
    peak_db: float | None

    @property
    def told(self) -> str:
        level = (
            "silent"
            if self.loudness_db is None
            else f"{self.loudness_db:.1f} dB of full scale (peak {self.peak_db:.1f})"
        )
        return f"{self.seconds:.2f} s, {'stereo' if self.channels == 2 else 'mono'}, {level}"


def hear(name: str, flac: bytes) -> Heard:
    """
    Raises:
        Unreadable: no FLAC of 16 kHz with one or two channels, or a longer one than a sample has.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(flac)) as file:
            if file.samplerate != RATE_HZ or file.channels > 2 or not 0 < file.frames <= _LONGEST:
                raise Unreadable(
                    f"{name}: {file.frames} samples of {file.channels} channels at {file.samplerate} Hz: no sound of "
                    "this format"
                )
            sound = file.read(_LONGEST, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, ValueError) as error:
        raise Unreadable(f"{name} is not a readable sound: {error}") from error
    if not len(sound):
        raise Unreadable(f"{name} holds no sound")
    return Heard(
        _picture(sound),
        len(sound) / RATE_HZ,
        sound.shape[1],
        _decibels(float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))),
        _decibels(float(np.abs(sound).max())),
    )


def log_mel(sound: np.ndarray) -> np.ndarray:
    """(MELS, 1 + n // HOP) float64, decibels below the loudest, not under -RANGE_DB, of (n,) in [-1, 1]."""
    padded = np.pad(sound.astype(np.float64), WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    power = np.abs(np.fft.rfft(frames * hann, axis=1)) ** 2
    mel = _filters() @ power.T
    level = 10 * np.log10(np.maximum(mel, 1e-10))
    return np.asarray(np.maximum(level - level.max(), -RANGE_DB))


def _filters() -> np.ndarray:
    """(MELS, WINDOW // 2 + 1) triangles of equal area, on Slaney's mel scale."""

    def hertz(mel: np.ndarray) -> np.ndarray:
        return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))

    top = 15 + np.log(RATE_HZ / 2 / 1000) * 27 / np.log(6.4)
    corners = hertz(np.linspace(0, top, MELS + 2))
    bins = np.arange(WINDOW // 2 + 1) * RATE_HZ / WINDOW
    rise = (bins - corners[:-2, None]) / np.diff(corners)[:-1, None]
    fall = (corners[2:, None] - bins) / np.diff(corners)[1:, None]
    return np.asarray(np.maximum(0, np.minimum(rise, fall)) * (2 / (corners[2:] - corners[:-2]))[:, None])


def _picture(sound: np.ndarray) -> bytes:
    levels = 1 + log_mel(sound.mean(axis=1)) / RANGE_DB
    anchors = np.linspace(0, 1, len(_MAP))
    colours = np.stack(
        [np.interp(levels[::-1], anchors, [colour[part] for colour in _MAP]) for part in range(3)], axis=2
    )
    band = Image.fromarray(colours.astype(np.uint8)).resize((WIDTH, BAND), Image.Resampling.BILINEAR)
    page = Image.new("RGBA", (WIDTH, WAVE + BAND), (0, 0, 0, 0))
    page.paste(band, (0, WAVE))
    height = WAVE // sound.shape[1]
    for channel in range(sound.shape[1]):
        page.paste(_wave(sound[:, channel], height), (0, channel * height))
    out = io.BytesIO()
    page.quantize(256, method=Image.Quantize.FASTOCTREE).save(out, "PNG")
    return out.getvalue()


def _wave(sound: np.ndarray, height: int) -> Image.Image:
    """Lowest to highest value of each column, RGBA; as loud as it is, but for a floor of a quarter of the height."""
    edges = np.linspace(0, len(sound), WIDTH + 1).astype(int)
    starts = np.minimum(edges[:-1], len(sound) - 1)
    scale = max(float(np.abs(sound).max()), 0.05)
    low, high = (reduce.reduceat(sound, starts) / scale for reduce in (np.minimum, np.maximum))
    middle, reach = height / 2, height / 2 - 2
    row = np.arange(height)[:, None]
    inked = (row >= np.floor(middle - high * reach)) & (row <= np.ceil(middle - low * reach))
    pixels = np.zeros((height, WIDTH, 4), np.uint8)
    pixels[inked] = (*_INK, 255)
    return Image.fromarray(pixels)


def _decibels(value: float) -> float | None:
    return 20 * float(np.log10(value)) if value > 0 else None
