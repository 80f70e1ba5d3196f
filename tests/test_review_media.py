"""Photos, masks and clips as the page gives them out: by row, in ranges, from below the corpora folder alone."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from review_page import browser

from pipelines.pages import renderers
from pipelines.pages.errors import Busy, Unreadable
from pipelines.pages.renderers import Renderers
from pipelines.review.render import Job, tile


def example_ids(world, kind):
    with world.open() as queue:
        rows = queue.connection.execute("SELECT id, item FROM examples WHERE kind = ? ORDER BY id", (kind,))
        return {row["item"]: row["id"] for row in rows}


def test_clips_are_served_in_ranges(world):
    clip = example_ids(world, "clip")["vggsound:0a_000010"]
    content = (Path(world.corpora) / "vggsound/clips/0a_000010.wav").read_bytes()
    client = browser(world)
    whole = client.get(f"/media/clip/{clip}")
    assert whole.content == content
    assert whole.headers["content-type"].startswith("audio/")
    part = client.get(f"/media/clip/{clip}", headers={"range": "bytes=100-299"})
    assert part.status_code == 206
    assert part.content == content[100:300]
    assert part.headers["content-range"] == f"bytes 100-299/{len(content)}"


def test_overlays_are_clear_on_the_masks_and_dark_elsewhere(world):
    """The two boxes drawn on one photo of 240 x 160: x 20 to 120, y 30 to 110; the tile shows it from its left edge."""
    photo = example_ids(world, "photo")["lvis:0"]
    overlay = Image.open(io.BytesIO(browser(world).get(f"/media/mask/{photo}").content)).convert("RGBA")
    picture = Image.open(io.BytesIO(browser(world).get(f"/media/photo/{photo}").content))
    assert overlay.size == picture.size == (480, 360)
    alpha = np.asarray(overlay)[:, :, 3]
    left, right, top, bottom = (round(edge * 360 / 160) for edge in (20, 120, 30, 110))
    inside = alpha[top + 6 : bottom - 6, left + 6 : right - 6]
    outside = np.concatenate(
        [alpha[: top - 6].ravel(), alpha[bottom + 6 :].ravel(), alpha[:, right + 6 :].ravel()]
    )
    assert (inside == 0).all()
    assert (outside > 60).all()


def test_open_images_masks_of_another_size_fit_the_photo(world):
    photo = example_ids(world, "photo")["open_images:photo"]
    alpha = np.asarray(
        Image.open(io.BytesIO(browser(world).get(f"/media/mask/{photo}").content)).convert("RGBA")
    )[:, :, 3]
    assert alpha[180, 240] == 0
    assert alpha[10, 10] > 60


@pytest.mark.parametrize(
    "path",
    [
        "../outside.wav",
        "/etc/passwd",
        "vggsound/../../outside.wav",
        "link.wav",
        "absent.wav",
        "vggsound\\..\\x.wav",
    ],
)
def test_rows_that_lead_out_of_the_corpora_are_refused(fresh, path):
    """Even an index made by somebody else gives nothing away: neither by dots nor through a symbolic link."""
    (fresh.root / "outside.wav").write_bytes(b"RIFF secret")
    os.symlink(fresh.root / "outside.wav", Path(fresh.corpora) / "link.wav")
    with fresh.open() as queue:
        queue.connection.execute("UPDATE examples SET path = ?", (path,))
    client = browser(fresh)
    for kind in ("clip", "photo"):
        answer = client.get(f"/media/{kind}/{next(iter(example_ids(fresh, kind).values()))}")
        assert answer.status_code == 404
        assert b"secret" not in answer.content


@pytest.mark.parametrize(
    "path",
    [
        "/media/clip/../../../../etc/passwd",
        "/media/clip/..%2f..%2fetc%2fpasswd",
        "/media/clip/%2e%2e/%2e%2e/etc/passwd",
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/media/photo/999999",
        "/media/clip/-1",
        "/media/clip/1%00",
    ],
)
def test_paths_in_addresses_lead_nowhere(world, path):
    answer = browser(world).get(path)
    assert answer.status_code == 404
    assert b"root:" not in answer.content
    assert b"starlette" not in answer.content


def test_a_clip_that_is_no_sound_is_not_given_out_as_a_page(fresh):
    page = Path(fresh.corpora) / "vggsound/clips/page.html"
    page.write_text("<script>alert(1)</script>")
    with fresh.open() as queue:
        queue.connection.execute("UPDATE examples SET path = 'vggsound/clips/page.html' WHERE kind = 'clip'")
    answer = browser(fresh).get(f"/media/clip/{next(iter(example_ids(fresh, 'clip').values()))}")
    assert answer.headers["content-type"] == "application/octet-stream"


def test_broken_pictures_are_said_so(fresh):
    (Path(fresh.corpora) / "lvis/images/000.jpg").write_bytes(b"no picture")
    answer = browser(fresh).get(f"/media/photo/{example_ids(fresh, 'photo')['lvis:0']}")
    assert answer.status_code == 404
    assert "not a readable photo" in answer.json()["error"]


def header_of_png(width, height):
    """A PNG that says so, of a few bytes."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IEND\xaeB`\x82"


def header_of_jpeg(width, height):
    small = io.BytesIO()
    Image.new("RGB", (16, 16)).save(small, "JPEG")
    found = bytearray(small.getvalue())
    at = found.index(b"\xff\xc0") + 5
    found[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(found)


def test_pictures_that_cost_too_much_and_files_that_are_none_are_refused_at_once(fresh):
    """By what their headers say: nothing of 1.2 gigapixels is decoded, and nobody waits for a pipe."""
    photo = Path(fresh.corpora) / "lvis/images/000.jpg"
    row = example_ids(fresh, "photo")["lvis:0"]
    clip = next(iter(example_ids(fresh, "clip").values()))
    client = browser(fresh)
    for content in (
        header_of_png(40_000, 30_000),
        header_of_jpeg(40_000, 30_000),
        header_of_png(0, 5),
        b"GIF89a" + bytes(99),
    ):
        photo.write_bytes(content)
        for kind in ("photo", "mask"):
            answer = client.get(f"/media/{kind}/{row}")
            assert (answer.status_code, "is not a readable photo" in answer.text) == (404, True), answer.text
    photo.unlink()
    os.mkfifo(photo)
    assert client.get(f"/media/photo/{row}").status_code == 404
    photo.unlink()
    photo.mkdir()
    assert client.get(f"/media/photo/{row}").status_code == 404
    with fresh.open() as queue:
        queue.connection.execute("UPDATE examples SET path = 'lvis/images' WHERE kind = 'clip'")
    assert client.get(f"/media/clip/{clip}").status_code == 404
    os.mkfifo(Path(fresh.corpora) / "pipe.wav")
    os.symlink("/dev/zero", Path(fresh.corpora) / "device.wav")
    for name in ("pipe.wav", "device.wav"):
        with fresh.open() as queue:
            queue.connection.execute("UPDATE examples SET path = ? WHERE kind = 'clip'", (name,))
        assert client.get(f"/media/clip/{clip}").status_code == 404


def test_a_mask_that_is_far_larger_than_its_photo_is_not_drawn(fresh):
    with fresh.open() as queue:
        queue.connection.execute("UPDATE examples SET width = 100000, height = 100000 WHERE kind = 'photo'")
    assert browser(fresh).get(f"/media/mask/{example_ids(fresh, 'photo')['lvis:0']}").status_code == 404


def test_a_picture_that_takes_too_long_or_too_much_ends_its_process_alone():
    """A photo of 49 megapixels fits neither a bound of 16 MiB nor a millisecond; the next one is rendered."""
    large, small = (io.BytesIO() for _ in "ab")
    Image.new("RGB", (7000, 7000)).save(large, "PNG")
    Image.new("RGB", (64, 48), (200, 10, 10)).save(small, "PNG")
    narrow = Renderers(tile, workers=1, memory=16 << 20)
    with pytest.raises(Unreadable, match="more than 16 MiB"):
        narrow.picture(lambda: Job("large.png", large.getvalue()))
    assert Image.open(io.BytesIO(narrow.picture(lambda: Job("small.png", small.getvalue())).photo)).size == (
        480,
        360,
    )
    hasty = Renderers(tile, workers=1, seconds=0.001)
    with pytest.raises(Unreadable, match="took over"):
        hasty.picture(lambda: Job("large.png", large.getvalue()))


def test_a_process_that_ends_while_it_starts_is_busy_and_another_one_starts(monkeypatch):
    small = io.BytesIO()
    Image.new("RGB", (64, 48)).save(small, "PNG")
    found = Renderers(tile, workers=1)
    with monkeypatch.context() as patch:
        patch.setattr(renderers, "_serve", "{}{}{}".format)  # what ends at once, in the process too
        with pytest.raises(Busy, match="ended while it started"):
            found.picture(lambda: Job("small.png", small.getvalue()))
    assert found.picture(lambda: Job("small.png", small.getvalue())).photo
