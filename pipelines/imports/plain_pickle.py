"""A pickle of plain values, read without running anything in it: dicts, lists, texts and numbers."""

import io
import pickle
import pickletools
from typing import Any, NoReturn

from pipelines.imports.planned import LayoutError
from shards import storage

_MOST_BYTES = 1 << 28
_PLAIN = (dict, list, tuple, str, int, float, bool, type(None))


def read(url: str) -> Any:
    """The value that a pickle holds.

    Raises:
        LayoutError: damaged, over 256 MB, or with anything in it but dicts, lists, tuples, texts, numbers and None.
    """
    size = storage.size(url)
    if size > _MOST_BYTES:
        raise LayoutError(f"{url} has {size:,} bytes, a list of names has {_MOST_BYTES:,} at most")
    content = storage.read_bytes(url)
    try:
        # A pickle numbers what it has read; a number beyond its own length would only take memory.
        if any("PUT" in op.name and int(arg or 0) > size for op, arg, _ in pickletools.genops(content)):
            raise ValueError("a number of a value beyond its length")
        value = _Plain(io.BytesIO(content)).load()
    except LayoutError as error:
        raise LayoutError(f"{url} {error}") from error
    except Exception as error:  # whatever damaged bytes make the machine of pickles do
        raise LayoutError(f"{url} is no pickle that can be read: {type(error).__name__}: {error}") from error
    waiting = [value]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if not isinstance(one, _PLAIN):
            raise LayoutError(
                f"{url} holds a {type(one).__name__}: only dicts, lists, texts and numbers are read"
            )
        if isinstance(one, dict | list | tuple) and id(one) not in seen:
            seen.add(id(one))  # a list may hold itself
            waiting += [*one.keys(), *one.values()] if isinstance(one, dict) else one
    return value


class _Plain(pickle.Unpickler):
    """Every way out of plain values goes through one of these two."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise LayoutError(
            f"asks for {module}.{name}, and nothing in it is run: only dicts, lists, texts and numbers are read"
        )

    def persistent_load(self, pid: Any) -> NoReturn:
        raise LayoutError(f"refers to {pid!r} outside itself: only dicts, lists, texts and numbers are read")
