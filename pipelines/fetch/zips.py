"""The members of a zip, by its directory: those that are wanted are read by range, neighbours together."""

import io
import os
import stat
import struct
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial

from pipelines.fetch.archives import Member, Want, too_large
from pipelines.fetch.causes import Cause, Failure
from pipelines.fetch.files import File, Joined

# A request costs about as much as so many bytes: 50 ms at 100 Mbit/s, with a dozen archives under way.
# What lies between two members is read along where it is less.
GAP = 64 << 10
RUN = 32 << 20  # bytes of one request, unless a member has more
_LONGEST_HEADER = 30 + 2 * 65_535  # of a member: as the format allows
_MOST_DIRECTORY = 1 << 30  # bytes
_TAIL = 1 << 16  # where a zip's directory begins or is
_END = struct.Struct("<4s4H2LH")  # of a zip's directory
_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, struct.error)


class _Window(io.RawIOBase):
    """A file of which one stretch is held; what zipfile reads outside of it is fetched."""

    def __init__(self, file: File) -> None:
        self.file, self._at = file, 0
        self._start = max(0, file.size - _TAIL)
        self._held = file.read(self._start, file.size)

    @property
    def end(self) -> tuple[int, ...]:
        """The end of the zip's directory: its fields, or none where there is no such end."""
        tail = self._held
        at = tail.rfind(b"PK\x05\x06")
        return _END.unpack_from(tail, at) if 0 <= at <= len(tail) - _END.size else ()

    def hold(self, start: int, stop: int) -> None:
        self._start, self._held = start, self.file.read(start, stop)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.file.size}[whence]
        if at < 0:
            raise ValueError("before the first byte")
        self._at = at
        return at

    def read(self, size: int = -1) -> bytes:
        stop = self.file.size if size < 0 else min(self._at + size, self.file.size)
        begin, end = self._at - self._start, stop - self._start
        if begin >= 0 and end <= len(self._held):
            content = self._held[begin:end]
        elif stop - self._at > _MOST_DIRECTORY:
            raise zipfile.BadZipFile(f"a directory of {stop - self._at} bytes")
        else:
            content = self.file.read(self._at, stop)
        self._at += len(content)
        return content


def zipped(
    file: File, want: Want, seen: Callable[[int], None], part: Callable[[str], File] | None = None
) -> Iterator[Member]:
    """The members of a zip in the order of their places; those that are wanted are fetched, neighbours together.

    Args:
        seen: told how far in the archive the reading is.
        part: opens the file of an address, for a zip in parts (.z01, .z02 ... .zip).

    Raises:
        Failure: ARCHIVE_CORRUPT where it is no complete zip.
    """
    try:
        window, starts, ahead = _Window(file), [0], 0
        end = window.end
        if part and end and 0 < end[1] < 0xFFFF:
            stem = file.url.removesuffix("zip")
            joined = Joined([*(part(f"{stem}z{number:02d}") for number in range(1, end[1] + 1)), file])
            window, starts = _Window(joined), joined.starts
        with zipfile.ZipFile(window) as archive:
            if len(starts) > 1:
                ahead = archive.start_dir - end[6]  # what zipfile has added to every place
            infos = _placed(archive, starts, ahead)
            yield from _fetched(archive, infos, window, want, seen)
    except (*_ERRORS, ValueError) as error:
        detail = f"{file.size} bytes, not a complete zip: {error}"
        raise Failure(Cause.ARCHIVE_CORRUPT, detail) from error


def _placed(archive: zipfile.ZipFile, starts: Sequence[int], ahead: int) -> list[zipfile.ZipInfo]:
    """Members by where they begin; in a zip of several files each counts from the start of its own."""
    infos = [info for info in archive.infolist() if not info.is_dir()]
    for info in infos if len(starts) > 1 else ():
        if info.volume >= len(starts):
            raise zipfile.BadZipFile(f"{info.filename!r} is said to be in part {info.volume + 1}")
        info.header_offset += starts[info.volume] - ahead
    return sorted(infos, key=lambda info: info.header_offset)


def _fetched(
    archive: zipfile.ZipFile, infos: Sequence[zipfile.ZipInfo], window: _Window, want: Want,
    seen: Callable[[int], None],
) -> Iterator[Member]:  # fmt: skip
    begins = sorted({info.header_offset for info in infos} | {archive.start_dir})
    gap = 0 if window.file.near else GAP
    run: list[zipfile.ZipInfo] = []
    start = stop = 0

    def fetch() -> Iterator[Member]:
        if run:
            window.hold(start, stop)
            seen(stop)
        for info in run:
            yield Member(info.filename, partial(_unzipped, archive, info, want(info.filename)))

    for info in infos:
        limit = want(info.filename)
        if not limit or _fault(info, limit):
            yield Member(info.filename, partial(_unzipped, archive, info, limit))
            continue
        behind = bisect_right(begins, info.header_offset)
        end = min(
            begins[behind] if behind < len(begins) else window.file.size,
            info.header_offset + _LONGEST_HEADER + info.compress_size,
        )
        if run and (info.header_offset - stop > gap or end - start > RUN):
            yield from fetch()
            run = []
        start, stop = start if run else info.header_offset, max(stop, end)
        run.append(info)
    yield from fetch()
    seen(window.file.size)


def _fault(info: zipfile.ZipInfo, limit: int) -> Failure | None:
    kind = info.external_attr >> 16
    if info.create_system == 3 and stat.S_IFMT(kind) not in (0, stat.S_IFREG):
        return Failure(Cause.UNSAFE, "a link, a device or a pipe, not a file")
    size = max(info.file_size, info.compress_size)
    return too_large(size, limit) if size > limit else None


def _unzipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> bytes:
    if fault := _fault(info, limit):
        raise fault
    try:
        with archive.open(info) as member:
            content = member.read(limit + 1)
    except (*_ERRORS, ValueError) as error:
        raise Failure(Cause.DECODE_ERROR, f"{type(error).__name__}: {error}") from error
    if len(content) > limit:
        raise too_large(len(content), limit)
    return content


def unpack(archive: str, member: str, path: str, limit: int) -> None:
    """Write one member of a local zip to the local `path`, at most `limit` bytes."""
    try:
        with zipfile.ZipFile(archive) as file:
            found = [info for info in file.infolist() if info.filename.rpartition("/")[2] == member]
            if not found:
                raise Failure(Cause.BAD_CONTENT, f"the archive has no member {member!r}")
            with file.open(found[0]) as source, open(path, "wb") as target:
                total = 0
                while chunk := source.read(1 << 20):
                    total += len(chunk)
                    if total > limit:
                        raise Failure(Cause.TOO_LARGE, f"{member!r} is more than the limit of {limit} bytes")
                    target.write(chunk)
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error) as error:
        with suppress(FileNotFoundError):
            os.remove(path)
        raise Failure(Cause.BAD_CONTENT, f"not a complete zip archive: {error}") from error
