"""Files at a path or a URL (`s3://`, `gs://`, `memory://`), written so that no half file is ever visible.

Local files take the short way; everything else goes through fsspec. A name comes into being complete or
not at all: locally by rename, on object stores because an upload appears when it is finished.

Only regular files are read: where a name has none (missing, a link to nothing, a folder, a pipe, a device),
that is a FileNotFoundError. Whatever else a disk or a store answers is a StorageError.
"""

import errno
import hashlib
import io
import os
import shutil
import stat
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import wraps
from itertools import islice
from typing import IO, Any, Concatenate, ParamSpec, TypeVar

import fsspec

from shards import unfinished
from shards.errors import AvsError, StorageError

WHOLE = 256 << 20  # bytes of a file that is read at once
CHUNK = 16 << 20  # bytes read or sent at a time
REQUESTS = 16  # that wait for a store at the same time, in one worker
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
# What the system says of a name that leads to no file that can be read.
_NO_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EISDIR, errno.ENXIO}
Item = TypeVar("Item")
Result = TypeVar("Result")
Further = ParamSpec("Further")


class NameRefused(AvsError, ValueError):
    """A name that leads out of its folder; the message says which."""


class TooLarge(AvsError):
    """A file of more bytes than anything of its kind has."""


def is_local(url: str) -> bool:
    return "://" not in url or url.startswith("file://")


def local_path(url: str) -> str:
    return url.removeprefix("file://")


def absolute(url: str) -> str:
    """The same place for a process that works in another folder."""
    return os.path.abspath(local_path(url)) if is_local(url) else url


def join(base: str, *parts: str) -> str:
    """`base` with relative parts below it.

    Raises:
        NameRefused: a part would climb out.
    """
    for part in parts:
        if part.startswith("/") or "\\" in part or "\0" in part or ".." in part.split("/"):
            raise NameRefused(
                f"{part!r} leaves its folder {base!r}: names here are relative, without '..', '\\' or NUL"
            )
    return "/".join([base.rstrip("/"), *parts])


_EXTRAS = {"s3": "s3", "gs": "gcs", "hf": "hub"}  # of this distribution, by the kind of URL


def filesystem(url: str) -> tuple[Any, str]:
    """fsspec's view of the store that holds a URL, and the path in it.

    Raises:
        StorageError: a kind of URL that nobody knows, or whose package is not installed.
    """
    try:
        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        extra = _EXTRAS.get(url.partition("://")[0])
        remedy = f"it comes with: pip install 'avs-data[{extra}]'" if extra else str(error)
        raise StorageError(f"{url}: the package for such URLs is not installed; {remedy}") from error
    except ValueError as error:
        raise StorageError(f"{url}: {error}; give a folder, or a URL such as s3://bucket/folder") from error


@contextmanager
def _told(url: str, reads: bool = True) -> Iterator[None]:
    """Errors of disks and stores as FileNotFoundError or StorageError; a missing file is one thing only to read."""
    try:
        yield
    except (AvsError, FileNotFoundError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError):
            if reads and (error.errno in _NO_FILE or isinstance(error, IsADirectoryError)):
                raise FileNotFoundError(errno.ENOENT, error.strerror or "no file", url) from error
        elif not reads:
            raise  # of the block that writes
        said = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise StorageError(f"{url}: {said}") from error


def _reads(
    function: Callable[Concatenate[str, Further], Result],
) -> Callable[Concatenate[str, Further], Result]:
    """`_told` around a function whose first argument is the URL that it reads."""

    @wraps(function)
    def told(url: str, *args: Further.args, **kwargs: Further.kwargs) -> Result:
        with _told(url):
            return function(url, *args, **kwargs)

    return told


def _open_local(url: str) -> io.BufferedReader:
    """A regular file, links followed; a pipe or a device is not waited for."""
    path = local_path(url)
    if "\0" in path:
        raise FileNotFoundError(errno.ENOENT, "a name with NUL", url)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "not a regular file", url)
    return open(descriptor, "rb")


@_reads
def open_read(url: str) -> io.BufferedReader:
    """A seekable binary file."""
    if is_local(url):
        return _open_local(url)
    fs, path = filesystem(url)
    file = fs.open(path, "rb", block_size=CHUNK)
    return io.BufferedReader(file)  # fsspec's own cannot read a line of at most n bytes


@_reads
def read_bytes(url: str) -> bytes:
    """All of a file.

    Raises:
        TooLarge: more than WHOLE bytes, on a local disk.
    """
    if is_local(url):
        return read_small(url, WHOLE)
    fs, path = filesystem(url)
    return fs.cat_file(path)


def read_small(url: str, most: int) -> bytes:
    """A file of at most so many bytes.

    Raises:
        TooLarge: it has more.
    """
    held = size(url) if is_local(url) else 0
    content = read_range(url, 0, most + 1) if held <= most else b""
    if max(held, len(content)) > most:
        raise TooLarge(f"{url} has more than {most >> 20} MiB: that is no file of this kind")
    return content


@_reads
def read_range(url: str, start: int, length: int) -> bytes:
    """`length` bytes from byte `start`; fewer only where the file ends."""
    if is_local(url):
        with _open_local(url) as file:
            file.seek(start)
            # Python takes memory for as much as it is asked for.
            return file.read(max(0, min(length, os.fstat(file.fileno()).st_size - start)))
    fs, path = filesystem(url)
    return fs.cat_file(path, start=start, end=start + length)


def together(url: str, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`map` for functions that read below `url`: where that is a store, REQUESTS of them wait for it at a time."""
    return map(function, items) if is_local(url) else in_threads(function, items, REQUESTS)


def in_threads(function: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """`map` by so many threads. Results come in the order of the items, at most `threads` ahead of who takes them."""
    items = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque(pool.submit(function, item) for item in islice(items, threads))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(function, item) for item in islice(items, 1))


@_reads
def sha256(url: str) -> str:
    """The hash of a file of any size, in hexadecimal."""
    with open_read(url) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sweep_below(url: str) -> None:
    """`unfinished.sweep` of a local folder and every folder below it."""
    if is_local(url):
        for folder, _, _ in os.walk(local_path(url)):
            unfinished.sweep(folder)


@contextmanager
def open_atomic(url: str, durable: bool = True) -> Iterator[IO[bytes]]:
    """A binary file for writing that gets its name when the block ends well, and is gone when it does not.

    What killed processes left in a local folder is removed. A file keeps the mode of the one that it replaces.

    Args:
        durable: wait until a local disk has it; without, `settle` does so later, for many files at once.
    """
    with _told(url, reads=False):
        if is_local(url):
            with _replacing(local_path(url), durable) as named, unfinished.new(*named, durable) as file:
                yield file
            return
        fs, path = filesystem(url)
        file = fs.open(path, "wb")
        try:
            yield file
        except BaseException:
            if hasattr(file, "discard"):
                file.discard()
            raise
        file.close()


def start_writeback(url: str) -> None:
    """Have a local disk begin to write a file, so that `settle` has less to wait for; nobody waits here.

    It is a hint, for which no answer is asked: where the disk fails `settle` tells.
    """

    def begin() -> None:
        with suppress(OSError), open(local_path(url), "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    if is_local(url) and hasattr(os, "posix_fadvise"):
        threading.Thread(target=begin, daemon=True).start()


@_reads
def settle(url: str) -> None:
    """Wait until the disk has a local file or the names in a folder; elsewhere a finished upload is safe already."""
    if is_local(url):
        descriptor = os.open(local_path(url), os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _replacing(path: str, durable: bool) -> Iterator[tuple[str, int | None]]:
    """Name and mode of a file that becomes the one at a local path."""
    mode = os.stat(path).st_mode & 0o777 if os.path.isfile(path) else None
    with unfinished.replacing(path) as name:
        yield name, mode
    if durable:
        settle(os.path.dirname(path) or ".")


def write_atomic(url: str, data: bytes | bytearray, durable: bool = True) -> None:
    """What `open_atomic` does, for a content that is there; on a local disk with fewer calls of the system."""
    if not is_local(url):
        with open_atomic(url) as file:
            file.write(data)
        return
    with _told(url, reads=False), _replacing(local_path(url), durable) as named:
        unfinished.write(*named, data, durable)


def create(url: str, data: bytes) -> bool:
    """Write a file unless there is one of that name (False). Of many that try at once, one gets True.

    The file is there whole or not at all. A disk, also one that is reached by NFS, gives a finished file its name by a
    hard link; S3 and GCS take an upload on the condition that there is none. A disk without hard links lets one
    alone create the file, but a kill in the middle leaves it cut. Other stores are as exclusive as their client.
    """
    with _told(url, reads=False):
        return _upload_new(url, data) if not is_local(url) else _create_local(local_path(url), data)


def _create_local(path: str, data: bytes) -> bool:
    with unfinished.beside(path) as name:
        unfinished.write(name, None, data, durable=True)
        try:
            os.link(name, path)
        except FileExistsError:
            return os.stat(name).st_nlink > 1  # over NFS the answer to a link that was made may get lost
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            try:
                unfinished.write(path, None, data, durable=True)
            except FileExistsError:
                return False
    settle(os.path.dirname(path) or ".")
    return True


def _upload_new(url: str, data: bytes) -> bool:
    fs, path = filesystem(url)
    try:
        fs.pipe_file(path, data, mode="create")
    except FileExistsError:
        return False
    except OSError as error:
        answer = getattr(error.__cause__, "response", None) or {}
        if answer.get("Error", {}).get("Code") in ("PreconditionFailed", "412"):
            return False
        raise
    return True


def link(source: str, target: str) -> None:
    """The same file under a second name: a hard link where a disk allows it, else a copy."""
    if is_local(source) and is_local(target):
        path = local_path(target)
        with suppress(OSError), unfinished.beside(path) as name:  # another disk, or one without hard links
            os.link(os.path.realpath(local_path(source)), name)  # of a link what it leads to
            os.replace(name, path)  # which leaves the name where both are one file
            return
    with open_read(source) as read, open_atomic(target) as file:
        shutil.copyfileobj(read, file, CHUNK)


@_reads
def exists(url: str) -> bool:
    """Whether there is such a name; a link to nothing is one, which nobody can read."""
    if is_local(url):
        return os.path.lexists(local_path(url))
    fs, path = filesystem(url)
    return fs.exists(path)


@_reads
def size(url: str) -> int:
    if is_local(url):
        return os.path.getsize(local_path(url))
    fs, path = filesystem(url)
    return int(fs.size(path))


def names(url: str) -> list[str]:
    """Sorted names directly below a folder; empty where there is none."""
    files, folders = listing(url)
    return sorted({*files, *folders})


def listing(url: str) -> tuple[list[str], list[str]]:
    """Sorted names of the files and of the folders directly below a folder; links count as what they lead to."""
    files: list[str] = []
    folders: list[str] = []
    with suppress(FileNotFoundError), _told(url):
        if is_local(url):
            with os.scandir(local_path(url)) as entries:
                for entry in entries:
                    (folders if os.path.isdir(entry) else files).append(entry.name)
        else:
            fs, path = filesystem(url)
            for entry in fs.ls(path, detail=True):
                name = entry["name"].rstrip("/").rsplit("/", 1)[-1]
                (folders if entry["type"] == "directory" else files).append(name)
    return sorted(files), sorted(folders)


@_reads
def remove(url: str) -> None:
    """Remove a file or a whole folder; a name that is not there is fine."""
    if exists(url):
        fs, path = filesystem(url)
        fs.rm(path, recursive=True)


@_reads
def stamp(url: str) -> str:
    """Text that changes when a file is replaced: size and modification time, or the store's own tag."""
    if is_local(url):
        status = os.stat(local_path(url))
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(errno.ENOENT, "not a regular file", url)
        return f"{status.st_size}:{status.st_mtime_ns}"
    fs, path = filesystem(url)
    info = fs.info(path)
    return f"{info['size']}:{info.get('ETag') or info.get('etag') or info.get('mtime') or ''}"
