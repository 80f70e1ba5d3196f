"""The cache of remote shards: bounded, shared, checked, retried."""

import os
import threading
from pathlib import Path

import fsspec
import pytest
from generated_shards import write_dataset

from avs_train.data.samples import open_split
from avs_train.data.shard_files import ShardError, ShardFiles
from shards import storage


@pytest.fixture
def remote(tmp_path):
    """A dataset in memory (`memory://`), so that it goes the way of remote ones; and its local twin."""
    local = write_dataset(tmp_path / "local", {"train": 40}, samples_per_shard=5)
    memory = fsspec.filesystem("memory")
    url = f"memory://{tmp_path.name}"
    for path in Path(local).rglob("*"):
        if path.is_file():
            storage.write_atomic(storage.join(url, str(path.relative_to(local))), path.read_bytes())
    yield url, Path(local)
    memory.rm(f"/{tmp_path.name}", recursive=True)


def cached(folder):
    return sum(path.stat().st_size for path in folder.glob("*.tar"))


def test_remote_bytes_are_the_local_bytes_and_the_cache_stays_bounded(remote, tmp_path):
    url, local = remote
    split = open_split(url, "train")
    bound = 3 * max(entry.bytes for entry in split.shards)
    files = ShardFiles(url, split.shards, tmp_path / "cache", bound)
    for _ in range(2):
        for entry in split.shards:
            assert files.read(entry.path, 512, 1000) == (local / entry.path).read_bytes()[512:1512]
            assert cached(tmp_path / "cache") <= bound
    assert files.fetched_bytes > sum(entry.bytes for entry in split.shards)  # some had to make room


def test_a_cached_shard_is_not_fetched_again_by_another_process(remote, tmp_path):
    url, _ = remote
    split = open_split(url, "train")
    for expected in (split.shards[0].bytes, 0):
        files = ShardFiles(url, split.shards, tmp_path / "cache", 10**9)
        files.read(split.shards[0].path, 0, 10)
        assert files.fetched_bytes == expected


def test_many_threads_fetch_each_shard_once(remote, tmp_path):
    url, local = remote
    split = open_split(url, "train")
    files = ShardFiles(url, split.shards, tmp_path / "cache", 10**9)
    wrong = []

    def read_all():
        for entry in split.shards:
            if files.read(entry.path, 100, 5000) != (local / entry.path).read_bytes()[100:5100]:
                wrong.append(entry.path)

    threads = [threading.Thread(target=read_all) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert files.fetched_bytes == sum(entry.bytes for entry in split.shards)


def test_a_download_left_half_done_is_fetched_again(remote, tmp_path):
    url, local = remote
    split = open_split(url, "train")
    entry = split.shards[0]
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / f"{entry.sha256}.part").write_bytes(b"half")
    (cache / f"{split.shards[1].sha256}.part").write_bytes(b"left by a killed process")
    files = ShardFiles(url, split.shards, cache, 10**9)
    assert files.read(entry.path, 0, 600) == (local / entry.path).read_bytes()[:600]
    assert not list(cache.glob("*.part"))


def test_a_changed_remote_shard_is_an_error_that_names_it(remote, tmp_path):
    url, _ = remote
    split = open_split(url, "train")
    entry = split.shards[0]
    content = bytearray(storage.read_bytes(storage.join(url, entry.path)))
    content[700] ^= 1
    storage.write_atomic(storage.join(url, entry.path), bytes(content))
    files = ShardFiles(url, split.shards, tmp_path / "cache", 10**9, retries=0)
    with pytest.raises(
        ShardError, match=rf"{entry.path} cannot be read after 1 tries: fetched .* the manifest says"
    ):
        files.read(entry.path, 0, 10)


def test_a_shard_that_comes_back_is_read(remote, tmp_path, monkeypatch):
    url, local = remote
    split = open_split(url, "train")
    entry = split.shards[0]
    working, tries = storage.open_read, []

    def flaky(name):
        if name.startswith("memory://"):
            tries.append(name)
            if len(tries) < 3:
                raise OSError("connection reset")
        return working(name)

    monkeypatch.setattr("shards.storage.open_read", flaky)
    files = ShardFiles(url, split.shards, tmp_path / "cache", 10**9, retries=3)
    assert files.read(entry.path, 0, 100) == (local / entry.path).read_bytes()[:100]
    assert len(tries) == 3


def test_a_cache_smaller_than_a_shard_is_refused(remote, tmp_path):
    split = open_split(remote[0], "train")
    with pytest.raises(ValueError, match=r"does not fit a cache.*raise data\.cache_gb"):
        ShardFiles(remote[0], split.shards, tmp_path, 1000)


def test_a_file_stays_open_while_it_is_read(tmp_path, monkeypatch):
    """Threads that open one shard at once replace each other's descriptor; none may lose its own."""
    url = write_dataset(tmp_path / "local", {"train": 8})
    split = open_split(url, "train")
    entry = split.shards[0]
    files = ShardFiles(url, split.shards, tmp_path, 10**9, retries=0)
    read = os.pread

    def slow(number, size, offset):
        with files._lock:
            files._open.clear()
        return read(number, size, offset)

    monkeypatch.setattr("os.pread", slow)
    assert files.read(entry.path, 0, 100) == Path(url, entry.path).read_bytes()[:100]
