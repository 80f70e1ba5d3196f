"""Nothing half is ever visible, locally or on a remote store."""

import os
import threading
from pathlib import Path

import fsspec
import pytest

from shards import storage


@pytest.fixture(params=["local", "memory"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path)
    fsspec.filesystem("memory").store.clear()
    return "memory://bucket"


def test_round_trip(base: str) -> None:
    url = storage.join(base, "a", "b.bin")
    assert not storage.exists(url)
    assert storage.names(storage.join(base, "a")) == []
    storage.write_atomic(url, b"0123456789")
    assert storage.read_bytes(url) == b"0123456789"
    assert storage.read_range(url, 3, 4) == b"3456"
    assert storage.read_range(url, 8, 10) == b"89"
    assert storage.size(url) == 10
    assert storage.names(storage.join(base, "a")) == ["b.bin"]
    before = storage.stamp(url)
    storage.write_atomic(url, b"01234")
    assert storage.stamp(url) != before
    storage.remove(storage.join(base, "a"))
    assert not storage.exists(url)
    storage.remove(url)


def test_an_error_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    url = str(tmp_path / "a")
    storage.write_atomic(url, b"old")

    def stopped() -> None:
        with storage.open_atomic(url) as file:
            file.write(b"new")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stopped()
    assert os.listdir(tmp_path) == ["a"]
    assert storage.read_bytes(url) == b"old"


@pytest.mark.parametrize("part", ["../x", "a/../../x", "/etc/passwd", "a\\b"])
def test_names_that_leave_their_folder(part: str) -> None:
    with pytest.raises(ValueError, match="leaves its folder"):
        storage.join("base", part)


@pytest.mark.parametrize("url", ["memory://store", "/a/disk"])
def test_together_is_map_and_never_far_ahead(url: str) -> None:
    begun: list[int] = []

    def double(number: int) -> int:
        begun.append(number)
        return 2 * number

    found = []
    for result in storage.together(url, double, iter(range(100))):
        found.append(result)
        assert len(begun) <= len(found) + storage.REQUESTS
    assert found == [2 * number for number in range(100)]
    assert sorted(begun) == list(range(100))


def test_together_waits_for_many_answers_of_a_store_at_once() -> None:
    everybody = threading.Barrier(storage.REQUESTS, timeout=20)  # passed only when all are there
    assert len(list(storage.together("memory://store", lambda _: everybody.wait(), range(storage.REQUESTS))))


def test_together_tells_the_error_of_an_item() -> None:
    def fail(number: int) -> int:
        if number == 5:
            raise OSError("store gone")
        return number

    with pytest.raises(OSError, match="store gone"):
        list(storage.together("memory://store", fail, range(50)))
