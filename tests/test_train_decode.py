"""Decoding against Pillow, and the choice of the VGGish window."""

import io

import cv2
import numpy as np
import pytest
import soundfile
from PIL import Image

from avs_train.data import decode
from shards.sound import window_start


def photo(width, height, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (max(2, height // 16), max(2, width // 16), 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.BICUBIC)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("size", [(64, 48), (200, 150), (224, 224)])
def test_enlarged_photos_match_pillows_bilinear(size):
    jpg = encoded(photo(*size), "JPEG", quality=95)
    out = np.empty((256, 256, 3), np.uint8)
    decode.image(jpg, out)
    expected = np.asarray(Image.open(io.BytesIO(jpg)).convert("RGB").resize((256, 256), Image.BILINEAR))
    assert np.abs(out.astype(int) - expected).max() <= 2


def test_shrunk_photos_are_averaged_not_skipped():
    jpg = encoded(photo(640, 480), "JPEG", quality=95)
    out = np.empty((64, 64, 3), np.uint8)
    decode.image(jpg, out)
    expected = np.asarray(Image.open(io.BytesIO(jpg)).convert("RGB").resize((64, 64), Image.BOX))
    assert np.abs(out.astype(int) - expected).mean() < 1.5


def test_exif_orientation_is_not_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    jpg = encoded(photo(64, 32), "JPEG", quality=95, exif=exif)
    out = np.empty((32, 64, 3), np.uint8)
    decode.image(jpg, out)
    assert np.abs(out.astype(int) - np.asarray(Image.open(io.BytesIO(jpg)).convert("RGB"))).max() <= 2


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_photos_decode_to_rgb(mode):
    jpg = encoded(photo(64, 64).convert(mode), "JPEG", quality=95)
    out = np.empty((64, 64, 3), np.uint8)
    decode.image(jpg, out)
    expected = np.asarray(Image.open(io.BytesIO(jpg)).convert("RGB"))
    assert np.abs(out.astype(int) - expected).mean() < 3


@pytest.mark.parametrize("side", [32, 48, 100, 256])
def test_masks_match_pillows_nearest_and_hold_0_and_1(side):
    mask = Image.fromarray((np.random.default_rng(1).random((60, 80)) > 0.6).astype(np.uint8) * 255)
    out = np.empty((side, side), np.uint8)
    decode.mask(encoded(mask, "PNG"), out)
    expected = np.asarray(mask.resize((side, side), Image.NEAREST)) // 255
    assert (out != expected).mean() < 0.002
    assert out.max() == 1


def test_classes_are_resized_as_opencv_does():
    rng = np.random.default_rng(2)
    for _ in range(200):
        (height, width), (rows, columns) = rng.integers(1, 300, 2).tolist(), rng.integers(1, 300, 2).tolist()
        numbers = rng.integers(0, 256, (height, width), dtype=np.uint8)
        out = np.empty((rows, columns), np.uint8)
        decode.classes(encoded(Image.fromarray(numbers), "PNG"), out)
        assert (out == cv2.resize(numbers, (columns, rows), interpolation=cv2.INTER_NEAREST_EXACT)).all()


@pytest.mark.parametrize(
    ("frames", "window", "start"),
    [
        (160000, 1, 15360),
        (30960, 1, 15360),
        (30959, 1, 0),
        (15600, 1, 0),
        (15600, 0, 0),
        (9000, 1, 0),
        (80000, 4, 61440),
    ],
)
def test_the_window_is_the_asked_one_or_the_last_whole_one(frames, window, start):
    assert window_start(frames, window) == start


def test_a_waveform_is_cut_at_the_window():
    sound = (np.arange(40000) % 20000 / 32768).astype(np.float32)
    file = io.BytesIO()
    soundfile.write(file, sound, 16000, format="FLAC", subtype="PCM_16")
    assert np.array_equal(decode.waveform(file.getvalue()), sound[15360 : 15360 + 15600])


def test_a_clip_shorter_than_a_window_is_repeated():
    sound = np.linspace(-0.5, 0.5, 6000, dtype=np.float32)
    file = io.BytesIO()
    soundfile.write(file, sound, 16000, format="FLAC", subtype="PCM_16")
    found = decode.waveform(file.getvalue())
    assert np.array_equal(found[:6000], found[6000:12000])
    assert len(found) == 15600


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (
            lambda: decode.image(b"no photo", np.empty((8, 8, 3), np.uint8)),
            "photo of 8 bytes that does not decode",
        ),
        (lambda: decode.mask(b"", np.empty((8, 8), np.uint8)), "mask"),
        (lambda: decode.waveform(b"no sound"), "audio that does not decode"),
    ],
)
def test_bad_bytes_are_a_decode_error(call, match):
    with pytest.raises(decode.DecodeError, match=match):
        call()


def test_a_view_cuts_photo_and_mask_alike_and_repeats():
    rng = np.random.default_rng(3)
    grey = (rng.random((50, 80)) > 0.5).astype(np.uint8) * 255
    png = encoded(Image.fromarray(grey), "PNG")
    jpg = encoded(Image.fromarray(np.repeat(grey[..., None], 3, 2)), "JPEG", quality=100)
    for epoch in range(20):
        view = decode.drawn_view(0, epoch, "a|dog")
        assert view == decode.drawn_view(0, epoch, "a|dog")
        left, right = round(view.left * 80), round(view.right * 80)
        part = grey[round(view.top * 50) : round(view.bottom * 50), left:right]
        part = part[:, ::-1] if view.mirrored else part
        mask, image = np.empty(part.shape, np.uint8), np.empty((*part.shape, 3), np.uint8)
        decode.mask(png, mask, view)
        decode.image(jpg, image, view)
        assert np.array_equal(mask * 255, part)
        assert np.abs(image[..., 0].astype(int) - part).mean() < 20
        assert 0.7 * 80 <= right - left <= 80
    views = [decode.drawn_view(0, epoch, "a|dog") for epoch in range(400)]
    assert 160 < sum(view.mirrored for view in views) < 240
