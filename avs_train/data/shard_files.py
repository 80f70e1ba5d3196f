"""Bytes of shards: straight from local files, or from a bounded cache of remote ones.

A remote shard is fetched in full, checked against the manifest's sha256, and kept until newer ones need the room. All
processes of a machine share one cache folder; the kernel drops their locks when they die.
"""

import contextlib
import fcntl
import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from avs_train.data.order import SettingError
from shards import storage
from shards.errors import AvsError
from shards.manifest import ShardEntry

_CHUNK = 1 << 20
_OPEN_FILES = 128


class ShardError(AvsError):
    """A shard that is missing, truncated or changed, after retries; the message names it."""


class _Descriptor:
    """An open file, closed when its last reader lets go; readers may outlive its place in the table."""

    def __init__(self, path: str) -> None:
        self._file = storage.open_read(path)  # no pipe or device, which might never answer
        self.number = self._file.fileno()


class ShardFiles:
    """Random access to the shards of a dataset; safe to use from many threads.

    Args:
        url: the dataset's path or URL.
        shards: the manifest's entries; their `bytes` and `sha256` say what is right.
        cache_dir: folder for remote shards; not used for a local dataset.
        cache_bytes: the cache never holds more than this.
        retries: further tries after a failed one, waiting 0.2 s, 0.4 s, 0.8 s ...
    """

    def __init__(
        self, url: str, shards: Iterable[ShardEntry], cache_dir: Path, cache_bytes: int, retries: int = 3
    ) -> None:
        self.url = url
        self._entries = {entry.path: entry for entry in shards}
        self._local = storage.is_local(url)
        self._cache_dir, self._cache_bytes, self._retries = cache_dir, cache_bytes, retries
        self._open: OrderedDict[str, _Descriptor] = OrderedDict()
        self._lock = Lock()
        self._fetchers = ThreadPoolExecutor(2, thread_name_prefix="fetch")
        self.fetched_bytes = 0
        largest = max((entry.bytes for entry in self._entries.values()), default=0)
        if not self._local and largest > cache_bytes:
            raise SettingError(
                f"a shard of {largest / 1e9:.2f} GB does not fit a cache of {cache_bytes / 1e9:.2f} GB: "
                "raise data.cache_gb"
            )

    def read(self, shard: str, offset: int, size: int) -> bytes:
        """`size` bytes of a shard.

        Raises:
            ShardError: the shard is missing or shorter than the manifest says, also after retries.
        """
        descriptor = self._descriptor(shard)  # held until the read is done, or it might be closed under it
        content = os.pread(descriptor.number, size, offset)
        if len(content) != size:
            raise ShardError(
                f"{self._name(shard)} ends at byte {offset + len(content)}: it was truncated while open"
            )
        return content

    def fetch_ahead(self, shard: str) -> None:
        """Begin to fetch a shard before it is needed; nothing to do for a local dataset."""
        if not self._local:
            self._fetchers.submit(self._fetched, shard)

    def _fetched(self, shard: str) -> None:
        with contextlib.suppress(ShardError):  # whoever reads the shard tries again and tells
            self._descriptor(shard)

    def _name(self, shard: str) -> str:
        return storage.join(self.url, shard)

    def _descriptor(self, shard: str) -> _Descriptor:
        with self._lock:
            if shard in self._open:
                self._open.move_to_end(shard)
                return self._open[shard]
        descriptor = self._retried(shard)
        with self._lock:
            self._open[shard] = descriptor
            while len(self._open) > _OPEN_FILES:
                self._open.popitem(last=False)
        return descriptor

    def _retried(self, shard: str) -> _Descriptor:
        if shard not in self._entries:
            raise ShardError(f"{self._name(shard)} is not in the manifest: rebuild the dataset's tables")
        for attempt in range(self._retries + 1):
            try:
                return self._opened(shard) if self._local else self._cached(shard)
            except (OSError, ShardError) as error:
                if attempt == self._retries:
                    raise ShardError(
                        f"{self._name(shard)} cannot be read after {attempt + 1} tries: {error}; "
                        "`avs-data verify` tells what else is wrong"
                    ) from error
                time.sleep(0.2 * 2**attempt)
        raise AssertionError("unreachable")

    def _opened(self, shard: str) -> _Descriptor:
        descriptor = _Descriptor(storage.local_path(self._name(shard)))
        found, expected = os.fstat(descriptor.number).st_size, self._entries[shard].bytes
        if found != expected:
            raise ShardError(f"it has {found} bytes, the manifest says {expected}")
        return descriptor

    def _cached(self, shard: str) -> _Descriptor:
        entry = self._entries[shard]
        path = self._cache_dir / f"{entry.sha256}.tar"
        self._cache_dir.mkdir(parents=True, exist_ok=True)
        with self._locked(path.with_suffix(".lock")):
            if not (path.exists() and path.stat().st_size == entry.bytes):
                self._download(entry, path)
            os.utime(path)  # most recently used
            return _Descriptor(str(path))

    def _download(self, entry: ShardEntry, path: Path) -> None:
        partial, digest, size = path.with_suffix(".part"), hashlib.sha256(), 0
        with self._locked(self._cache_dir / "room.lock"):
            self._make_room(entry.bytes)
            with open(partial, "wb") as file:
                file.truncate(entry.bytes)  # so that the others see the room taken
        with storage.open_read(self._name(entry.path)) as source, open(partial, "r+b") as target:
            while chunk := source.read(_CHUNK):
                target.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        if size != entry.bytes or digest.hexdigest() != entry.sha256:
            partial.unlink()
            raise ShardError(
                f"fetched {size} bytes with sha256 {digest.hexdigest()[:12]}, "
                f"the manifest says {entry.bytes} and {entry.sha256[:12]}"
            )
        os.replace(partial, path)
        self.fetched_bytes += size

    def _make_room(self, needed: int) -> None:
        """Remove the shards longest unused. A file that somebody still reads stays readable until closed."""
        for partial in self._cache_dir.glob("*.part"):
            with contextlib.suppress(BlockingIOError), self._locked(partial.with_suffix(".lock"), wait=False):
                partial.unlink()  # nobody holds its lock: its process was killed
        held = sum(file.stat().st_size for file in self._cache_dir.iterdir())
        for file in sorted(self._cache_dir.glob("*.tar"), key=lambda file: file.stat().st_mtime):
            if held + needed <= self._cache_bytes:
                return
            held -= file.stat().st_size
            file.unlink()
            with self._lock:
                for name in [name for name in self._open if self._entries[name].sha256 == file.stem]:
                    del self._open[name]

    @contextlib.contextmanager
    def _locked(self, path: Path, wait: bool = True) -> Iterator[None]:
        with open(path, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            yield
