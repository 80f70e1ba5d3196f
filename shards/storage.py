"""Files at a path or a URL (`s3://`, `gs://`, `memory://`), written so that no half file is ever visible.

Local files take the short way; everything else goes through fsspec. A name comes into being complete or
not at all: locally by rename, on object stores because an upload appears when it is finished.
"""

import io
import os
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import IO, Any, TypeVar

import fsspec

REQUESTS = 16  # that wait for a store at the same time, in one worker
Item = TypeVar("Item")
Result = TypeVar("Result")


def is_local(url: str) -> bool:
    return "://" not in url or url.startswith("file://")


def local_path(url: str) -> str:
    return url.removeprefix("file://")


def absolute(url: str) -> str:
    """The same place for a process that works in another folder."""
    return os.path.abspath(local_path(url)) if is_local(url) else url


def join(base: str, *parts: str) -> str:
    """`base` with relative parts below it; a part that would climb out is refused."""
    for part in parts:
        if part.startswith("/") or "\\" in part or ".." in part.split("/"):
            raise ValueError(
                f"{part!r} leaves its folder {base!r}: names here are relative, without '..' or '\\'"
            )
    return "/".join([base.rstrip("/"), *parts])


def _filesystem(url: str) -> tuple[Any, str]:
    return fsspec.core.url_to_fs(url)


def open_read(url: str) -> IO[bytes]:
    """A seekable binary file."""
    if is_local(url):
        return open(local_path(url), "rb")
    fs, path = _filesystem(url)
    return io.BufferedReader(fs.open(path, "rb"))  # fsspec's own cannot read a line of at most n bytes


def read_bytes(url: str) -> bytes:
    if is_local(url):
        with open(local_path(url), "rb") as file:
            return file.read()
    fs, path = _filesystem(url)
    return fs.cat_file(path)


def read_range(url: str, start: int, length: int) -> bytes:
    """`length` bytes from byte `start`; fewer only where the file ends."""
    if is_local(url):
        with open(local_path(url), "rb") as file:
            file.seek(start)
            return file.read(length)
    fs, path = _filesystem(url)
    return fs.cat_file(path, start=start, end=start + length)


def together(url: str, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`map` for functions that read below `url`: where that is a store, REQUESTS of them wait for it at a time.

    Results come in the order of the items, at most REQUESTS ahead of who takes them.
    """
    if is_local(url):
        yield from map(function, items)
        return
    items = iter(items)
    with ThreadPoolExecutor(REQUESTS) as pool:
        waiting = deque(pool.submit(function, item) for item in islice(items, REQUESTS))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(function, item) for item in islice(items, 1))


@contextmanager
def open_atomic(url: str, durable: bool = True) -> Iterator[IO[bytes]]:
    """A binary file for writing that gets its name when the block ends well, and is gone when it does not.

    Args:
        durable: wait until a local disk has it; without, `settle` does so later, for many files at once.
    """
    if not is_local(url):
        fs, path = _filesystem(url)
        file = fs.open(path, "wb")
        try:
            yield file
        except BaseException:
            if hasattr(file, "discard"):
                file.discard()
            raise
        file.close()
        return
    path = local_path(url)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    temporary = f"{path}.{secrets.token_hex(4)}.tmp"
    try:
        with open(temporary, "wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.remove(temporary)
        raise


def settle(url: str) -> None:
    """Wait until the disk has a local file; elsewhere a finished upload is safe already."""
    if is_local(url):
        with open(local_path(url), "rb") as file:
            os.fsync(file.fileno())


def write_atomic(url: str, data: bytes | bytearray, durable: bool = True) -> None:
    with open_atomic(url, durable) as file:
        file.write(data)


def exists(url: str) -> bool:
    if is_local(url):
        return os.path.exists(local_path(url))
    fs, path = _filesystem(url)
    return fs.exists(path)


def size(url: str) -> int:
    if is_local(url):
        return os.path.getsize(local_path(url))
    fs, path = _filesystem(url)
    return int(fs.size(path))


def names(url: str) -> list[str]:
    """Sorted names directly below a folder; empty where there is none."""
    if is_local(url):
        return sorted(os.listdir(local_path(url))) if os.path.isdir(local_path(url)) else []
    fs, path = _filesystem(url)
    try:
        entries = fs.ls(path, detail=False)
    except FileNotFoundError:
        return []
    return sorted({entry.rstrip("/").rsplit("/", 1)[-1] for entry in entries})


def listing(url: str) -> tuple[list[str], list[str]]:
    """Sorted names of the files and of the folders directly below a folder; links count as what they lead to."""
    files: list[str] = []
    folders: list[str] = []
    if is_local(url):
        if os.path.isdir(local_path(url)):
            with os.scandir(local_path(url)) as entries:
                for entry in entries:
                    (folders if entry.is_dir() else files).append(entry.name)
        return sorted(files), sorted(folders)
    fs, path = _filesystem(url)
    try:
        for entry in fs.ls(path, detail=True):
            name = entry["name"].rstrip("/").rsplit("/", 1)[-1]
            (folders if entry["type"] == "directory" else files).append(name)
    except FileNotFoundError:
        pass
    return sorted(files), sorted(folders)


def remove(url: str) -> None:
    """Remove a file or a whole folder; a name that is not there is fine."""
    if exists(url):
        fs, path = _filesystem(url)
        fs.rm(path, recursive=True)


def stamp(url: str) -> str:
    """Text that changes when a file is replaced: size and modification time, or the store's own tag."""
    if is_local(url):
        status = os.stat(local_path(url))
        return f"{status.st_size}:{status.st_mtime_ns}"
    fs, path = _filesystem(url)
    info = fs.info(path)
    return f"{info['size']}:{info.get('ETag') or info.get('etag') or info.get('mtime') or ''}"
