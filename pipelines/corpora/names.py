"""File names that come from a corpus: which are safe, and which are there."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.corpora.keys import Positions, text_keys

# No separator, no control character: a name can only be a file of its own folder.
_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f]")
_UNSAFE_BYTES = np.array([byte in b"/\\\x7f" or byte < 32 for byte in range(256)])
_LONGEST = 255  # bytes, the limit of common file systems
RULE = (
    "a name may not be empty, '.' or '..', hold '/', '\\' or control characters, or be longer than 255 bytes"
)


def is_safe(name: str) -> bool:
    """Whether `name` names a file in its own folder and nothing else."""
    return name not in ("", ".", "..") and not _UNSAFE.search(name) and len(name.encode()) <= _LONGEST


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


class Listing:
    """The files of a folder by the part of their name before the extension; of equal ones, the first path."""

    def __init__(self, folder: str, paths: list[str], extension: str) -> None:
        """`paths` as `storage.files` lists them below `folder`; those of another extension are left out."""
        paths = [path for path in paths if path.endswith(extension)]
        paths.sort(key=lambda path: (path.count("/"), path))
        stems = pa.array([path.rsplit("/", 1)[-1].removesuffix(extension) for path in paths], pa.string())
        self._paths = pa.array([f"{folder}/{path}" for path in paths], pa.string())
        self._positions = Positions(text_keys(stems))

    def find(self, stems: pa.Array) -> pa.Array:
        """The path of each name, null where the file is not there."""
        positions = self._positions.find(text_keys(stems))
        return self._paths.take(pa.array(positions, mask=positions < 0))
