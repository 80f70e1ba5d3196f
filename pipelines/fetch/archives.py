"""The members of archives and folders: what tars, zips and folders give alike.

A member is known by its last name alone: nothing is ever written where an archive would have it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from pipelines.corpora import names
from pipelines.fetch.causes import Cause, Failure
from shards import storage

Want = Callable[[str], int]  # a member's name -> the most bytes that it may have; 0: it is not wanted


Content = bytes | str  # of a member; or the path of a local file, which is read in place, whatever its size


@dataclass(frozen=True)
class Member:
    """`read` gives its content, or raises Failure; it is called before the next member is asked for."""

    name: str
    read: Callable[[], Content]


def folder(url: str, want: Want, rank: Callable[[str], int]) -> Iterator[Member]:
    """The files below a folder, of those for one thing the likeliest first."""
    files = sorted(names.tree(url), key=lambda name: (rank(name), name.count("/"), name))
    for name in files:
        yield Member(name, partial(_file, storage.join(url, name), want(name)))


def _file(url: str, limit: int) -> Content:
    try:
        return storage.local_path(url) if storage.is_local(url) else storage.read_small(url, limit)
    except FileNotFoundError as error:
        raise Failure(Cause.NOT_FOUND, f"no file {url}") from error
    except storage.TooLarge as error:
        raise Failure(Cause.TOO_LARGE, str(error)) from error


def too_large(size: int, limit: int) -> Failure:
    return Failure(Cause.TOO_LARGE, f"{size} bytes are more than the limit of {limit}", final=True)
