"""Where media lie, as `[fetch.media]` names it: a folder or archives, in the order in which they are gone through."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.corpora import names
from pipelines.corpora.corpus import WEB
from pipelines.fetch import archives, tars, zips
from pipelines.fetch.archives import Member
from pipelines.fetch.causes import Failure
from pipelines.fetch.files import Counted, NoRanges, blocks, open_file
from pipelines.fetch.http import Client
from pipelines.fetch.ledger import FOLDER
from pipelines.fetch.options import FetchOptions
from pipelines.fetch.taking import Wanted
from shards import storage, tables
from shards.errors import AvsError

_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip", *tars.UNREAD)
_NUMBERS = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MOST_BYTES = 100_000_000_000  # of an archive whose server gives no ranges


class PlaceError(AvsError):
    """A place of `[fetch.media]` where nothing is; the message names it."""


@dataclass(frozen=True)
class Place:
    """A folder, or an archive. `folder`: its loose files are meant."""

    url: str
    folder: bool = False


def named(options: FetchOptions, corpus: str, corpora: str) -> list[Place]:
    """The places of a corpus, in order: `*` and `{00..19}` stand for several archives, a folder also for those in it.

    Args:
        corpora: the folder that paths are relative to.

    Raises:
        PlaceError: nothing is there. Addresses on the web are not asked.
    """
    found: list[Place] = []
    for text in options.places(corpus):
        for url in _numbered(text):
            if text == WEB:
                continue
            if url.startswith(("http://", "https://")):
                found.append(Place(url))
                continue
            if storage.is_local(url) and not os.path.isabs(storage.local_path(url)):
                url = f"{corpora.rstrip('/')}/{url}"
            found += _there(url, text)
    return list(dict.fromkeys(found))


def _numbered(text: str) -> list[str]:
    """`a_{00..02}.tar` is a_00.tar, a_01.tar, a_02.tar."""
    if not (match := _NUMBERS.search(text)):
        return [text]
    first, last = int(match[1]), int(match[2])
    numbers = [f"{number:0{len(match[1])}d}" for number in range(first, min(last, first + 9999) + 1)]
    head, tail = text[: match.start()], text[match.end() :]
    return [one for number in numbers for one in _numbered(f"{head}{number}{tail}")]


def _there(url: str, text: str) -> list[Place]:
    fs, path = storage.filesystem(url)
    local = storage.is_local(url)
    try:
        is_pattern = any(sign in path for sign in "*?[") and not fs.exists(path)  # which may be a name, too
        paths = sorted(fs.glob(path)) if is_pattern else [path]
        urls = [one if local else str(fs.unstrip_protocol(one)) for one in paths]
        found = [
            Place(one, True) if fs.isdir(where) else Place(one)
            for one, where in zip(urls, paths, strict=True)
            if fs.exists(where)
        ]
    except AvsError:
        raise
    except Exception as error:  # each store has errors of its own
        raise PlaceError(f"[fetch.media] names {text}: {type(error).__name__}: {error}") from error
    if not found:
        raise PlaceError(
            f"[fetch.media] names {text}, but {url} is not there: correct the path, or leave the place out"
        )
    return [one for place in found for one in (_of_folder(place.url) if place.folder else [place])]


def _of_folder(url: str) -> list[Place]:
    """Its loose files, then the archives in it."""
    packed = [name for name in names.tree(url) if name.lower().endswith(_ARCHIVES)]
    return [Place(url, True), *(Place(f"{url.rstrip('/')}/{name}") for name in packed)]


def size_of(place: Place, client: Client) -> int:
    """Bytes of an archive, asked for once; 0 for a folder, and where that cannot be had."""
    try:
        if place.folder:
            return 0
        is_web = place.url.startswith(("http://", "https://"))
        return client.describe(place.url)[0] if is_web else storage.size(place.url)
    except (Failure, AvsError, FileNotFoundError):
        return 0


class Reading:
    """One place as it is read once, for what is wanted of it.

    Args:
        part: a local name for an archive that has to be there whole: a zip whose server gives no ranges.
        at_once: to reach it is tried once only.
    """

    def __init__(self, place: Place, client: Client, part: str, at_once: bool = False) -> None:
        self.place, self._client, self._part = place, client, part
        self._files: list[Counted] = []
        self.size, self.stamp, self._poured = 0, "", 0
        if not place.folder:
            try:
                self.size, self.stamp = (file := self._open(place.url, at_once)).size, file.stamp
            except NoRanges as whole:
                self.size, self.stamp = whole.size, whole.stamp

    def _open(self, url: str, at_once: bool = False) -> Counted:
        file = open_file(url, self._client, 1) if at_once else open_file(url, self._client)
        self._files.append(Counted(file))
        return self._files[-1]

    def members(self, wanted: Wanted, told: Callable[[int, int], None]) -> Iterator[Member]:
        """`told`: how many bytes of how many were gone through. Raises Failure."""
        if self.place.folder:
            return archives.folder(self.place.url, wanted.most_bytes, wanted.rank)
        is_zip, comes_whole = self.place.url.lower().endswith(".zip"), not self._files

        def seen(done: int) -> None:
            if comes_whole:
                self._poured = self.size = max(self.size, done)
            told(done, max(done, self.size))

        told(0, self.size)
        if comes_whole and is_zip:
            self._client.get_file(self.place.url, self._part, _MOST_BYTES, lambda done, total: seen(done))
            self._open(self._part)
        elif comes_whole:
            chunks = self._client.chunks(self.place.url, _MOST_BYTES)
            return tars.tar(chunks, wanted.most_bytes, seen)
        file = self._files[0]
        if is_zip or file.read(0, 2) == b"PK":
            return zips.zipped(file, wanted.most_bytes, seen, self._open)
        return tars.tar(blocks(file), wanted.most_bytes, seen)

    def check(self) -> None:
        """Raise Failure ARCHIVE_CHANGED where the archive is not the one that was opened. A folder may change."""
        for file in self._files:
            file.check()

    def bytes_read(self) -> int:
        """Of an archive; all of one whose server gives no ranges."""
        return self._poured or sum(file.bytes_read for file in self._files)


class Catalogue:
    """What archives hold, as far as reading them once more could give it: none is read for nothing."""

    def __init__(self, corpora: str) -> None:
        self._folder = storage.join(corpora, FOLDER, "archives")

    def _url(self, name: str) -> str:
        return f"{self._folder}/{hashlib.sha256(name.encode()).hexdigest()[:24]}.parquet"

    def write(self, name: str, stamp: str, members: Sequence[str]) -> None:
        table = pa.table({"member": pa.array(members, pa.string())})
        sink = pa.BufferOutputStream()
        pq.write_table(table.replace_schema_metadata({"archive": name, "stamp": stamp}), sink)
        storage.write_atomic(self._url(name), sink.getvalue().to_pybytes())

    def lacks(self, name: str, stamp: str, wanted: Wanted) -> bool:
        """Whether the archive was read, is still the same, and has nothing of what is wanted."""
        if not stamp or not storage.exists(self._url(name)):
            return False
        try:
            table = tables.parquet(pa.BufferReader(storage.read_bytes(self._url(name)))).read(
                use_threads=False
            )
        except pa.ArrowException:  # damaged: the archive tells again
            return False
        if (table.schema.metadata or {}).get(b"stamp") != stamp.encode():
            return False
        return not any(wanted.find(member) for member in table["member"].to_pylist())
