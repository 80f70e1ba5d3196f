"""Masks: run lengths against pictures drawn and counted in other ways."""

import io
import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from pycocotools import mask as coco

from pipelines.media import mask_images, masks
from shards import run_lengths
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


def test_run_lengths_against_pycocotools_on_random_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our reader of compressed run lengths, our union (which few and short masks do not need) and our pixels."""
    monkeypatch.setattr(masks, "_JOINED_ONE_BY_ONE", 0)
    rng = np.random.default_rng(2)
    for _ in range(300):
        height, width = (int(side) for side in rng.integers(1, 40, 2))
        arrays = [(rng.random((height, width)) < rng.random()).astype(np.uint8) for _ in range(3)]
        rles = [coco.encode(np.asfortranarray(array)) for array in arrays]
        for array, rle in zip(arrays, rles, strict=True):
            runs = run_lengths.decompress(rle["counts"].decode())
            plain = {"size": [height, width], "counts": runs.tolist()}
            assert coco.frPyObjects(plain, height, width) == rle
            assert (masks.pixels(rle) == array).all()
        joined = masks.union(rles)
        assert joined == coco.merge(rles)
        assert (masks.pixels(joined) == np.logical_or.reduce(arrays)).all()


def test_long_runs_against_pycocotools() -> None:
    for runs in ([0, 5_000 * 4_000], [19_999_999, 1], [7, 13_000_000, 6_999_993], [1] * 5000 + [19_995_000]):
        rle = coco.frPyObjects({"size": [5_000, 4_000], "counts": runs}, 5_000, 4_000)
        assert run_lengths.decompress(rle["counts"].decode()).tolist() == runs


def test_runs_that_turn_twice_at_one_pixel() -> None:
    """Legal, and what pycocotools stumbles over when it joins them."""
    text = b'{"size":[4,5],"counts":[3,2,0,4,0,0,6,5]}'
    expected = np.zeros(20, bool)
    expected[3:9] = expected[15:] = True
    rle = masks.from_coco(text, 5, 4)
    assert (masks.pixels(rle) == expected.reshape(5, 4).T).all()
    assert (
        rle["counts"] == coco.encode(np.asfortranarray(expected.reshape(5, 4).T.astype(np.uint8)))["counts"]
    )
    assert (masks.pixels(masks.union([rle, rle])) == expected.reshape(5, 4).T).all()


def test_polygons_smaller_than_a_pixel_are_an_empty_mask() -> None:
    assert masks.area_px(masks.from_coco(b"[[10.1,10.1,10.2,10.1,10.2,10.2]]", 50, 50)) == 0


def test_every_truncation_of_compressed_run_lengths_is_told() -> None:
    rng = np.random.default_rng(3)
    counts = coco.encode(np.asfortranarray((rng.random((40, 50)) > 0.5).astype(np.uint8)))["counts"].decode()
    for length in range(len(counts)):
        text = json.dumps({"size": [40, 50], "counts": counts[:length]}).encode()
        with pytest.raises(Rejected) as caught:
            masks.from_coco(text, 50, 40)
        assert caught.value.reason == Reason.MASK_UNREADABLE


SHAPE = np.zeros((120, 160), bool)  # a ring and a thin line
_Y, _X = np.mgrid[:120, :160]
SHAPE |= (np.hypot(_X - 70, _Y - 60) < 40) & (np.hypot(_X - 75, _Y - 60) > 12)
SHAPE[100:103, 20:150] = True
L = np.where(SHAPE, 255, 0).astype(np.uint8)


def image(array: np.ndarray, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, form, **options)
    return buffer.getvalue()


def palette(indices: np.ndarray, colours: list[tuple[int, int, int]], **options: object) -> bytes:
    picture = Image.fromarray(indices.astype(np.uint8), mode="P")
    picture.putpalette([value for colour in colours for value in colour])
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **options)
    return buffer.getvalue()


def coloured(inside: tuple[int, int, int], outside: tuple[int, int, int] = (0, 0, 0)) -> np.ndarray:
    return np.where(SHAPE[..., None], np.array(inside), np.array(outside)).astype(np.uint8)


def with_alpha(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return np.dstack([colours, alpha])


ONES = SHAPE.astype(np.uint8)
WHITE, BLACK = np.full((120, 160), 255, np.uint8), np.zeros((120, 160), np.uint8)
CLEAR = {
    "0 and 255": image(L),
    "0 and 1": image(ONES),
    "0 and 38": image(ONES * 38),
    "0 and 128": image(ONES * 128),
    "16 and 235": image(np.where(SHAPE, 235, 16).astype(np.uint8)),
    "1 bit": image(SHAPE),
    "16 bit, 0 and 1": image(ONES.astype(np.uint16)),
    "16 bit, 0 and 255": image(ONES.astype(np.uint16) * 255),
    "16 bit, 0 and 65535": image(ONES.astype(np.uint16) * 65_535),
    "colours of grey": image(np.dstack([L] * 3)),
    "colours of 0 and 1": image(np.dstack([ONES] * 3)),
    "red": image(coloured((200, 0, 0))),
    "dark red": image(coloured((40, 0, 0))),
    "grey and alpha all through": image(np.dstack([L, WHITE])),
    "the mask in alpha, all white": image(with_alpha(np.dstack([WHITE] * 3), L)),
    "the mask in alpha, all black": image(with_alpha(np.dstack([BLACK] * 3), L)),
    "the mask in alpha of grey": image(np.dstack([WHITE, L])),
    "the mask in both": image(with_alpha(np.dstack([L] * 3), L)),
    "white cut out of black": image(with_alpha(coloured((255, 255, 255)), L)),
    "alpha of 0 and 1": image(with_alpha(np.dstack([WHITE] * 3), ONES)),
    "black made transparent": image(L, transparency=0),
    "palette of black and white": palette(ONES, [(0, 0, 0), (255, 255, 255)]),
    "palette of black and red": palette(ONES, [(0, 0, 0), (128, 0, 0)]),
    "palette of greys": palette(L, [(n, n, n) for n in range(256)]),
    "palette of greys, 4 bits": palette(ONES * 15, [(n * 17,) * 3 for n in range(16)], bits=4),
    "palette without colours": palette(ONES, [(0, 0, 0), (0, 0, 0)]),
    "palette of blue and yellow": palette(ONES, [(0, 0, 90), (250, 230, 40)]),
    "palette, the first entry unused": palette(ONES + 1, [(9, 9, 9), (0, 0, 0), (255, 255, 255)]),
    "palette with the background transparent": palette(ONES, [(0, 0, 0), (255, 0, 0)], transparency=0),
    "text beside it": image(L, pnginfo=None, dpi=(72, 72)),
}


@pytest.mark.parametrize("name", CLEAR)
def test_masks_of_every_kind(name: str) -> None:
    for several in (False, True):
        assert (mask_images.read(CLEAR[name], max_pixels=10**6, several=several) == SHAPE).all()
    rle = masks.from_image(CLEAR[name], 160, 120, 10**6)
    assert (decode(masks.to_png(rle)) == L).all()


@pytest.mark.parametrize("quality", [30, 50, 75, 90, 95])
@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_compression_noise_is_no_object(quality: int, again: bool, mode: str) -> None:
    """A mask that was a JPEG once: as one under the name of a PNG, and kept as PNG again."""
    content = image(np.asarray(Image.fromarray(L).convert(mode)), "JPEG", quality=quality)
    if again:
        content = image(decode(content))
    assert ((decode(content) > 0) if mode == "L" else decode(content).any(axis=2)).sum() > SHAPE.sum()
    for several in (False, True):
        found = mask_images.read(content, max_pixels=10**6, several=several)
        assert (found == SHAPE).mean() > 0.9995


def test_an_antialiased_edge_is_cut_at_half() -> None:
    large = Image.fromarray(np.kron(L, np.ones((4, 4), np.uint8)))
    for factor in (3, 5, 8):
        share = np.asarray(large.reduce(factor))
        assert ((share > 0) & (share < 255)).any()
        found = mask_images.read(image(share), max_pixels=10**6)
        assert (found == (share >= 128)).all()
        in_alpha = with_alpha(np.full((*share.shape, 3), 255, np.uint8), share)
        assert (mask_images.read(image(in_alpha), max_pixels=10**6) == found).all()


RAMP = np.tile(np.linspace(0, 255, 160).astype(np.uint8), (120, 1))
TWO = ONES * 80 + np.where(_X > 70, ONES * 100, 0).astype(np.uint8)  # two objects, 80 and 180
VOID = ONES.copy()  # an instance number, and a border of 255 around it
VOID[np.asarray(Image.fromarray(L).resize((160, 120))) != np.roll(L, 2, axis=1)] = 255
RED_AND_GREEN = np.where((SHAPE & (_X > 70))[..., None], (0, 255, 0), coloured((255, 0, 0))).astype(np.uint8)
UNCLEAR = {
    "a ramp": image(RAMP),
    "a photo": image(np.random.default_rng(0).integers(0, 256, (120, 160), np.uint8)),
    "two objects in greys": image(TWO),
    "three small values": image(ONES + (ONES * (_X > 60)).astype(np.uint8)),
    "an instance and its border": image(VOID),
    "1 and 2": image(ONES + 1),
    "two objects in colours": image(RED_AND_GREEN),
    "red on white": image(coloured((255, 0, 0), (255, 255, 255))),
    "all of one grey": image(np.full((120, 160), 7, np.uint8)),
    "all red": image(np.full((120, 160, 3), (255, 0, 0), np.uint8)),
    "wholly transparent": image(with_alpha(coloured((255, 255, 255)), BLACK)),
    "alpha against colour": image(with_alpha(coloured((255, 255, 255)), np.roll(L, 30, axis=1))),
    "a photo cut out": image(with_alpha(np.dstack([RAMP, 255 - RAMP, RAMP]), L)),
    "a palette of white and black": palette(ONES, [(255, 255, 255), (0, 0, 0)]),
    "a palette of white and red": palette(ONES, [(255, 255, 255), (255, 0, 0)]),
    "a palette of three": palette(ONES + (ONES * (_X > 60)).astype(np.uint8), [(0, 0, 0), (255, 0, 0), (0, 255, 0)]),
    "a palette, all background in white": palette(ONES * 0, [(255, 255, 255)]),
    "an animation": image(L, save_all=True, append_images=[Image.fromarray(255 - L)]),
}  # fmt: skip


@pytest.mark.parametrize("name", UNCLEAR)
def test_what_can_be_read_in_two_ways_is_no_mask(name: str) -> None:
    with pytest.raises(Rejected) as caught:
        mask_images.read(UNCLEAR[name], max_pixels=10**6)
    assert caught.value.reason == Reason.MASK_AMBIGUOUS


@pytest.mark.parametrize(
    "name",
    ["two objects in greys", "three small values", "two objects in colours", "a palette of three"],
)
def test_several_objects_are_one_mask_where_a_release_means_so(name: str) -> None:
    assert (mask_images.read(UNCLEAR[name], max_pixels=10**6, several=True) == SHAPE).all()


@pytest.mark.parametrize("name", ["a ramp", "a photo", "a palette of white and black", "an animation"])
def test_several_objects_do_not_make_everything_clear(name: str) -> None:
    with pytest.raises(Rejected):
        mask_images.read(UNCLEAR[name], max_pixels=10**6, several=True)


def border(reach: int) -> np.ndarray:
    """(120, 160) bool: at most `reach` from the outline."""
    whole = Image.fromarray(L)
    size = 2 * reach + 1
    return np.asarray(whole.filter(ImageFilter.MaxFilter(size))) != np.asarray(
        whole.filter(ImageFilter.MinFilter(size))
    )


def voc(void: tuple[int, int, int]) -> np.ndarray:
    """(120, 160, 3) uint8: an object in red, and around it what is uncertain."""
    return np.where(border(2)[..., None], np.array(void, np.uint8), coloured((192, 0, 0)))


def in_palette(void: tuple[int, int, int]) -> bytes:
    """What is uncertain is index 255, the object 15."""
    black = (0, 0, 0)
    return palette(np.where(border(2), 255, ONES * 15), [black] * 15 + [(192, 0, 0)] + [black] * 239 + [void])


def matte() -> bytes:
    large = Image.fromarray(np.kron(L, np.ones((4, 4), np.uint8))).reduce(3)
    return image((np.asarray(large) * 0.78).astype(np.uint8))


UNCERTAIN = {
    "a soft matte": matte(),
    "a palette with a border of void": in_palette((224, 224, 192)),
    "a palette with a white border": in_palette((255, 255, 255)),
    "colours with a border of void": image(voc((224, 224, 192))),
    "a trimap": image(np.where(border(8), 128, L).astype(np.uint8)),
    "numbers with a border of 255": UNCLEAR["an instance and its border"],
}


@pytest.mark.parametrize("name", UNCERTAIN)
def test_what_is_uncertain_is_no_object_in_an_import_either(name: str) -> None:
    with pytest.raises(Rejected) as caught:
        mask_images.read(UNCERTAIN[name], max_pixels=10**6, several=True)
    assert caught.value.reason is Reason.MASK_AMBIGUOUS


def test_a_mask_outside_its_box() -> None:
    """The ground drawn for the object: its pixels counted in a plain way."""
    ys, xs = np.nonzero(SHAPE)
    box = [xs.min() / 160, ys.min() / 120, (xs.max() + 1) / 160, (ys.max() + 1) / 120]
    masks.expect_inside(masks.from_image(image(L), 160, 120, 10**6), box)
    with pytest.raises(Rejected, match="outside its box") as caught:
        masks.expect_inside(masks.from_image(image(255 - L), 160, 120, 10**6), box)
    assert caught.value.reason is Reason.MASK_AMBIGUOUS
    near = [box[0] + 0.04, box[1] + 0.04, box[2] - 0.04, box[3] - 0.04]
    masks.expect_inside(masks.from_image(image(L), 160, 120, 10**6), near)


def test_all_black_and_all_white() -> None:
    for array, expected in (
        (BLACK, False),
        (WHITE, True),
        (BLACK + 1, True),
        (BLACK > 0, False),
        (WHITE > 0, True),
    ):
        assert (mask_images.read(image(array), max_pixels=10**6) == expected).all()
    with pytest.raises(Rejected) as caught:
        masks.from_image(image(BLACK), 160, 120, 10**6)
    assert caught.value.reason == Reason.MASK_EMPTY


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises more than it has."""
    content = bytearray(image(L))
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def test_files_that_are_no_masks() -> None:
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(64 << 20), 9))
    profile = chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(64 << 20), 9))
    whole = image(L)
    for content, words in (
        (b"", "neither PNG nor JPEG"),
        (image(L, "GIF"), "neither PNG nor JPEG"),
        (image(L, "TIFF"), "neither PNG nor JPEG"),
        (whole[:-40], ""),
        (whole[:20], ""),
        (whole[:60] + b"\xff" + whole[61:], ""),
        (bomb(30_000, 30_000), "30000 x 30000; at most 1000000 pixels"),
        (bomb(2**31 - 1, 2**31 - 1), "at most 1000000 pixels"),
        (whole[:33] + text + whole[33:], "too large"),
        (whole[:33] + profile + whole[33:], "too large"),
    ):
        with pytest.raises(Rejected) as caught:
            mask_images.read(content, max_pixels=10**6)
        assert caught.value.reason == Reason.MASK_UNREADABLE
        assert words in caught.value.detail


def test_sixteen_bits_in_colour_are_not_halved() -> None:
    """Pillow would keep the high byte alone: 0 and 1 would be black."""
    rows = b"".join(b"\0" + np.repeat(row.astype(">u2"), 3).tobytes() for row in ONES)
    header = struct.pack(">IIBBBBB", 160, 120, 16, 2, 0, 0, 0)
    content = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    with pytest.raises(Rejected, match="16 bits a channel"):
        mask_images.read(content, max_pixels=10**6)


def test_an_interlaced_png_is_read() -> None:
    """Adam7, which Pillow reads and does not write."""
    steps = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = b"".join(
        b"\0" + row.tobytes()
        for y, x, down, right in steps
        for row in np.ascontiguousarray(L[y::down, x::right])
    )
    header = struct.pack(">IIBBBBB", 160, 120, 8, 0, 0, 0, 1)
    content = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    assert (mask_images.read(content, max_pixels=10**6) == SHAPE).all()


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
        (b'{"size":[50.0,50],"counts":[2500]}', Reason.MASK_UNREADABLE),
        (b'{"size":[50,50],"counts":[]}', Reason.MASK_UNREADABLE),
        (b'{"size":[50,50],"counts":[2500.0]}', Reason.MASK_UNREADABLE),
        (b'{"size":[50,50],"counts":[true,2499]}', Reason.MASK_UNREADABLE),
        (b'{"size":[50,50],"counts":[99999999999999999999,1]}', Reason.MASK_UNREADABLE),
        (
            b'{"size":[50,50],"counts":[4611686018427387904,4611686018427387904,4611686018427390404]}',
            Reason.MASK_UNREADABLE,
        ),
        (b'{"size":[50,50],"counts":""}', Reason.MASK_UNREADABLE),
        (b'{"size":[50,50],"counts":"df4`2`20"}', Reason.MASK_UNREADABLE),
        (b'{"size":[50,50],"counts":"h`4P"}', Reason.MASK_UNREADABLE),
        ('{"size":[50,50],"counts":"é"}'.encode(), Reason.MASK_UNREADABLE),
        (b'{"size":[50,50],"counts":"\xe9"}', Reason.MASK_UNREADABLE),
        (b'{"size":[50,50],"counts":"!!"}', Reason.MASK_UNREADABLE),
        (b'{"size":[50,50],"counts":"' + b"o" * 200 + b'0"}', Reason.MASK_UNREADABLE),
        (b"[" * 10_000 + b"]" * 10_000, Reason.MASK_UNREADABLE),
        (b"[[" + b"1," * 3_000_000 + b"1]]", Reason.MASK_UNREADABLE),
        (b"[" + b"[1,1,5,1,5,5]," * 20_000 + b"[1,1,5,1,5,5]]", Reason.MASK_UNREADABLE),
        (b"[[" + b"0,0,49,49," * 100_000 + b"0,49]]", Reason.MASK_UNREADABLE),
        (b"[[1e999,1,2,3,4,5]]", Reason.MASK_UNREADABLE),
        (b"null", Reason.MASK_UNREADABLE),
        (b'"polygon"', Reason.MASK_UNREADABLE),
        (b"{}", Reason.MASK_UNREADABLE),
        (b"[[]]", Reason.MASK_UNREADABLE),
        (b"[]", Reason.MASK_EMPTY),
        (b"[[0,0,0,0,0,0]]", Reason.MASK_EMPTY),
        (b"[[10,10,20,20,30,30]]", Reason.MASK_EMPTY),
        (b'{"size":[50,50],"counts":[2500]}', Reason.MASK_EMPTY),
        (b'{"size":[50,50],"counts":[1000,0,1500]}', Reason.MASK_EMPTY),
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
