"""Mask archives: a zip is downloaded in full (and resumed after a break), only the members that are needed leave it."""

import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator

from pipelines.fetch import photos
from pipelines.fetch.causes import Cause, Failure

_MAX_MEMBER = 64_000_000
MASK_RULES = photos.PhotoRules(min_side_px=1, decode=True)


def masks(archive: str, wanted: Iterable[str]) -> Iterator[tuple[str, bytes | Failure]]:
    """(member, its bytes or why it is not usable) for each wanted member of a local zip.

    Args:
        wanted: file names; a member is found by its last path part, so where the archive
            would put it does not matter and none can leave its folder.

    Raises:
        Failure: BAD_CONTENT where the file is not a complete zip.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            members = {
                info.filename.rpartition("/")[2]: info for info in file.infolist() if not info.is_dir()
            }
            for name in sorted(wanted):
                yield name, _member(file, members.get(name))
    except (zipfile.BadZipFile, struct.error) as error:
        raise Failure(Cause.BAD_CONTENT, f"not a complete zip archive: {error}") from error


def _member(file: zipfile.ZipFile, info: zipfile.ZipInfo | None) -> bytes | Failure:
    if info is None:
        return Failure(Cause.NOT_FOUND, "the archive has no such member", final=True)
    if info.file_size > _MAX_MEMBER:
        return Failure(
            Cause.TOO_LARGE, f"{info.file_size} bytes are more than a mask's limit of {_MAX_MEMBER}"
        )
    try:
        with file.open(info) as member:
            content = member.read(_MAX_MEMBER + 1)
        photos.check(content, "", MASK_RULES, form="PNG")
    except Failure as failure:  # the archive's checksum holds: another download brings the same
        return Failure(failure.cause, failure.detail, final=True)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        return Failure(Cause.DECODE_ERROR, f"{type(error).__name__}: {error}")
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
        if os.path.exists(path):
            os.remove(path)
        raise Failure(Cause.BAD_CONTENT, f"not a complete zip archive: {error}") from error
