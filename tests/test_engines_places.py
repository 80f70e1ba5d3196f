"""What a worker reads reads the same wherever it lies, and a network that fails is never taken for a bad file."""

import io
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractBufferedFile
from PIL import Image

from pipelines.corpora import csv_stream
from pipelines.media import images, masks
from shards.errors import StorageError
from shards.rejections import Rejected
from shards.sound import decoder


class Remote(AbstractBufferedFile):
    """A file as object stores give it: fetched by range."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self.fs.cat_file(self.path, start, end)


class Failing(MemoryFileSystem):
    """A store whose every answer is a lost connection."""

    protocol = "failing"

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: object) -> bytes:
        raise ConnectionError("gone")

    def _open(self, path: str, *_: object, **__: object) -> io.BytesIO:
        raise ConnectionError("gone")


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    fs = fsspec.filesystem("memory")
    yield fs
    fs.store.clear()


def sound(url: str) -> str:
    with pytest.raises(Rejected) as caught:
        decoder.decode(url)
    return caught.value.detail


def photo(url: str) -> str:
    with pytest.raises(Rejected) as caught:
        images.header(url, min_side_px=1, max_pixels=10**8)
    return caught.value.detail


@pytest.mark.parametrize("name", ["clip.wav", "clip.mp3", "clip.mp4"])
def test_a_bad_clip_is_described_without_its_place(
    name: str, memory: MemoryFileSystem, tmp_path: Path
) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(b"no sound" * 50)
    memory.pipe_file(f"/{name}", b"no sound" * 50)
    told = {sound(str(tmp_path / folder / name)) for folder in ("here", "there")} | {
        sound(f"memory://{name}")
    }
    assert len(told) == 1
    assert name not in told.pop()


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b"no photo" * 50, "begins with 6e 6f 20 70")],
    ids=["empty", "text"],
)
def test_a_bad_photo_is_described_without_its_place(
    content: bytes, words: str, memory: MemoryFileSystem, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    memory.pipe_file("/a.jpg", content)
    assert photo(str(tmp_path / "a.jpg")) == photo("memory://a.jpg") == f"no JPEG: {words}"
    with pytest.raises(Rejected, match=f"JpegError: {words}" if content else "CutShort: empty"):
        images.checked(content, 8, 8)
    with pytest.raises(Rejected, match="neither PNG nor JPEG"):
        masks.from_image(content, 8, 8, 10**8)


def test_the_size_of_a_photo_behind_long_metadata(tmp_path: Path) -> None:
    plain, path = io.BytesIO(), tmp_path / "a.jpg"
    Image.new("RGB", (640, 480)).save(plain, "JPEG")
    comment = b"\xff\xfe" + (65_535).to_bytes(2, "big") + bytes(65_533)
    path.write_bytes(plain.getvalue()[:2] + comment * 2 + plain.getvalue()[2:])
    assert images.header(str(path), min_side_px=1, max_pixels=10**8) == (640, 480)


@pytest.mark.parametrize("name", ["clip.wav", "clip.mp4"])
def test_a_failing_network_is_no_bad_clip(name: str) -> None:
    fsspec.register_implementation("failing", Failing, clobber=True)
    with pytest.raises(StorageError, match="gone"):
        decoder.decode(f"failing://{name}")


def test_a_failing_network_is_no_bad_photo() -> None:
    fsspec.register_implementation("failing", Failing, clobber=True)
    with pytest.raises(StorageError, match="gone"):
        images.header("failing://a.jpg", min_side_px=1, max_pixels=10**8)


def test_a_table_is_read_from_a_store(memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe_file("/t.csv", b"a,b\n1,2\n3,4\n")
    monkeypatch.setattr(MemoryFileSystem, "_open", lambda self, path, **_: Remote(self, path))
    (rows,) = csv_stream.read("memory://t.csv", "t.csv", ["b"])
    assert rows.columns.to_pylist() == [{"b": "2"}, {"b": "4"}]
