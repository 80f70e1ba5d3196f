"""The members of a tar, compressed or not, from its first byte to its last."""

import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from lzma import LZMAError

from pipelines.fetch.archives import Member, Want, too_large
from pipelines.fetch.causes import Cause, Failure
from pipelines.fetch.files import Stream, decompressed

UNREAD = (".tar.zst", ".7z", ".rar")  # archives that no reader here knows
_AFTER = 64 << 20  # bytes behind the end of a tar that are read to see the checksum of its compression


_NONE = "from byte 0 on: no zip, and no tar, plain or by gzip, bzip2 or xz (another kind: unpack it, name the folder)"


class Doubtful(Failure):
    """An archive of which some byte is wrong, and nothing tells which: a member that looks well may have it."""


class _Damage(Exception):
    """Told once all that can be read was read."""


_CHECKSUM = re.compile("CRC check failed|Incorrect length")  # as gzip says it
_ERRORS = (tarfile.TarError, zlib.error, EOFError, LZMAError, OSError, ValueError)


class _Header(tarfile.TarInfo):
    """A header; what is none is noted, and the end is where the format has it: at two blocks of zeros."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> "_Header":
        assert isinstance(tar, _Tar)
        try:
            header = super().fromtarfile(tar)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            tar.zeros += 1
            if tar.zeros < 2:
                raise
            raise tarfile.EmptyHeaderError("end") from None  # type: ignore[attr-defined]
        except tarfile.InvalidHeaderError:  # type: ignore[attr-defined]
            tar.zeros = 0
            tar.damaged = tar.offset if tar.damaged is None else tar.damaged
            raise
        tar.zeros, tar.is_one = 0, True
        return header


class _Patient(io.RawIOBase):
    """A stream that gives all it has before it tells of an error."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream
        self._error: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        if self._error:
            raise self._error
        parts, left = [], size
        try:
            while left and (part := self._stream.read1(left)):
                parts.append(part)
                left -= len(part)
        except _ERRORS as error:
            if not parts:
                raise
            self._error = error
        return b"".join(parts)


class _Tar(tarfile.TarFile):
    tarinfo = _Header
    zeros = 0
    is_one = False  # it has a header
    broke: Exception | None = None  # the first that reading a member met
    damaged: int | None = None  # the first byte that is not as it should be


def tar(chunks: Iterator[bytes], want: Want, seen: Callable[[int], None]) -> Iterator[Member]:
    """The members of a tar, compressed or not, in its order.

    Args:
        seen: told how many bytes of the archive were read.

    Raises:
        Failure: ARCHIVE_CORRUPT after all that can be read, with the byte from which on it cannot.
        Doubtful: it can be read, but is not what its compression's checksum was made of.
    """
    raw = Stream(chunks, seen)
    found: _Tar | None = None
    try:
        stream = decompressed(raw)
        patient = _Patient(stream)
        found = _Tar.open(fileobj=patient, mode="r|", bufsize=1 << 16, ignore_zeros=True)
        yield from _members(found, want, not isinstance(stream, io.BufferedReader))
        if found.damaged is not None:
            raise _Damage("it is no header of a member; what could be found behind it was read")
        if found.zeros < 2:
            raise _Damage("the archive ends without its end")
        left = _AFTER
        while left > 0 and (rest := patient.read(1 << 20)):
            left -= len(rest)
    except (_Damage, *_ERRORS) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        first = (found.broke if found else None) or error
        if (
            isinstance(first, gzip.BadGzipFile)
            and _CHECKSUM.match(str(first))
            and found
            and found.damaged is None
        ):
            detail = f"it does not match its checksum, so a member that looks well may be wrong: {first}"
            raise Doubtful(Cause.ARCHIVE_CORRUPT, detail) from error
        if isinstance(error, tarfile.TarError | _Damage) and not (found and found.is_one):
            raise Failure(Cause.ARCHIVE_CORRUPT, f"{_NONE}: {error}") from error
        offset = (found.damaged if found.damaged is not None else found.offset) if found else 0
        raise Failure(
            Cause.ARCHIVE_CORRUPT,
            f"from byte {offset} of the tar on ({raw.tell()} bytes of the file were read): {error}",
        ) from error


def _members(archive: _Tar, want: Want, is_compressed: bool) -> Iterator[Member]:
    """Of a compressed tar, a member that is wanted is given once the next header is seen where it belongs.

    A wrong bit of compressed bytes may change a few bytes and shift all that follow, which nothing else would show.
    """
    held: tuple[str, Callable[[], bytes]] | None = None
    while True:
        damaged = archive.damaged
        try:
            header = archive.next()
        except _ERRORS:
            if held:
                yield Member(held[0], _uncertain)
            raise
        if held:
            yield Member(held[0], held[1] if archive.damaged == damaged else _uncertain)
            held = None
        if header is None:
            return
        archive.members = []  # type: ignore[attr-defined]  # which it would keep
        read = partial(_content, archive, header, want(header.name))
        if is_compressed and want(header.name):
            held = header.name, _done(read)
        else:
            yield Member(header.name, read)


def _done(read: Callable[[], bytes]) -> Callable[[], bytes]:
    """The same, read now."""
    try:
        content = read()
    except Failure as failure:
        return partial(_raise, failure)
    return lambda: content


def _raise(failure: Failure) -> bytes:
    raise failure


def _uncertain() -> bytes:
    raise Failure(
        Cause.ARCHIVE_CORRUPT, "the archive is corrupt right behind it, so that it may be damaged, too"
    )


def _content(archive: _Tar, header: tarfile.TarInfo, limit: int) -> bytes:
    if not header.isreg():
        kinds = {tarfile.SYMTYPE: "a link", tarfile.LNKTYPE: "a link", tarfile.DIRTYPE: "a folder"}
        raise Failure(Cause.UNSAFE, f"{kinds.get(header.type, 'a device or a pipe')}, not a file")
    if header.size > limit:
        raise too_large(header.size, limit)
    file = archive.extractfile(header)
    assert file is not None
    try:
        return file.read()
    except _ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        archive.broke = archive.broke or error
        raise Failure(Cause.ARCHIVE_CORRUPT, f"the archive is corrupt inside of it: {error}") from error
