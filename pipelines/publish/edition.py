"""An edition: every file of one version with its hash, and `publication.json`, which lists them."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import msgspec

from shards.errors import AvsError
from shards.manifest import Number, Sha256

PUBLICATION = "publication.json"  # written last; a version without it is not published
FORMAT = "avs-publication"

Content = bytes  # `File` has a field of that name


class PublishError(AvsError):
    """A publication that is refused, or that could not be finished; the message says what to do."""


@dataclass(frozen=True)
class File:
    """One file of an edition. `source`: its bytes, or the path or URL that has them."""

    path: str
    bytes: int
    sha256: str
    source: Content | str = b""

    @classmethod
    def of(cls, path: str, content: Content) -> "File":
        return cls(path, len(content), hashlib.sha256(content).hexdigest(), content)


@dataclass(frozen=True)
class Profile:
    """What an edition is restricted to.

    `licences`: families or exact names, none: any; `reference_only`: the media that is left out.
    """

    licences: tuple[str, ...] = ()
    reference_only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Publication:
    """`publication.json`."""

    name: str
    version: str
    previous: str | None
    manifest_sha256: str
    profile: Profile
    files: tuple[File, ...]

    def same_content(self, other: "Publication") -> bool:
        return (self.name, self.manifest_sha256, self.profile) == (
            other.name,
            other.manifest_sha256,
            other.profile,
        )

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)


@dataclass(frozen=True)
class _Entry:
    path: Annotated[str, msgspec.Meta(pattern=r"^(?!/)(?!.*(^|/)\.\.(/|\Z))[^\\\0]+\Z")]
    bytes: Number
    sha256: Sha256


@dataclass(frozen=True)
class _Sealed:
    format: Literal["avs-publication"]
    format_version: Literal[1]
    name: str
    version: str
    previous: str | None
    manifest_sha256: Sha256
    profile: Profile
    files: tuple[_Entry, ...]


def dump(publication: Publication) -> bytes:
    record: dict[str, Any] = {"format": FORMAT, "format_version": 1, **asdict(publication)}
    record["files"] = [
        {"path": file.path, "bytes": file.bytes, "sha256": file.sha256}
        for file in sorted(publication.files, key=lambda file: file.path)
    ]
    return (json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def parse(content: bytes, url: str) -> Publication:
    """
    Raises:
        PublishError: not written by this format.
    """
    try:
        found = msgspec.json.decode(content, type=_Sealed)
    except (ValueError, RecursionError) as error:
        raise PublishError(
            f"{url} is damaged ({type(error).__name__}: {error}), so nobody can tell what was published: put the file "
            "back from a copy; where nobody has used that version, remove its folder and publish it again"
        ) from error
    files = tuple(File(entry.path, entry.bytes, entry.sha256) for entry in found.files)
    return Publication(found.name, found.version, found.previous, found.manifest_sha256, found.profile, files)


def by_path(files: Iterable[File]) -> dict[str, File]:
    return {file.path: file for file in files}
