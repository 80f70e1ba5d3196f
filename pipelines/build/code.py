"""Which code decides the bytes of a shard: other code writes every shard again, and the manifest names it."""

import hashlib
import importlib.metadata
from functools import cache
from pathlib import Path

# What the encoders make of fixed inputs: {what: sha256}. `tests/test_bytes_version.py` fails when they make anything
# else, so this file moves with them, and with it BYTES_VERSION.
GOLDEN = Path(__file__).with_name("bytes.json")
_PACKAGES = ("av", "avs-data", "numpy", "pillow", "pyarrow", "pycocotools", "soundfile", "soxr")


@cache
def code_versions() -> dict[str, str]:
    """Versions of everything that decides the bytes of a shard; `bytes` is that of our own encoders."""
    return {"bytes": bytes_version(), **{name: importlib.metadata.version(name) for name in _PACKAGES}}


def bytes_version() -> str:
    """12 hexadecimal digits that change with what our encoders make."""
    return hashlib.sha256(GOLDEN.read_bytes()).hexdigest()[:12]


def differences(made: dict[str, str]) -> list[str]:
    """Where the code that made a dataset is not the code here, one text each."""
    here = code_versions()
    return [
        f"{name} {made.get(name, 'unknown')}, here {here.get(name, 'unknown')}"
        for name in sorted({*made, *here})
        if made.get(name) != here.get(name)
    ]
