"""A window of any sound file, for prediction outside a dataset."""

from pathlib import Path

import numpy as np

from avs_train.data.decode import DecodeError, fill_window
from shards.rejections import Rejected
from shards.sound import WINDOW_SAMPLES, decoder, window_start


def window(path: Path, number: int = 1) -> np.ndarray:
    """One VGGish window of a file, heard as a dataset holds it; (15600,) float32 in [-1, 1].

    Args:
        number: of the window, from 0; a file's first 10 s hold ten.

    Raises:
        DecodeError: no sound that can be read, or a file that ends early.
    """
    try:
        samples = decoder.decode(str(path))
    except Rejected as error:
        raise DecodeError(
            f"{path} holds no sound that can be heard: {error.reason.value}: {error.detail}"
        ) from error
    start = window_start(len(samples), number)
    return fill_window(samples[start : start + WINDOW_SAMPLES])
