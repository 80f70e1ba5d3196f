"""Which code decides the bytes of a shard: other code writes every shard again, and the manifest names it."""

import hashlib
import importlib.metadata
import zlib
from functools import cache
from pathlib import Path

# What the encoders make of fixed inputs: {what: sha256}. `tests/test_bytes_version.py` fails when they make anything
# else, so this file moves with them, and with it BYTES_VERSION.
GOLDEN = Path(__file__).with_name("bytes.json")
GOLDEN_SCENES = Path(__file__).with_name("bytes_of_scenes.json")  # and of a recipe with a table [scene]
_PACKAGES = ("av", "avs-data", "numpy", "pillow", "pyarrow", "pycocotools", "soundfile", "soxr")


@cache
def code_versions(scenes: bool = False) -> dict[str, str]:
    """Versions of everything that decides the bytes of a shard; `bytes` is that of our own encoders, and `scenes` of
    what makes scenes."""
    ours = {"bytes": bytes_version(GOLDEN)} | ({"scenes": bytes_version(GOLDEN_SCENES)} if scenes else {})
    packages = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return ours | packages | {"zlib": zlib.ZLIB_RUNTIME_VERSION}  # the one that Python is linked to


def bytes_version(golden: Path) -> str:
    """12 hexadecimal digits that change with what our encoders make."""
    return hashlib.sha256(golden.read_bytes()).hexdigest()[:12]


def differences(made: dict[str, str]) -> list[str]:
    """Where the code that made a dataset is not the code here, one text each."""
    here = code_versions(scenes="scenes" in made)
    return [
        f"{name} {made.get(name, 'unknown')}, here {here.get(name, 'unknown')}"
        for name in sorted({*made, *here})
        if made.get(name) != here.get(name)
    ]
