"""The corpora folder: checked content gets its final name; what the ledger vouches for is trusted by its size."""

import hashlib
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable

from shards import storage, unfinished


class Store:
    """Files below one corpora folder, local or remote. Thread-safe.

    Attributes:
        is_local: whether the folder is of this machine's disks.
    """

    def __init__(self, corpora: str) -> None:
        self.corpora = corpora.rstrip("/")
        self.is_local = storage.is_local(corpora)

    def url(self, path: str) -> str:
        return storage.join(self.corpora, path)

    def put(self, path: str, content: bytes) -> str:
        """Write checked content under its final name; the sha256 in hexadecimal.

        Nobody waits for the disk: after a power failure an incomplete file has not the size that the ledger tells,
        and is fetched again. Syncing each file costs more than half the rate.
        """
        storage.write_atomic(self.url(path), content, durable=False)
        return hashlib.sha256(content).hexdigest()

    def put_file(self, path: str, local: str) -> None:
        """Move a checked local file under its final name, or upload it there."""
        url = self.url(path)
        if self.is_local:
            name = storage.local_path(url)
            os.makedirs(os.path.dirname(name), exist_ok=True)
            os.replace(local, name)
        else:
            with open(local, "rb") as source, storage.open_atomic(url) as target:
                shutil.copyfileobj(source, target, 1 << 20)
            os.remove(local)

    def read(self, path: str) -> bytes:
        return storage.read_bytes(self.url(path))

    def remove(self, path: str) -> None:
        storage.remove(self.url(path))

    def sizes(self, paths: Iterable[str]) -> dict[str, int]:
        """Bytes of those `paths` that exist, one listing a folder."""
        folders: dict[str, set[str]] = defaultdict(set)
        for path in paths:
            folder, _, name = path.rpartition("/")
            folders[folder].add(name)
        found = {}
        for folder, wanted in folders.items():
            for name, size in self._listing(folder):
                if name in wanted:
                    found[f"{folder}/{name}" if folder else name] = size
        return found

    def _listing(self, folder: str) -> Iterable[tuple[str, int]]:
        url = self.url(folder) if folder else self.corpora
        if self.is_local:
            try:
                with os.scandir(storage.local_path(url)) as entries:
                    return [(entry.name, entry.stat().st_size) for entry in entries if entry.is_file()]
            except FileNotFoundError:
                return []
        filesystem, root = storage.filesystem(url)
        found = filesystem.find(root, maxdepth=1, detail=True)
        return [(name.rpartition("/")[2], int(entry["size"])) for name, entry in found.items()]

    def sweep(self, folders: Iterable[str]) -> None:
        """Remove the unfinished files that killed processes left."""
        for folder in set(folders) if self.is_local else ():
            unfinished.sweep(storage.local_path(self.url(folder)))
