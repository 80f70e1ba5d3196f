"""Write one shard: a tar that is complete or not there, and where each member lies in it."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shards import format, storage


@dataclass(frozen=True)
class Content:
    """A member's bytes and their sha256, which is often known before: then it is not computed again."""

    data: bytes
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> "Content":
        return cls(data, hashlib.sha256(data).hexdigest())


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


def write_shard(url: str, samples: Iterable[tuple[str, Mapping[str, Content]]]) -> Shard:
    """Write samples (key, extension -> content), given in ascending order of key.

    The file appears under its name when it is complete; an error leaves nothing behind. Samples are
    taken one at a time, so memory is one sample, whatever the size of the shard.

    Raises:
        ValueError: keys not ascending, or a name or size that the tar format cannot hold.
    """
    digest = hashlib.sha256()
    members: dict[str, dict[str, Member]] = {}
    position, last = 0, ""
    with storage.open_atomic(url, durable=False) as file:
        for key, contents in samples:
            if key <= last:
                raise ValueError(f"{url}: key {key!r} after {last!r}: a shard's keys ascend and differ")
            last = key
            members[key] = {}
            for extension in sorted(contents):
                content = contents[extension]
                header = format.tar_header(f"{key}.{extension}", len(content.data))
                padding = format.padding(len(content.data))
                for part in (header, content.data, padding):
                    file.write(part)
                    digest.update(part)
                offset = position + len(header)
                members[key][extension] = Member(offset, len(content.data), content.sha256)
                position = offset + len(content.data) + len(padding)
        file.write(format.END_OF_ARCHIVE)
        digest.update(format.END_OF_ARCHIVE)
    storage.start_writeback(url)
    return Shard(position + len(format.END_OF_ARCHIVE), digest.hexdigest(), members)
