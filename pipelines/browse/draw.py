"""Pictures of a sample, bytes to bytes, as a process of its own makes them."""

import io
import json
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from pipelines.media import images, overlays
from pipelines.pages.errors import Unreadable
from shards import pictures

THUMBNAIL = (480, 360)  # pixels, width and height, that a photo fits into
LARGE = (1280, 960)
What = Literal["drawn", "plain", "photo", "mask"]


@dataclass(frozen=True)
class Job:
    """
    Attributes:
        what: a thumbnail with the mask drawn on it, or without; a large photo, or the mask to lay over it.
        record: KEY.json, checked; masks: PNG by extension, empty where none is drawn. classes: of the manifest.
    """

    name: str
    what: What
    photo: bytes
    record: bytes = b""
    masks: tuple[tuple[str, bytes], ...] = ()
    classes: tuple[str, ...] = ()


def draw(job: Job) -> bytes:
    """JPEG; PNG of a mask.

    Raises:
        Unreadable: too many pixels, or bytes that do not decode.
    """
    try:
        width, height = pictures.check_photo(job.photo)
        layers = []
        if job.what in ("drawn", "mask"):
            masks = dict(job.masks)
            for name, content in masks.items():
                if pictures.check_mask(content, name) != (width, height):
                    raise ValueError(f"{name} is not of the photo's size")
            layers = overlays.layers(json.loads(job.record), masks, job.classes)
        if job.what == "mask":
            shrink = min(1.0, LARGE[0] / width, LARGE[1] / height)
            size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
            return _saved(overlays.sheer(layers, size).quantize(64, method=Image.Quantize.FASTOCTREE), "PNG")
        if job.what == "drawn":
            return _saved(overlays.overlay(job.photo, layers, THUMBNAIL), "JPEG")
        return _saved(overlays.fitted(job.photo, LARGE if job.what == "photo" else THUMBNAIL), "JPEG")
    except (*images.FAULTS, pictures.PictureError, Image.DecompressionBombError) as error:
        raise Unreadable(f"{job.name} is not a readable photo: {images.said(error)}") from error


def _saved(picture: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, quality=85) if kind == "JPEG" else picture.save(out, kind)
    return out.getvalue()
