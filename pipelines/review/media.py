"""Photos with their masks, and clips, from the corpora folder for the page: found by row, never by a path given."""

import io
import json
import mimetypes
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from pipelines.media import masks
from pipelines.review.errors import ReviewError
from pipelines.review.queue import Queue
from shards import storage
from shards.rejections import Rejected

MAX_PIXELS = 100_000_000  # of a mask PNG
TILE = (480, 360)  # pixels, width and height of a photo on the page
_DIM = 120  # opacity, of 255, of what a mask leaves out
_OUTLINE = (255, 209, 71)


@dataclass(frozen=True)
class Example:
    """A photo with a label's masks, or a clip."""

    id: int
    kind: str
    item: str
    path: str
    masks: str
    width: int | None
    height: int | None
    licence: str | None
    author: str | None


class MediaMissing(ReviewError):
    """A row that is not there, or a file that is missing or unreadable."""


def examples(queue: Queue, kind: str, source: str, source_id: str) -> list[Example]:
    """A label's photos (`kind` photo) or a sound's clips (`kind` clip), in their fixed order."""
    rows = queue.connection.execute(
        "SELECT id, kind, item, path, masks, width, height, licence, author FROM examples "
        "WHERE kind = ? AND source = ? AND source_id = ? ORDER BY place",
        (kind, source, source_id),
    )
    return [Example(*row) for row in rows]


def example(queue: Queue, example_id: int, kind: str) -> Example:
    row = queue.connection.execute(
        "SELECT id, kind, item, path, masks, width, height, licence, author FROM examples WHERE id = ? AND kind = ?",
        (example_id, kind),
    ).fetchone()
    if row is None:
        raise MediaMissing(f"no {kind} {example_id}")
    return Example(*row)


class Media:
    """Reads below one corpora folder, local or remote, and keeps what it rendered."""

    def __init__(self, corpora: str) -> None:
        self.corpora = corpora
        self.photo = lru_cache(maxsize=512)(self._photo)
        self.overlay = lru_cache(maxsize=512)(self._overlay)

    def locate(self, path: str) -> str:
        """The address of a file of the index, which must lie below the corpora folder, links followed.

        Raises:
            MediaMissing: it lies elsewhere, or is not there.
        """
        try:
            url = storage.join(self.corpora, path)
        except ValueError as error:
            raise MediaMissing(str(error)) from error
        if storage.is_local(url):
            root, real = (
                os.path.realpath(storage.local_path(self.corpora)),
                os.path.realpath(storage.local_path(url)),
            )
            if os.path.commonpath([root, real]) != root:
                raise MediaMissing(f"{path!r} leads out of the corpora folder")
            url = real
        if not self.corpora or not storage.exists(url):
            raise MediaMissing(f"{path!r} is not below the corpora folder {self.corpora!r}")
        return url

    def _photo(self, photo: Example) -> bytes:
        """JPEG of TILE's size: the photo's largest part of that shape, with the masks in its middle."""
        image = self._open(photo.path).convert("RGB")
        box = _window(image.size, self._mask(photo, image.size))
        out = io.BytesIO()
        image.resize(TILE, Image.Resampling.LANCZOS, box=box).save(out, "JPEG", quality=85)
        return out.getvalue()

    def _overlay(self, photo: Example) -> bytes:
        """PNG of TILE's size: dark where no mask is, an outline around what is masked, else transparent."""
        size = self._open(photo.path).size
        mask = self._mask(photo, size)
        small = mask.resize(TILE, Image.Resampling.BILINEAR, box=_window(size, mask)).point(
            lambda v: 255 * (v > 127)
        )
        edge = ImageChops.subtract(small.filter(ImageFilter.MaxFilter(5)), small)
        overlay = Image.new("RGBA", TILE, (12, 12, 14, 0))
        overlay.putalpha(small.point(lambda v: 0 if v else _DIM))
        overlay.paste((*_OUTLINE, 255), mask=edge)
        out = io.BytesIO()
        overlay.quantize(64, method=Image.Quantize.FASTOCTREE).save(out, "PNG")
        return out.getvalue()

    def _mask(self, photo: Example, size: tuple[int, int]) -> Image.Image:
        """The union of the photo's masks, mode L, 0 or 255, of the photo's size; what is no mask is left out."""
        found = []
        for mask in json.loads(photo.masks):
            try:
                found.append(self._decoded(mask, photo.width or size[0], photo.height or size[1]))
            except Rejected:
                continue  # the build rejects it too, with its reason
        if not found:
            return Image.new("L", size, 0)
        return Image.fromarray(masks.pixels(masks.union(found)).astype(np.uint8) * np.uint8(255)).resize(size)

    def _decoded(self, mask: Any, width: int, height: int) -> masks.Rle:
        if isinstance(mask, str):
            return masks.from_image(storage.read_bytes(self.locate(mask)), width, height, MAX_PIXELS)
        return masks.from_coco(json.dumps(mask).encode(), width, height)

    def _open(self, path: str) -> Image.Image:
        url = self.locate(path)
        try:
            image = Image.open(io.BytesIO(storage.read_bytes(url)))
            image.load()
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise MediaMissing(f"{path!r} is not a readable picture: {error}") from error
        return image


def content_type(path: str) -> str:
    """Of a clip: an audio or video type, or none in particular, so that no browser runs it."""
    guessed = mimetypes.guess_type(path)[0] or ""
    return guessed if guessed.startswith(("audio/", "video/")) else "application/octet-stream"


def _window(size: tuple[int, int], mask: Image.Image) -> tuple[float, float, float, float]:
    """The largest box of TILE's shape within a picture whose middle is as near as can be to the mask's."""
    width, height = size
    scale = min(width / TILE[0], height / TILE[1])
    w, h = min(TILE[0] * scale, width), min(TILE[1] * scale, height)
    left, top, right, bottom = mask.getbbox() or (0, 0, width, height)
    x = min(max((left + right) / 2 - w / 2, 0.0), width - w)
    y = min(max((top + bottom) / 2 - h / 2, 0.0), height - h)
    return (x, y, x + w, y + h)
