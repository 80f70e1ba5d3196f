"""Files at a path or an address, read by range: a request that fails is repeated, a file that changes is noticed."""

import bz2
import gzip
import io
import lzma
import os
import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import accumulate
from typing import Protocol, TypeVar

from pipelines.fetch.causes import RULES, Cause, Failure, wait_s
from pipelines.fetch.http import Client
from shards import storage
from shards.errors import StorageError

BLOCK = 8 << 20  # bytes of one request, where a file is read from start to end
_TRIES = 8  # of one request within a file; attempts at the file are counted by the ledger
_PATIENCE_S = 60.0  # a server that asks for more is left to the next attempt
Result = TypeVar("Result")


class File(Protocol):
    """`stamp` changes when the file does. `near`: reading it again costs nothing worth saving."""

    url: str
    size: int  # bytes
    stamp: str
    near: bool

    def read(self, start: int, stop: int) -> bytes:
        """Bytes from `start` to before `stop`, fewer only where the file ends. Raises Failure."""

    def check(self) -> None:
        """Raise Failure ARCHIVE_CHANGED where the file is not the one that was opened."""


class NoRanges(Failure):
    """A server that gives files as a whole alone."""

    def __init__(self, url: str, size: int, stamp: str) -> None:
        super().__init__(Cause.HTTP_ERROR, f"{url}: the server gives no ranges", final=True)
        self.size, self.stamp = size, stamp  # 0 where it does not tell


def open_file(url: str, client: Client, tries: int = 3) -> File:
    """The file at a local path, http(s) or a store of fsspec.

    Args:
        tries: to reach it, at most.

    Raises:
        NoRanges
        Failure: there is none, or it cannot be reached.
    """
    if url.startswith(("http://", "https://")):
        size, stamp, by_range = repeated(url, lambda: client.describe(url), tries)
        if not by_range:
            raise NoRanges(url, size, stamp)
        return _Web(url, size, stamp, client)
    return _Local(url) if storage.is_local(url) else repeated(url, lambda: _Stored(url), tries)


def repeated(name: str, step: Callable[[], Result], tries: int = _TRIES) -> Result:
    """What `step` gives, at the latest at its last try; only what may pass by itself is tried again."""
    for attempt in range(1, tries + 1):
        try:
            return step()
        except Failure as failure:
            wait = wait_s(failure.cause, attempt, name, failure.retry_after_s)
            passes = failure.cause in RULES and RULES[failure.cause].tries is None and not failure.final
            if attempt == tries or not passes or wait > _PATIENCE_S:
                raise
            time.sleep(wait)
    raise AssertionError("a loop that returns or raises")


def _changed(url: str) -> Failure:
    return Failure(Cause.ARCHIVE_CHANGED, f"{url} changed while it was read")


class _Local:
    near = True

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self._file = storage.open_read(url)
        except (FileNotFoundError, StorageError) as error:
            raise Failure(Cause.NOT_FOUND, f"{url}: {error}") from error
        self.size, self.stamp = os.fstat(self._file.fileno()).st_size, storage.stamp(url)

    def read(self, start: int, stop: int) -> bytes:
        return os.pread(self._file.fileno(), stop - start, start)

    def check(self) -> None:
        try:
            same = storage.stamp(self.url) == self.stamp
        except (FileNotFoundError, StorageError):
            same = False
        if not same:
            raise _changed(self.url)


class _Web:
    near = False

    def __init__(self, url: str, size: int, stamp: str, client: Client) -> None:
        self.url, self.size, self.stamp, self._client = url, size, stamp, client

    def read(self, start: int, stop: int) -> bytes:
        stop = min(stop, self.size)
        if start >= stop:
            return b""
        return repeated(
            f"{self.url} {start}", lambda: self._client.get_range(self.url, start, stop, self.stamp)
        )

    def check(self) -> None:
        """Every answer was held against the stamp."""


class _Stored:
    """A file of a store that fsspec reads: s3, gs, hf."""

    near = False

    def __init__(self, url: str) -> None:
        self.url, self._lock = url, threading.Lock()
        with _told(url):
            self._fs, self._path = storage.filesystem(url)
            self.size, self.stamp = self._described()
            self._file = self._fs.open(self._path, "rb", cache_type="none")

    def _described(self) -> tuple[int, str]:
        self._fs.invalidate_cache()
        return int(self._fs.info(self._path)["size"]), str(self._fs.ukey(self._path))

    def read(self, start: int, stop: int) -> bytes:
        return repeated(f"{self.url} {start}", lambda: self._read(start, min(stop, self.size)))

    def _read(self, start: int, stop: int) -> bytes:
        with _told(self.url), self._lock:
            self._file.seek(start)
            content: bytes = self._file.read(max(0, stop - start))
        if len(content) < stop - start:
            raise Failure(Cause.TRUNCATED, f"{len(content)} bytes of {stop - start} at {start}")
        return content

    def check(self) -> None:
        with _told(self.url):
            same = self._described()[1] == self.stamp
        if not same:
            raise _changed(self.url)


@contextmanager
def _told(url: str) -> Iterator[None]:
    """What a store answers, as a Failure."""
    try:
        yield
    except (Failure, StorageError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise Failure(Cause.NOT_FOUND, f"{url}: {error}") from error
    except PermissionError as error:
        raise Failure(Cause.FORBIDDEN, f"{url}: {error}") from error
    except Exception as error:  # each store has errors of its own
        raise Failure(Cause.CONNECTION, f"{url}: {type(error).__name__}: {error}") from error


class Counted:
    """A file, and how many bytes were read of it."""

    def __init__(self, file: File) -> None:
        self._file, self.url, self.size, self.stamp, self.near = (
            file,
            file.url,
            file.size,
            file.stamp,
            file.near,
        )
        self.check = file.check
        self.bytes_read = 0

    def read(self, start: int, stop: int) -> bytes:
        content = self._file.read(start, stop)
        self.bytes_read += len(content)
        return content


class Joined:
    """Files of which each goes on where the one before ends, as one."""

    def __init__(self, files: Sequence[File]) -> None:
        self._files, self.url, self.near = files, files[-1].url, files[-1].near
        self.starts = [0, *accumulate(file.size for file in files)]
        self.size, self.stamp = self.starts.pop(), " ".join(file.stamp for file in files)

    def read(self, start: int, stop: int) -> bytes:
        found = b""
        while start < min(stop, self.size):
            number = bisect_right(self.starts, start) - 1
            file, begin = self._files[number], self.starts[number]
            found += file.read(start - begin, min(stop - begin, file.size))
            start = begin + file.size
        return found

    def check(self) -> None:
        for file in self._files:
            file.check()


def blocks(file: File) -> Iterator[bytes]:
    """A file from its first byte to its last; of a remote one the next block comes while the last is used."""
    starts = range(0, file.size, BLOCK)
    if file.near:
        yield from (file.read(start, start + BLOCK) for start in starts)
        return
    with ThreadPoolExecutor(1) as ahead:
        waiting: deque[Future[bytes]] = deque()
        for start in starts:
            waiting.append(ahead.submit(file.read, start, start + BLOCK))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class Stream(io.RawIOBase):
    """Blocks as a file that is read forwards.

    Args:
        seen: told how many bytes were taken.
    """

    def __init__(self, blocks: Iterator[bytes], seen: Callable[[int], None]) -> None:
        self._blocks, self._seen, self._at, self._rest = blocks, seen, 0, memoryview(b"")

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at - len(self._rest)

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if not self._rest:
            self._rest = memoryview(next(self._blocks, b""))
            self._at += len(self._rest)
            self._seen(self._at)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def decompressed(stream: io.RawIOBase) -> io.BufferedIOBase:
    """The content of a stream that may be compressed by gzip, bzip2 or xz, by its first bytes."""
    buffered = io.BufferedReader(stream, 1 << 20)
    begun = buffered.peek(6)[:6]
    if begun.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=buffered)
    if begun.startswith(b"BZh"):
        return bz2.BZ2File(buffered)
    return lzma.LZMAFile(buffered) if begun == b"\xfd7zXZ\0" else buffered
