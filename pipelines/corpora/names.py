"""File names that come from a corpus: which are safe, and which are there."""

import itertools
import os
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.corpora.keys import Positions, text_keys
from shards import storage

# No separator, no control character: a name can only be a file of its own folder.
_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f]")
_UNSAFE_BYTES = np.array([byte in b"/\\\x7f" or byte < 32 for byte in range(256)])
_AT_ONCE = 64 << 10  # names turned into keys in one go
_LONGEST = 255  # bytes, the limit of common file systems
RULE = (
    "a name may not be empty, '.' or '..', hold '/', '\\' or control characters, or be longer than 255 bytes"
)


def is_safe(name: str) -> bool:
    """Whether `name` names a file in its own folder and nothing else."""
    try:
        return name not in ("", ".", "..") and not _UNSAFE.search(name) and len(name.encode()) <= _LONGEST
    except UnicodeEncodeError:  # bytes of a file system that are no text
        return False


def safe(names: pa.Array) -> np.ndarray:
    """`is_safe` of each text, (n,) bool. Single names are looked at only where a byte is suspicious."""
    lengths = pc.binary_length(names).to_numpy(zero_copy_only=False)
    result = (lengths > 2) & (lengths <= _LONGEST)
    offsets = np.frombuffer(names.buffers()[1], dtype=np.int32)[names.offset : names.offset + len(names) + 1]
    data = np.frombuffer(names.buffers()[2] or b"", dtype=np.uint8)[offsets[0] : offsets[-1]]
    doubtful = np.arange(len(names)) if _UNSAFE_BYTES[data].any() else np.flatnonzero(lengths <= 2)
    for row in doubtful:
        result[row] = is_safe(names[row].as_py())
    return result


def tree(url: str) -> list[str]:
    """The path below a folder of every file in it and in the folders below, sorted; empty where there is no folder.

    What has no safe name is passed over.
    """
    found: list[str] = []
    waiting, entered = [""], set()
    while waiting:
        below = waiting.pop()
        folder = storage.join(url, below) if below else url
        if storage.is_local(folder):  # a link to a folder above would lead round for ever
            real = os.path.realpath(storage.local_path(folder))
            if real in entered:
                continue
            entered.add(real)
        files, folders = storage.listing(folder)
        prefix = f"{below}/" if below else ""
        found += [prefix + name for name in files if is_safe(name)]
        waiting += [prefix + name for name in folders if is_safe(name)]
    return sorted(found)


class Listing:
    """The files of one extension in a folder and in the folders directly below it; of equal names, the first.

    Holds 18 bytes a file, so that millions fit: a path is put together again from its folder and its name.
    """

    def __init__(self, corpora: str, folder: str, extension: str) -> None:
        """`folder` is relative to `corpora`; a missing one has no files."""
        self._extension = extension
        files, below = storage.listing(storage.join(corpora, folder))
        folders = [folder, *(f"{folder}/{name}" for name in below)]
        keys = [self._keys(files)]
        keys += [self._keys(storage.listing(storage.join(corpora, name))[0]) for name in folders[1:]]
        self._positions = Positions(np.concatenate(keys))
        self._folders = pa.array(folders, pa.string())
        self._folder_of = np.repeat(np.arange(len(keys), dtype=np.int16), [len(part) for part in keys])

    def _keys(self, files: list[str]) -> np.ndarray:
        end = len(self._extension)
        names = (
            name[:-end].encode(errors="surrogateescape") for name in files if name.endswith(self._extension)
        )
        keys = [np.empty(0, np.uint64)]
        while part := list(itertools.islice(names, _AT_ONCE)):
            keys.append(text_keys(pa.array(part, pa.binary())))
        return np.concatenate(keys)

    def find(self, stems: pa.StringArray) -> pa.StringArray:
        """The path below `corpora` of the file with each name (without its extension); null where there is none."""
        if not len(self._folder_of):
            return pa.nulls(len(stems), pa.string())
        positions = self._positions.find(text_keys(stems))
        folders = self._folders.take(pa.array(self._folder_of[positions], mask=positions < 0))
        paths = pc.binary_join_element_wise(folders, stems, "/")
        return pc.binary_join_element_wise(paths, self._extension, "")
