"""A photo and its masks as the page shows them: bytes to bytes, within limits that a header tells."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageFilter
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from pipelines.media import images, masks
from pipelines.pages.errors import Unreadable
from shards import jpeg
from shards.rejections import Rejected

MAX_PIXELS = 50_000_000  # of a photo or a mask, as a build takes them by default
TILE = (480, 360)  # pixels, width and height of a photo on the page
_DIM = 120  # opacity, of 255, of what a mask leaves out
_OUTLINE = (255, 209, 71)


@dataclass(frozen=True)
class Job:
    """
    Attributes:
        name: how errors call the photo.
        photo: a JPEG or PNG file.
        segmentations: JSON of COCO segmentations.
        mask_files: mask images.
        width, height: pixels that segmentations count in; None: the photo's own.
    """

    name: str
    photo: bytes
    segmentations: tuple[bytes, ...] = ()
    mask_files: tuple[bytes, ...] = ()
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True)
class Tile:
    """Both of TILE's size. `photo`: JPEG of its largest part of that shape, the masks in its middle. `overlay`: PNG,
    dark where no mask is, with an outline around what is masked, else transparent.
    """

    photo: bytes
    overlay: bytes


def tile(job: Job) -> Tile:
    """
    Raises:
        Unreadable: no JPEG or PNG, too many pixels, or bytes that do not decode.
    """
    try:
        picture = _opened(job.photo)
        width, height = picture.size
        mask = _mask(job, width, height)
        left, top, right, bottom = _window(mask)
        x, y = width / mask.width, height / mask.height
        box = (left * x, top * y, right * x, bottom * y)
        return Tile(_photo(picture, box), _overlay(mask, (left, top, right, bottom)))
    except (*images.FAULTS, Rejected, Image.DecompressionBombError) as error:
        raise Unreadable(f"{job.name!r} is not a readable photo: {images.said(error)}") from error


def _opened(content: bytes) -> Image.Image:
    """A picture whose header is read, and no more."""
    if content.startswith(images.PNG_MAGIC):
        picture: Image.Image = PngImageFile(io.BytesIO(content))
    elif content.startswith(images.JPEG_MAGIC):
        if jpeg.scans(content) > jpeg.MAX_SCANS:
            raise ValueError(f"more than {jpeg.MAX_SCANS} scans")
        picture = JpegImageFile(io.BytesIO(content))
    else:
        raise ValueError("neither JPEG nor PNG")
    _check_size(*picture.size)
    return picture


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise ValueError(f"{width} x {height}; at least 1 and at most {MAX_PIXELS} pixels are shown")


def _photo(picture: Image.Image, box: tuple[float, float, float, float]) -> bytes:
    width, height = picture.size
    shrink = (
        2 * TILE[0] / (box[2] - box[0])
    )  # a JPEG is decoded at no more than twice the size it is shown at
    picture.draft("RGB", (max(1, int(width * shrink)), max(1, int(height * shrink))))
    x, y = picture.width / width, picture.height / height
    scaled = (
        box[0] * x,
        box[1] * y,
        min(box[2] * x, picture.width),
        min(box[3] * y, picture.height),
    )
    shown = picture.convert("RGB").resize(TILE, Image.Resampling.LANCZOS, box=scaled)
    out = io.BytesIO()
    shown.save(out, "JPEG", quality=85)
    return out.getvalue()


def _overlay(mask: Image.Image, box: tuple[float, float, float, float]) -> bytes:
    small = mask.resize(TILE, Image.Resampling.BILINEAR, box=box).point(lambda v: 255 * (v > 127))
    edge = ImageChops.subtract(small.filter(ImageFilter.MaxFilter(5)), small)
    overlay = Image.new("RGBA", TILE, (12, 12, 14, 0))
    overlay.putalpha(small.point(lambda v: 0 if v else _DIM))
    overlay.paste((*_OUTLINE, 255), mask=edge)
    out = io.BytesIO()
    overlay.quantize(64, method=Image.Quantize.FASTOCTREE).save(out, "PNG")
    return out.getvalue()


def _mask(job: Job, width: int, height: int) -> Image.Image:
    """The union of the photo's masks, mode L, 0 or 255; what is no mask is left out: the build rejects it too."""
    width, height = job.width or width, job.height or height
    _check_size(width, height)
    found = []
    for segmentation in job.segmentations:
        try:
            found.append(masks.from_coco(segmentation, width, height))
        except Rejected:
            continue
    for content in job.mask_files:
        try:
            found.append(masks.from_image(content, width, height, MAX_PIXELS))
        except Rejected:
            continue
    if not found:
        return Image.new("L", (width, height), 0)
    return Image.fromarray(masks.pixels(masks.union(found)).astype(np.uint8) * np.uint8(255))


def _window(mask: Image.Image) -> tuple[float, float, float, float]:
    """The largest box of TILE's shape within a mask's image whose middle is as near as can be to the mask's."""
    width, height = mask.size
    scale = min(width / TILE[0], height / TILE[1])
    w, h = min(TILE[0] * scale, width), min(TILE[1] * scale, height)
    left, top, right, bottom = mask.getbbox() or (0, 0, width, height)
    x = min(max((left + right) / 2 - w / 2, 0.0), width - w)
    y = min(max((top + bottom) / 2 - h / 2, 0.0), height - h)
    return (x, y, x + w, y + h)
