"""Masks: run lengths against pictures drawn and counted in other ways."""

import io
import json

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pycocotools import mask as coco

from pipelines.media import masks
from shards.rejections import Reason, Rejected


def png(array: np.ndarray, mode: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).convert(mode).save(buffer, "PNG")
    return buffer.getvalue()


def decode(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def test_a_polygon_against_pillow() -> None:
    polygon = [20.0, 10.0, 90.0, 25.0, 70.0, 85.0, 15.0, 60.0]
    rle = masks.from_coco(json.dumps([polygon]).encode(), 100, 120)
    drawn = Image.new("L", (100, 120))
    ImageDraw.Draw(drawn).polygon([tuple(polygon[i : i + 2]) for i in range(0, 8, 2)], fill=255)
    ours, theirs = decode(masks.to_png(rle)) > 0, np.asarray(drawn) > 0
    assert ours.shape == (120, 100)
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.96  # the two disagree about border pixels only
    assert masks.area_px(rle) == ours.sum()
    ys, xs = np.nonzero(ours)
    assert masks.bbox(rle) == (xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1)


def test_run_lengths_plain_and_compressed() -> None:
    rng = np.random.default_rng(0)
    array = (rng.random((30, 40)) > 0.7).astype(np.uint8)
    counts, value, run = [], 0, 0
    for pixel in array.flatten(order="F"):
        if pixel != value:
            counts.append(run)
            value, run = pixel, 0
        run += 1
    counts.append(run)
    compressed = coco.encode(np.asfortranarray(array))["counts"].decode()
    for form in (counts, compressed):
        rle = masks.from_coco(json.dumps({"size": [30, 40], "counts": form}).encode(), 40, 30)
        assert (decode(masks.to_png(rle)) == array * 255).all()


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P"])
def test_png_masks_of_every_kind(mode: str) -> None:
    array = np.zeros((60, 80), np.uint8)
    array[10:30, 20:50] = 255
    rle = masks.from_image(png(array, mode), 80, 60, 10**6)
    assert (decode(masks.to_png(rle)) == array).all()


def test_a_png_of_another_size_is_scaled_by_nearest_neighbour() -> None:
    array = np.zeros((30, 40), np.uint8)
    array[5:15, 10:25] = 255
    rle = masks.from_image(png(array, "1"), 120, 90, 10**6)
    assert (decode(masks.to_png(rle)) == np.kron(array, np.ones((3, 3), np.uint8))).all()


def test_union_is_the_logical_or() -> None:
    rng = np.random.default_rng(1)
    arrays = [(rng.random((20, 30)) > 0.8).astype(np.uint8) for _ in range(4)]
    rles = [coco.encode(np.asfortranarray(array)) for array in arrays]
    union = masks.union(rles)
    assert (decode(masks.to_png(union)) == np.logical_or.reduce(arrays) * 255).all()
    assert masks.area_px(union) == np.logical_or.reduce(arrays).sum()


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        (b"[[1,2,3", Reason.MASK_UNREADABLE),
        (b"[[1,2,3,4]]", Reason.MASK_UNREADABLE),
        (b"[[1,2,3,4,5,6,7]]", Reason.MASK_UNREADABLE),
        (b'[["a","b","c","d","e","f"]]', Reason.MASK_UNREADABLE),
        (b"5", Reason.MASK_UNREADABLE),
        (b'{"size":[50,50]}', Reason.MASK_UNREADABLE),
        (b'{"size":[50,50],"counts":[10,20]}', Reason.MASK_UNREADABLE),
        (b'{"size":[50,50],"counts":[-10,2510]}', Reason.MASK_UNREADABLE),
        (b'{"size":[60,50],"counts":[3000]}', Reason.MASK_OUTSIDE_IMAGE),
        (b"[]", Reason.MASK_EMPTY),
        (b"[[10,10,90,10,90,90]]", Reason.MASK_OUTSIDE_IMAGE),
        (b"[[-10,10,40,10,40,40]]", Reason.MASK_OUTSIDE_IMAGE),
    ],
)
def test_bad_segmentations(segmentation: bytes, reason: Reason) -> None:
    with pytest.raises(Rejected) as caught:
        masks.from_coco(segmentation, 50, 50)
    assert caught.value.reason == reason


def test_a_polygon_a_hair_over_the_border_is_kept() -> None:
    rle = masks.from_coco(b"[[-0.5,-0.4,50.6,-0.2,50.9,50.7,-0.1,50.8]]", 50, 50)
    assert masks.area_px(rle) > 0.95 * 2500


def test_bad_mask_files() -> None:
    whole = png(np.full((60, 80), 255, np.uint8), "1")
    for content, reason in (
        (b"no png", Reason.MASK_UNREADABLE),
        (whole[:40], Reason.MASK_UNREADABLE),
        (whole, Reason.IMAGE_SIZE_MISMATCH),
    ):
        with pytest.raises(Rejected) as caught:
            masks.from_image(content, 100, 60, 10**6)
        assert caught.value.reason == reason
    with pytest.raises(Rejected, match="at most 100 pixels"):
        masks.from_image(whole, 80, 60, 100)
