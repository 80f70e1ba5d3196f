"""Local files that are not finished: their temporary names, which tell whose they are, and what the dead have left."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import IO

from shards import owner
from shards.owner import Owner

SILENT_S = 3600.0  # unchanged for so long, what a process of another machine has begun counts as left behind
_BUFFER = 1 << 16  # bytes of small writes that go to the disk at once
_numbers = count()  # of temporary names
_entered: set[str] = set()  # folders that this process has swept


def temporary(path: str) -> str:
    """A new name beside a local path, for what is not finished; it tells whose it is."""
    return f"{path}.{owner.mine()}-{next(_numbers)}.tmp"


def litter(name: str) -> Owner | None:
    """The process that a temporary name belongs to; None: it is no such name."""
    if not name.endswith(".tmp"):
        return None
    _, _, told = name.removesuffix(".tmp").rpartition(".")
    return owner.parse(told.rpartition("-")[0])


def sweep(folder: str) -> None:
    """Remove from a local folder what dead processes left unfinished; what a living one writes stays."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            whose = litter(entry.name)
            if whose and _is_left(entry.path, whose):
                with suppress(OSError):  # others sweep too, and it may be somebody else's
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.path)
                    else:
                        os.remove(entry.path)


def _is_left(path: str, whose: Owner) -> bool:
    gone = whose.is_gone()
    if gone is not None:
        return gone
    probe = temporary(path)  # clocks differ: the disk's own says how old the file is
    try:
        open(probe, "xb").close()
        return os.stat(probe).st_mtime - os.lstat(path).st_mtime > SILENT_S
    except OSError:
        return False
    finally:
        with suppress(OSError):
            os.remove(probe)


def _beside(path: str) -> str:
    """A temporary name beside a local path, in a folder without litter."""
    folder = os.path.dirname(path) or "."
    if folder not in _entered or not os.path.isdir(folder):
        os.makedirs(folder, exist_ok=True)
        _entered.add(folder)
        sweep(folder)
    return temporary(path)


@contextmanager
def beside(path: str) -> Iterator[str]:
    """A temporary name beside a local path, in a folder without litter; whatever has it at the end is removed."""
    name = _beside(path)
    try:
        yield name
    finally:
        _remove(name)


def _remove(name: str) -> None:
    with suppress(FileNotFoundError):
        os.remove(name)


def write(path: str, mode: int | None, data: bytes | bytearray, durable: bool) -> None:
    """Write a local file that was not there.

    Args:
        mode: its permissions; None: what the umask leaves.
        durable: wait until the disk has it.
    """
    descriptor = _opened(path, mode)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _opened(path: str, mode: int | None) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else mode)
    if mode is not None:
        with suppress(PermissionError):  # a disk that has none
            os.fchmod(descriptor, mode)  # the umask has taken some
    return descriptor


@contextmanager
def new(path: str, mode: int | None, durable: bool) -> Iterator[IO[bytes]]:
    """What `write` writes, piece by piece."""
    with open(path, "xb", _BUFFER, opener=lambda name, _: _opened(name, mode)) as file:
        yield file
        if durable:
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def replacing(path: str) -> Iterator[str]:
    """A name to write a local file to: it becomes `path` when the block ends well, and is gone when it does not."""
    name = _beside(path)
    try:
        yield name
        os.replace(name, path)
    except BaseException:
        _remove(name)
        raise
