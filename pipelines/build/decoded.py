"""Photos that need no decoding: bytes with the same hash have passed the same check before.

`avs-data fetch` notes in its ledger what it has decoded, and with what. A build takes these hashes along in a file of
its work folder, so that workers need no ledger. A photo that is on no list is decoded; its name and size say nothing.
"""

from functools import lru_cache

import numpy as np

from pipelines.fetch import ledger
from pipelines.media.images import DECODER
from shards import storage

_BYTES = 16  # of each SHA-256: enough that no two photos share them
_MOST = 50_000  # photos that a process keeps in mind beside the list


def collect(corpora: str, url: str) -> None:
    """Write the list of a corpora folder, 16 bytes a photo, sorted."""
    digests = ledger.decoded(corpora, DECODER)
    storage.write_atomic(url, b"".join(digest[:_BYTES] for digest in digests))


class Decoded:
    """The list, and what this process has decoded itself: several samples show one photo."""

    def __init__(self, listed: bytes = b"") -> None:
        self._listed = np.frombuffer(listed, f"S{_BYTES}")
        self._own: set[tuple[str, str]] = set()

    def has(self, image_id: str, sha256: str) -> bool:
        if (image_id, sha256) in self._own:
            return True
        digest = np.frombuffer(bytes.fromhex(sha256)[:_BYTES], self._listed.dtype)
        at = int(np.searchsorted(self._listed, digest)[0])
        return at < len(self._listed) and bool(self._listed[at] == digest[0])

    def add(self, image_id: str, sha256: str) -> None:
        if len(self._own) >= _MOST:
            self._own.clear()
        self._own.add((image_id, sha256))


@lru_cache(maxsize=1)
def load(url: str) -> Decoded:
    """The list at a URL, once a process; "": none. A hash that is listed stays true in whatever build."""
    return Decoded(storage.read_bytes(url) if url else b"")
