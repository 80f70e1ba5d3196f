"""Masks of several classes: images whose values, or whose colours of the PASCAL VOC palette, are numbers of classes."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from pipelines.media import images
from shards.format import IGNORE
from shards.rejections import Reason, Rejected

_MOST_NAMED = 5  # values or colours that a detail lists
Numbers = Callable[[Image.Image, int, str], np.ndarray]


def read(numbers_url: str, colours_url: str, classes: int, max_pixels: int) -> np.ndarray:
    """(height, width) uint8: 0 for background, 1 to `classes`, IGNORE where the image leaves it open.

    Args:
        numbers_url: an image whose values are numbers of classes. colours_url: the same in colours. One of them is
            enough; where both are there, they must say the same.

    Raises:
        Rejected: neither is there, one is unreadable, a value or colour is no class, the two contradict each other, or
            nothing is left but what is open.
    """
    found = [
        made
        for url, of in ((numbers_url, _of_values), (colours_url, _of_colours))
        if (made := _made(url, of, classes, max_pixels)) is not None
    ]
    if not found:
        raise Rejected(Reason.MASK_MISSING, f"neither {_short(numbers_url)} nor {_short(colours_url)}")
    numbers = found[0]
    for other in found[1:]:
        if other.shape != numbers.shape:
            raise Rejected(
                Reason.MASK_AMBIGUOUS,
                f"labels of {numbers.shape[::-1]} by value and {other.shape[::-1]} by colour",
            )
        differ = (numbers != other) & (numbers != IGNORE)
        if differ.any():
            y, x = np.argwhere(differ)[0]
            raise Rejected(
                Reason.MASK_AMBIGUOUS,
                f"{int(differ.sum())} pixels are of another class by value than by colour, the first at x {x}, y {y}: "
                f"{numbers[y, x]} and {other[y, x]}",
            )
    if (numbers == IGNORE).any() and not ((numbers > 0) & (numbers != IGNORE)).any():
        raise Rejected(
            Reason.MASK_AMBIGUOUS, f"no class, only {int((numbers == IGNORE).sum())} pixels of {IGNORE}"
        )
    return numbers


def voc_palette(colours: int) -> np.ndarray:
    """(colours, 3) uint8: the bits of a number, three at a time, are the bits of red, green and blue from the top."""
    numbers = np.arange(colours)
    found = np.zeros((colours, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            found[:, channel] |= ((numbers >> (3 * bit + channel) & 1) << (7 - bit)).astype(np.uint8)
    return found


def _made(url: str, of: Numbers, classes: int, max_pixels: int) -> np.ndarray | None:
    """The numbers of one image; None where there is none."""
    try:
        content = images.read(url, Reason.MASK_MISSING, Reason.MASK_UNREADABLE)
    except Rejected as error:
        if error.reason is Reason.MASK_MISSING:
            return None
        raise
    try:
        if not content.startswith(images.PNG_MAGIC):
            raise ValueError("no PNG")
        with PngImageFile(io.BytesIO(content)) as image:
            if image.width * image.height > max_pixels:
                raise ValueError(f"{image.width} x {image.height}; at most {max_pixels} pixels")
            if getattr(image, "n_frames", 1) > 1:
                raise Rejected(Reason.MASK_AMBIGUOUS, f"{_short(url)}: several pictures in one file")
            image.load()
            return of(_opaque(image, url), classes, _short(url))
    except images.FAULTS as error:
        raise Rejected(
            Reason.MASK_UNREADABLE, f"{_short(url)}: {type(error).__name__}: {images.said(error)}"
        ) from error


def _opaque(image: Image.Image, url: str) -> Image.Image:
    """Without an alpha channel that says nothing."""
    if not image.has_transparency_data:
        return image
    if (np.asarray(image.convert("RGBA").getchannel("A")) < 255).any():
        raise Rejected(Reason.MASK_AMBIGUOUS, f"{_short(url)}: some of it is transparent")
    return image.convert({"LA": "L", "RGBA": "RGB", "PA": "P"}.get(image.mode, image.mode))


def _of_values(image: Image.Image, classes: int, name: str) -> np.ndarray:
    """Grey values, or indices of a palette, are the numbers."""
    if image.mode == "P":
        values = np.asarray(image)
        _agree(values, image, name)
    elif image.mode == "RGB":
        values = np.asarray(image)
        if (values != values[..., :1]).any():
            raise Rejected(
                Reason.MASK_AMBIGUOUS, f"{name}: colours where values should be numbers of classes"
            )
        values = values[..., 0]
    else:
        values = np.asarray(image)
    strange = np.setdiff1d(np.unique(values.astype(np.int64)), [*range(classes + 1), IGNORE])
    if len(strange):
        raise Rejected(
            Reason.UNKNOWN_LABEL,
            f"{name}: values {', '.join(map(str, strange[:_MOST_NAMED]))}; classes are 0 to {classes}",
        )
    return values.astype(np.uint8)


def _agree(values: np.ndarray, image: Image.Image, name: str) -> None:
    """A palette shows each number in its own colour, or as grey, or the numbers mean something else."""
    palette = np.zeros((256, 3), np.int64)
    told = np.array(image.getpalette("RGB") or [], np.int64).reshape(-1, 3)
    palette[: len(told)] = told
    used = np.unique(values)
    grey = (palette[used] == used[:, None]).all()
    if not grey and not (palette[used] == voc_palette(256)[used]).all():
        raise Rejected(
            Reason.MASK_AMBIGUOUS, f"{name}: its palette shows its values as other classes' colours"
        )


def _of_colours(image: Image.Image, classes: int, name: str) -> np.ndarray:
    codes = _codes(np.asarray(image.convert("RGB")))
    known = _codes(voc_palette(256)[[*range(classes + 1), IGNORE]])
    order = np.argsort(known)
    place = np.searchsorted(known, codes, sorter=order).clip(max=len(known) - 1)
    found = order[place]
    strange = np.unique(codes[known[found] != codes])
    if len(strange):
        named = ", ".join(f"({c >> 16}, {c >> 8 & 255}, {c & 255})" for c in strange[:_MOST_NAMED])
        raise Rejected(
            Reason.UNKNOWN_LABEL,
            f"{name}: {len(strange)} colours that are no class, as {named} in "
            f"{int((known[found] != codes).sum())} pixels",
        )
    return np.where(found > classes, IGNORE, found).astype(np.uint8)


def _codes(colours: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 to one number each."""
    return colours.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])


def _short(url: str) -> str:
    return "/".join(url.rsplit("/", 2)[-2:])
