"""Photos: what the header says, which are refused, and the same pixels the same way up in every reader."""

import hashlib
import io
import random
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from pipelines.fetch import photos
from pipelines.media import images, mask_images
from shards import jpeg
from shards.rejections import Reason, Rejected

pytestmark = pytest.mark.filterwarnings("ignore:The image decoding and encoding:DeprecationWarning")

WIDTH, HEIGHT = 64, 40


def pixels() -> np.ndarray:
    """A red corner on blue: whoever turns it, is seen."""
    array = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    array[..., 2] = 200
    array[4:16, 4:28] = (220, 10, 10)
    return array


def photo(**options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels()).save(buffer, "JPEG", quality=92, **options)
    return buffer.getvalue()


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def with_segments(*segments: bytes) -> bytes:
    plain = photo()
    return plain[:2] + b"".join(segments) + plain[2:]


def tiff(orientation: int, order: str = "<", kind: int = 3, second: int | None = None) -> bytes:
    """Exif: IFD0 with a Make and an orientation; `second`: that of IFD1 too."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)

    def entry(tag: int, kind: int, count: int, value: int) -> bytes:
        values = struct.pack(order + ("HH" if kind == 3 else "I"), *((value, 0) if kind == 3 else (value,)))
        return struct.pack(order + "HHI", tag, kind, count) + values

    make = b"Maker\0"
    at_make = 8 + 2 + 2 * 12 + 4
    first = (
        struct.pack(order + "H", 2)
        + entry(0x010F, 2, len(make), at_make)
        + entry(0x0112, kind, 1, orientation)
    )
    if second is None:
        return b"Exif\0\0" + head + first + struct.pack(order + "I", 0) + make
    more = struct.pack(order + "H", 1) + entry(0x0112, 3, 1, second) + struct.pack(order + "I", 0)
    return b"Exif\0\0" + head + first + struct.pack(order + "I", at_make + len(make)) + make + more


XMP = b"http://ns.adobe.com/xap/1.0/\0"
MORE = b"http://ns.adobe.com/xmp/extension/\0"


def xmp(orientation: str) -> bytes:
    text = (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description {orientation}</rdf:RDF></x:xmpmeta>'
    )
    return segment(0xE1, XMP + text.encode())


def extended(content: bytes, cut: int) -> list[bytes]:
    head = MORE + hashlib.md5(content).hexdigest().upper().encode()
    pieces = [(start, content[start : start + cut]) for start in range(0, len(content), cut)]
    return [segment(0xE1, head + struct.pack(">II", len(content), start) + piece) for start, piece in pieces]


TURNED: dict[str, Callable[[], bytes]] = {
    **{
        f"exif {number} {order}": lambda number=number, order=order: with_segments(
            segment(0xE1, tiff(number, order))
        )
        for number in (0, 2, 3, 4, 5, 6, 7, 8, 9)
        for order in "<>"
    },
    "exif written by Pillow": lambda: photo(exif=_pillow_exif(6)),
    "exif as a long": lambda: with_segments(segment(0xE1, tiff(6, kind=4))),
    "exif of the thumbnail": lambda: with_segments(segment(0xE1, tiff(1, second=8))),
    "two exif blocks": lambda: with_segments(segment(0xE1, tiff(1)), segment(0xE1, tiff(6))),
    "exif named twice": lambda: with_segments(segment(0xE1, b"Exif\0\0" + tiff(6))),
    "exif of another magic": lambda: with_segments(segment(0xE1, tiff(6).replace(b"II*\0", b"II\0*"))),
    "xmp attribute": lambda: with_segments(xmp('tiff:Orientation="6"/>')),
    "xmp attribute with spaces": lambda: with_segments(xmp("tiff:Orientation = ' 6 ' />")),
    "xmp element": lambda: with_segments(xmp("><tiff:Orientation>8</tiff:Orientation></rdf:Description>")),
    "xmp of another prefix": lambda: with_segments(xmp('t:Orientation="3"/>')),
    "xmp as an entity": lambda: with_segments(xmp('tiff:Orientation="&#54;"/>')),
    "xmp in UTF-16": lambda: with_segments(
        segment(0xE1, XMP + '<a tiff:Orientation="6"/>'.encode("utf-16-le"))
    ),
    "extended xmp": lambda: with_segments(*extended(b'<a tiff:Orientation="6"/>', 1000)),
    "extended xmp cut in the name": lambda: with_segments(*extended(b'<a tiff:Orientation="6"/>', 10)),
    "exif and xmp": lambda: with_segments(segment(0xE1, tiff(6)), xmp('tiff:Orientation="6"/>')),
    "photoshop": lambda: with_segments(
        segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x22\0\0" + struct.pack(">I", 20) + tiff(6)[6:26])
    ),
}


def _pillow_exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "A photo"
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0comment"
    return exif


def readers(content: bytes) -> dict[str, np.ndarray]:
    """The photo as the readers show it that users of the shards have."""
    import datasets
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    opened = Image.open(io.BytesIO(content))
    turned = decode_jpeg(
        torch.frombuffer(bytearray(content), dtype=torch.uint8),
        ImageReadMode.RGB,
        apply_exif_orientation=True,
    )
    return {
        "Pillow": np.asarray(opened),
        "Pillow, exif_transpose": np.asarray(ImageOps.exif_transpose(opened)),
        "datasets": np.asarray(datasets.Image().decode_example({"bytes": content, "path": None})),
        "OpenCV": cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB),
        "torchvision": turned.permute(1, 2, 0).numpy(),
    }


@pytest.mark.parametrize("name", TURNED)
def test_every_reader_shows_it_the_same_way_up(name: str) -> None:
    content = TURNED[name]()
    stored = np.asarray(Image.open(io.BytesIO(content)))
    made = images.checked(content, WIDTH, HEIGHT)
    assert made != content
    for reader, shown in readers(made).items():
        assert shown.shape == stored.shape, reader
        assert np.abs(shown.astype(int) - stored).max() <= 6, reader
    assert jpeg.cleared(made) == jpeg.plain(made) == made
    assert made[made.index(b"\xff\xda") :] == content[content.index(b"\xff\xda") :]  # the coded pixels


def test_the_test_can_fail() -> None:
    """The readers do turn such photos; otherwise the test above says nothing."""
    content = TURNED["exif 6 <"]()
    shapes = {reader: shown.shape for reader, shown in readers(content).items()}
    assert shapes["Pillow"] == (HEIGHT, WIDTH, 3)
    for reader in ("Pillow, exif_transpose", "datasets", "OpenCV", "torchvision"):
        assert shapes[reader] == (WIDTH, HEIGHT, 3), reader
    in_xmp = readers(TURNED["xmp attribute"]())
    assert in_xmp["datasets"].shape == in_xmp["Pillow, exif_transpose"].shape == (WIDTH, HEIGHT, 3)


def test_a_photo_that_nothing_turns_keeps_its_bytes() -> None:
    for content in (
        photo(),
        photo(progressive=True),
        photo(exif=_pillow_exif(1)),
        with_segments(xmp('tiff:Orientation="1" tiff:Make="x"/>')),
        with_segments(xmp("><tiff:Orientation>1</tiff:Orientation></rdf:Description>")),
        with_segments(xmp('GPano:InitialViewOrientation="6"/>'), segment(0xFE, b"a comment")),
        with_segments(*extended(b"<a/>" * 500, 700), segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(300))),
    ):
        assert images.checked(content, WIDTH, HEIGHT) == content


def test_only_the_tag_changes_in_exif() -> None:
    content = photo(exif=_pillow_exif(6))
    made = images.checked(content, WIDTH, HEIGHT)
    assert len(made) == len(content)
    assert sum(a != b for a, b in zip(made, content, strict=True)) == 1
    found = Image.open(io.BytesIO(made)).getexif()
    assert (found[0x0112], found[0x010E]) == (1, "A photo")
    assert found.get_ifd(0x8769)[0x9286] == b"ASCII\0\0\0comment"


def test_exif_that_cannot_be_followed_is_left_out() -> None:
    whole = tiff(6)
    loop = bytearray(tiff(6))
    loop[6 + 8 + 2 + 24 : 6 + 8 + 2 + 28] = struct.pack("<I", 8)  # the next directory is this one
    for payload in (
        whole[:20],
        whole[:6] + b"II*\0" + struct.pack("<I", 999),
        b"Exif\0\1" + whole[6:],
        b"Exif",
    ):
        made = images.checked(with_segments(segment(0xE1, payload)), WIDTH, HEIGHT)
        assert b"Exif" not in made
    made = images.checked(with_segments(segment(0xE1, bytes(loop))), WIDTH, HEIGHT)
    assert Image.open(io.BytesIO(made)).getexif()[0x0112] == 1


def test_one_picture_is_kept_of_several_and_nothing_behind_it() -> None:
    buffer = io.BytesIO()
    other = Image.new("RGB", (32, 32), "green")
    Image.fromarray(pixels()).save(buffer, "MPO", save_all=True, append_images=[other], exif=_pillow_exif(6))
    several = buffer.getvalue()
    assert Image.open(io.BytesIO(several)).format == "MPO"
    made = images.checked(several, WIDTH, HEIGHT)
    opened = Image.open(io.BytesIO(made))
    assert (opened.format, opened.size, opened.getexif()[0x0112]) == ("JPEG", (WIDTH, HEIGHT), 1)
    assert made.count(b"\xff\xd8\xff") == 1
    assert made.endswith(b"\xff\xd9")
    for behind in (b"\0" * 100, TURNED["exif 6 <"](), b"moov" * 9):
        assert images.checked(photo() + behind, WIDTH, HEIGHT) == photo()


def rejection(content: bytes, tmp_path: Path, **rules: int) -> tuple[str, str]:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)

    def read() -> bytes:
        size = images.header(str(path), **{"min_side_px": 1, "max_pixels": 10**6, **rules})
        return images.checked(content, *size)

    with pytest.raises(Rejected) as caught:
        read()
    return caught.value.reason.value, caught.value.detail


def changed_frame(content: bytes, marker: int | None = None, **fields: int) -> bytes:
    """The frame header with another marker, precision, height or width."""
    at = content.index(b"\xff\xc0")
    names = {"precision": (4, 1), "height": (5, 2), "width": (7, 2)}
    made = bytearray(content)
    for name, value in fields.items():
        start, size = names[name]
        made[at + start : at + start + size] = value.to_bytes(size, "big")
    if marker is not None:
        made[at + 1] = marker
    return bytes(made)


def test_photos_that_readers_differ_about(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("CMYK", (WIDTH, HEIGHT)).save(buffer, "JPEG")
    assert rejection(buffer.getvalue(), tmp_path) == (
        "image_unsupported",
        "4 channels (CMYK): readers differ about such a JPEG",
    )
    for content, words in (
        (changed_frame(photo(), precision=12), "12 bits a channel"),
        (changed_frame(photo(), marker=0xC9), "arithmetic coding"),
        (changed_frame(photo(), marker=0xC3), "lossless coding"),
    ):
        reason, detail = rejection(content, tmp_path)
        assert reason == Reason.IMAGE_UNSUPPORTED
        assert words in detail


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_grey_and_progressive_photos_are_fine(mode: str, tmp_path: Path) -> None:
    for options in ({}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_blocks": 1}):
        buffer = io.BytesIO()
        Image.fromarray(pixels()).convert(mode).save(buffer, "JPEG", **options)
        path = tmp_path / "photo.jpg"
        path.write_bytes(buffer.getvalue())
        size = images.header(str(path), min_side_px=1, max_pixels=10**6)
        assert size == (WIDTH, HEIGHT)
        assert images.checked(buffer.getvalue(), *size) == buffer.getvalue()


def test_what_is_no_photo(tmp_path: Path) -> None:
    whole = photo()
    for content, words in (
        (b"", "no JPEG: empty"),
        (b"\xff", "no JPEG: one byte"),
        (b"/nowhere/x.jpg", "no JPEG: begins with 2f 6e 6f 77"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "no JPEG: begins with 89 50 4e 47"),
        (whole[:100], "no JPEG: the bytes end inside the header"),
        (whole[:2] + b"\xff\xd9" + whole[2:], "no JPEG: a header that ends before the coded data"),
        (whole[:2] + b"\xff\xe0\0\0" + whole[2:], "no JPEG: a segment of no length"),
        (changed_frame(whole, height=0), "no JPEG: 64 x 0 pixels"),
        (whole[:-200], "the coded data has no end"),
    ):
        reason, detail = rejection(content, tmp_path)
        assert reason == Reason.IMAGE_UNREADABLE
        assert words in detail, detail
    assert rejection(whole, tmp_path, min_side_px=41)[0] == Reason.IMAGE_TOO_SMALL
    assert rejection(whole, tmp_path, max_pixels=2559)[0] == Reason.IMAGE_TOO_LARGE
    assert rejection(changed_frame(whole, width=65_535, height=65_535), tmp_path)[0] == Reason.IMAGE_TOO_LARGE


def noisy(**options: object) -> bytes:
    grain = np.random.default_rng(1).normal(0, 20, (217, 333, 3))
    grain[150:] = 0  # a flat ground, as many photos have
    buffer = io.BytesIO()
    image = Image.fromarray((128 + np.linspace(-90, 70, 333)[:, None] + grain).clip(0, 255).astype(np.uint8))
    image.convert(str(options.pop("mode", "RGB"))).save(buffer, "JPEG", quality=90, **options)
    return buffer.getvalue()


CODINGS = [
    {}, {"progressive": True}, {"restart_marker_blocks": 4}, {"restart_marker_rows": 1}, {"subsampling": 0},
    {"mode": "L"}, {"optimize": True}, {"keep_rgb": True}, {"mode": "L", "progressive": True},
]  # fmt: skip


@pytest.mark.parametrize("options", CODINGS, ids=str)
def test_coded_data_that_ends_before_the_picture(options: dict[str, object]) -> None:
    content = noisy(**options)
    assert images.checked(content, 333, 217) == content
    start = content.index(b"\xff\xda") + 14
    for share in (0.02, 0.3, 0.5, 0.9, 0.98):
        at = start + int(share * (len(content) - start))
        while 0xFF in content[at - 2 : at]:  # not inside a marker
            at += 1
        for spoiled in (content[:at] + b"\xff\xd9", content[:at] + b"\xff\xd9" + content[at:]):
            with pytest.raises(Rejected) as caught:
                images.checked(spoiled, 333, 217)
            assert caught.value.reason is Reason.IMAGE_UNREADABLE


def damaged(content: bytes, kind: str, chance: random.Random) -> bytes:
    """A photo that is cut, of which up to five bits are flipped, or up to 4,000 bytes zeroed or overwritten."""
    spoiled, size = bytearray(content), len(content)
    if kind == "cut":
        return content[: chance.randrange(2, size - 1)]
    if kind == "flipped":
        for _ in range(chance.randrange(1, 6)):
            spoiled[chance.randrange(2, size)] ^= 1 << chance.randrange(8)
        return bytes(spoiled)
    begin = chance.randrange(2, size - 64)
    length = min(chance.randrange(16, 4_000), size - begin)
    spoiled[begin : begin + length] = bytes(length) if kind == "zeroed" else chance.randbytes(length)
    return bytes(spoiled)


@pytest.mark.parametrize("kind", ["cut", "flipped", "zeroed", "overwritten"])
def test_what_full_decoders_call_broken_does_not_pass(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    """OpenCV's decoder and Pillow's, of each pixel; the check may refuse more, and refuses whatever is cut."""
    photos = [noisy(**dict(options)) for options in CODINGS]

    def is_decoded(content: bytes) -> bool:
        shown = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        if shown is None or shown.shape[:2] != (217, 333):
            return False
        try:
            with Image.open(io.BytesIO(content)) as image:
                return np.asarray(image).shape[:2] == (217, 333)
        except images.FAULTS:
            return False

    passed = 0
    for number in range(50):
        content = damaged(photos[number % len(photos)], kind, random.Random(number))
        try:
            images.checked(content, 333, 217)
        except Rejected:
            continue
        passed += 1
        assert is_decoded(content), number
    assert passed == 0 if kind == "cut" else passed < 50 or kind == "flipped"


def test_a_grey_photo_is_complete() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (100, 80), (128, 128, 128)).save(buffer, "JPEG")
    assert images.checked(buffer.getvalue(), 100, 80) == buffer.getvalue()


def test_metadata_that_pillow_cannot_read_is_not_its_users_matter(recwarn: pytest.WarningsRecorder) -> None:
    content = with_segments(segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\x09\0" + bytes(9)))
    images.checked(content, WIDTH, HEIGHT)
    with pytest.raises(Rejected, match="several colours"):
        mask_images.read(content, max_pixels=10**6)
    photos.check(content, "image/jpeg", photos.PhotoRules(min_side_px=1))
    assert not recwarn.list


def test_scans_without_end_are_refused(tmp_path: Path) -> None:
    content = photo(progressive=True)
    start = content.rindex(b"\xff\xda")  # the last scan refines what is there: it can be said again and again
    many = content[:start] + content[start:-2] * 150 + content[-2:]
    reason, detail = rejection(many, tmp_path)
    assert reason == Reason.IMAGE_UNREADABLE
    assert "scans; at most 100" in detail


def test_a_file_of_no_bound_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_BYTES", 1 << 20)
    path = tmp_path / "photo.jpg"
    with path.open("wb") as file:
        file.write(b"\xff\xd8" + segment(0xFE, bytes(60_000)) * 2)
        file.truncate(1 << 40)  # a hole of a terabyte
    with pytest.raises(Rejected, match="more than 1 MiB"):
        images.header(str(path), min_side_px=1, max_pixels=10**6)


def test_importing_leaves_pillows_own_limit() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None


def png(array: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", **options)
    return buffer.getvalue()


def test_photos_kept_as_png() -> None:
    rgb = pixels()
    opaque = np.dstack([rgb, np.full((HEIGHT, WIDTH), 255, np.uint8)])
    for content in (png(rgb), png(opaque)):
        assert (np.asarray(images.of_png(content, 10**6)) == rgb).all()
    opaque[3, 3, 3] = 0
    frames = [Image.fromarray(rgb), Image.fromarray(255 - rgb)]
    for content, reason in (
        (png(opaque), Reason.IMAGE_UNSUPPORTED),
        (png(rgb[..., 0].astype(np.uint16) * 200), Reason.IMAGE_UNSUPPORTED),
        (png(rgb, save_all=True, append_images=frames[1:]), Reason.IMAGE_UNSUPPORTED),
        (png(rgb)[:-60], Reason.IMAGE_UNREADABLE),
    ):
        with pytest.raises(Rejected) as caught:
            images.of_png(content, 10**6)
        assert caught.value.reason == reason
    with pytest.raises(Rejected, match="at most 100 pixels"):
        images.of_png(png(rgb), 100)
