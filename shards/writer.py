"""Write one shard: a tar that is complete or not there, and where each member lies in it."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shards import format, storage


@dataclass(frozen=True)
class Member:
    """Where a member's content lies: byte offset from the start of the tar, size in bytes, sha256."""

    offset: int
    size: int
    sha256: str


@dataclass(frozen=True)
class Shard:
    """A shard as written: its size in bytes, its sha256, and per key the members by extension."""

    bytes: int
    sha256: str
    members: dict[str, dict[str, Member]]


def write_shard(url: str, samples: Iterable[tuple[str, Mapping[str, bytes]]]) -> Shard:
    """Write samples (key, extension -> content), given in ascending order of key.

    The file appears under its name when the last byte is on disk; an error leaves nothing behind. Samples are
    taken one at a time, so memory is one sample, whatever the size of the shard.

    Raises:
        ValueError: keys not ascending, an extension that sorts out of place, or content that is no bytes.
    """
    digest = hashlib.sha256()
    members: dict[str, dict[str, Member]] = {}
    position, last = 0, ""
    with storage.open_atomic(url) as file:
        for key, contents in samples:
            if key <= last:
                raise ValueError(f"{url}: key {key!r} after {last!r}: a shard's keys ascend and differ")
            last = key
            members[key] = {}
            for extension in sorted(contents):
                content = contents[extension]
                header = format.tar_header(f"{key}.{extension}", len(content))
                padding = format.padding(len(content))
                for part in (header, content, padding):
                    file.write(part)
                    digest.update(part)
                offset = position + len(header)
                members[key][extension] = Member(offset, len(content), hashlib.sha256(content).hexdigest())
                position = offset + len(content) + len(padding)
        file.write(format.END_OF_ARCHIVE)
        digest.update(format.END_OF_ARCHIVE)
    return Shard(position + len(format.END_OF_ARCHIVE), digest.hexdigest(), members)
