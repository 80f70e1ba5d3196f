"""Mask images: which pixels are the object, by what the image's own values say.

One rule for every corpus and release:

- of two values, the one that is not zero is the object: 0 and 1, 0 and 255, 1 bit, 16 bit, black and a colour;
- grey between black and white is the object from half on, where it is a thin edge or compression noise about one;
- an alpha channel is the mask where nothing else that can be seen varies;
- a palette says by its colours and by its indices; where the two contradict each other, nothing is certain;
- what can be read in two ways is `mask_ambiguous`: several objects in one image, ramps, animations.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from pipelines.media.images import FAULTS, JPEG_MAGIC, PNG_MAGIC, said, shown
from shards import jpeg
from shards.rejections import Reason, Rejected

EDGE_PX = 2  # how far from the outline the one or two greys of a simple edge lie
NOISE_PX = 8  # and the many of compression noise: a block of JPEG
_COLOUR_NOISE_PX = 16  # where its colours are halved
_NOISE_GREYS = 4  # different greys at least that make noise; fewer are values that mean something
_MOSTLY_GREY = 0.5  # of the pixels
_SOLID = 0.005  # of the object's area: more 3 x 3 blocks of one grey are regions, no noise
_FLAT = 0.5  # of what is not black: as many pixels in 2 x 2 blocks of one colour make a drawing
_DRAWN_COLOURS = 256  # at most
_ONE_COLOUR = 64  # of 255: how far its channels may differ from pixel to pixel


@dataclass(frozen=True)
class _Flat:
    """Every pixel has one value. `is_object`: None where it says neither that there is one nor that there is none."""

    is_object: bool | None


@dataclass(frozen=True)
class _Unclear:
    """The values can be read in more than one way; `why` ends the rejection's detail."""

    why: str


Reading = np.ndarray | _Flat | _Unclear  # a (height, width) bool array where the values are clear


def read(content: bytes, *, max_pixels: int, several: bool = False) -> np.ndarray:
    """The object of a mask image, PNG of any kind or JPEG: (height, width) bool.

    Args:
        several: objects drawn in greys or colours of their own are one mask together: whatever is not black.
            Without, the image is of one object, and such a drawing is ambiguous.

    Raises:
        Rejected: not readable, too large, or ambiguous.
    """
    try:
        with _open(content) as image:
            if image.width * image.height > max_pixels:
                raise Rejected(
                    Reason.MASK_UNREADABLE, f"{image.width} x {image.height}; at most {max_pixels} pixels"
                )
            pictures = getattr(image, "n_frames", 1)
            if pictures > 1:
                raise Rejected(Reason.MASK_AMBIGUOUS, f"{pictures} pictures in one file")
            if isinstance(image, JpegImageFile):
                shown(content, (1, 1))
            image.load()
            found = _reading(image, several)
            shape = image.size[::-1]
    except FAULTS as error:
        raise Rejected(Reason.MASK_UNREADABLE, f"{type(error).__name__}: {said(error)}") from error
    if isinstance(found, _Flat) and found.is_object is not None:
        return np.full(shape, found.is_object)
    if not isinstance(found, np.ndarray):
        why = (
            found.why if isinstance(found, _Unclear) else "every pixel has one value, neither black nor white"
        )
        raise Rejected(Reason.MASK_AMBIGUOUS, why)
    return found


def _open(content: bytes) -> Image.Image:
    if content.startswith(JPEG_MAGIC):
        return JpegImageFile(io.BytesIO(jpeg.bare(content)))
    if not content.startswith(PNG_MAGIC):
        raise ValueError("no image: neither PNG nor JPEG")
    if content[24] == 16 and content[25] != 0:
        raise ValueError("16 bits a channel in colour or with alpha")
    return PngImageFile(io.BytesIO(content))


def _reading(image: Image.Image, several: bool) -> Reading:
    if image.mode in ("P", "PA"):
        colours = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
        indices = np.asarray(image if image.mode == "P" else image.getchannel("P"))
        drawn = colours[indices]
        seen = _palette(indices, drawn, several)
    else:
        mode = {"LA": "L", "RGBA": "RGB", "1": "L"}.get(image.mode, image.mode)
        if mode not in ("L", "I;16", "RGB"):
            raise ValueError(f"pixels of the kind {mode}")
        drawn = np.asarray(image.convert(mode) if mode != image.mode else image)
        seen = _colours(drawn, several, isinstance(image, JpegImageFile))
    if not image.has_transparency_data:
        return seen
    alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    if (alpha == alpha.flat[0]).all():
        empty = isinstance(seen, _Flat) and seen.is_object is False
        return seen if alpha.flat[0] or empty else _Unclear("every pixel is transparent")
    cut = _grey(alpha, False, False)
    visible = drawn[alpha > 0]
    alike = (visible == visible[:1]).all()
    if isinstance(cut, np.ndarray) and (
        not ((cut ^ seen) & ~_rim(cut, 1)).any() if isinstance(seen, np.ndarray) else alike
    ):
        return cut
    return _Unclear("it has an alpha channel that differs from its colours")


def _palette(indices: np.ndarray, shown: np.ndarray, several: bool) -> Reading:
    """By colour, as long as index 0 is no object; by index where the colours do not tell."""
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=256))
    by_colour = _colours(shown, several, False)
    if len(used) == 1:
        says = _Flat(bool(used[0]))
        return (
            says if by_colour in (says, _Flat(None)) else _Unclear("its palette and its indices contradict")
        )
    background = indices == 0
    if isinstance(by_colour, np.ndarray):
        clash = (by_colour & background).any()
        return _Unclear("its palette and its indices contradict each other") if clash else by_colour
    if used[0] == 0 and (several or len(used) == 2):
        light = shown.sum(axis=2, dtype=np.int32)
        if light[background].max() <= light[~background].min():
            return ~background
    return by_colour if isinstance(by_colour, _Unclear) else _Unclear("several indices of one colour")


def _colours(values: np.ndarray, several: bool, lossy: bool) -> Reading:
    """Of grey (height, width) or colours (height, width, 3)."""
    if values.ndim == 2:
        return _grey(values, several, lossy)
    if (values == values[..., :1]).all():
        return _grey(values[..., 0], several, lossy)
    codes = values.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    kinds = np.unique(codes)
    if not lossy and len(kinds) <= 2 and kinds[0] == 0:
        return codes != 0
    if len(kinds) == 1:
        return _Flat(None)
    found = _graded(values.max(axis=2), 255, _COLOUR_NOISE_PX)
    if isinstance(found, np.ndarray) and (several or _is_one_colour(values, found)):
        return found
    if several and not lossy and kinds[0] == 0 and len(kinds) <= _DRAWN_COLOURS and _is_drawn(codes):
        return codes != 0
    return _Unclear("several colours")


def _is_one_colour(values: np.ndarray, where: np.ndarray) -> bool:
    inside = where & ~_rim(where, EDGE_PX)
    return bool((np.ptp(values[inside if inside.any() else where], axis=0) < _ONE_COLOUR).all())


def _grey(values: np.ndarray, several: bool, lossy: bool) -> Reading:
    top = int(np.iinfo(values.dtype).max)
    low, high = int(values.min()), int(values.max())
    if low == high:
        full = high == top or (high == 1 and not lossy)
        return _Flat(full if full or high == 0 else None)
    if not lossy and low == 0 and (values[values != 0] == high).all():
        return values != 0
    found = _graded(values, top, NOISE_PX)
    if isinstance(found, _Unclear) and several and not lossy and low == 0 and _is_drawn(values):
        return values != 0
    return found


def _graded(values: np.ndarray, top: int, noise_px: int) -> np.ndarray | _Unclear:
    """The object from half of the range on, where all grey is a thin edge of it, or noise about one."""
    low, high = int(values.min()), int(values.max())
    if low > top // 8 or high < top - top // 8:
        return _Unclear(f"values from {low} to {high} of {top}")
    found = values > top // 2
    grey = (values != low) & (values != high)
    kinds = len(np.unique(values[grey]))
    reach = noise_px if kinds >= _NOISE_GREYS else EDGE_PX
    if grey.mean() > _MOSTLY_GREY:
        return _Unclear("grey nearly everywhere")
    if kinds and ((grey & ~_rim(found, reach)).any() or _solid(values, grey) > _SOLID * found.sum()):
        return _Unclear(f"{kinds} greys in regions of their own")
    return found


def _rim(mask: np.ndarray, reach: int) -> np.ndarray:
    """Pixels at most `reach` away from where the mask begins or ends, along both axes."""
    return _grown(mask, reach) & _grown(~mask, reach)


def _grown(mask: np.ndarray, reach: int) -> np.ndarray:
    for axis in (0, 1):
        grown, reached = np.moveaxis(mask.copy(), axis, 0), 0
        while reached < min(reach, len(grown) - 1):
            step = min(reach - reached, 2 * reached + 1, len(grown) - 1)
            before = grown.copy()
            grown[step:] |= before[:-step]
            grown[:-step] |= before[step:]
            reached += step
        mask = np.moveaxis(grown, 0, axis)
    return mask


def _solid(values: np.ndarray, where: np.ndarray) -> int:
    """How many of the pixels `where` have eight neighbours of their own value."""
    alike = np.ones((max(0, values.shape[0] - 2), max(0, values.shape[1] - 2)), dtype=bool)
    middle = values[1:-1, 1:-1]
    for y in range(3):
        for x in range(3):
            alike &= values[y : y + alike.shape[0], x : x + alike.shape[1]] == middle
    return int((alike & where[1:-1, 1:-1]).sum())


def _is_drawn(values: np.ndarray) -> bool:
    """Whether what is not black lies in flat regions, as drawn objects do, not in ramps or the grain of a photo."""
    here = values[:-1, :-1]
    flat = (here == values[1:, :-1]) & (here == values[:-1, 1:]) & (here == values[1:, 1:]) & (here != 0)
    return bool(flat.sum() >= _FLAT * (values != 0).sum())
