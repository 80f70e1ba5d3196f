"""The photo files, sound or damaged."""

import io
import os

import numpy as np
from PIL import Image

from shards.hashing import hash64


def write_photo(path: str, pixels: np.ndarray, role: str, quality: int = 90) -> None:
    """Write (h, w, 3) uint8 as JPEG; no file for `missing_photo`, half a file for `truncated_photo`."""
    if role == "missing_photo":
        return
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    content = file.getvalue()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as target:
        target.write(content[: len(content) // 2] if role == "truncated_photo" else content)


def flickr_photo(seed: int, key: str) -> str:
    """A photo number beyond those that Flickr has given away, so that it names nobody's photo."""
    return str(90_000_000_000_000 + hash64(seed, "flickr", key) % 1_000_000_000_000)
