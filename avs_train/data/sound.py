"""The sound of any file, for prediction outside a dataset."""

from pathlib import Path

import numpy as np

from avs_train.data.decode import DecodeError, fill_window
from shards.rejections import Rejected
from shards.sound import MAX_AUDIO_S, WINDOW_SAMPLES, decoder, window_start

_LONGEST_S = 86_400.0


def window(path: Path, number: int = 1) -> np.ndarray:
    """One VGGish window of a file, heard as a dataset holds it; (15600,) float32 in [-1, 1].

    Args:
        number: of the window, from 0; a file's first 10 s hold ten.

    Raises:
        DecodeError: no sound that can be read, or a file that ends early.
    """
    samples = _heard(path, MAX_AUDIO_S)
    start = window_start(len(samples), number)
    return fill_window(samples[start : start + WINDOW_SAMPLES])


def all_of(path: Path) -> np.ndarray:
    """All of a file's sound; (n,) float32, mono, 16 kHz.

    Raises:
        DecodeError: no sound that can be read, or a file that ends early.
    """
    return _heard(path, _LONGEST_S)


def _heard(path: Path, duration_s: float) -> np.ndarray:
    try:
        return decoder.decode(str(path), duration_s=duration_s)
    except Rejected as error:
        raise DecodeError(
            f"{path} holds no sound that can be heard: {error.reason.value}: {error.detail}"
        ) from error
