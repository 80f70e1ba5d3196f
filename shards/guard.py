"""The one guard around every step on one item: whatever the item holds, the others go on.

An exception that nobody foresaw becomes a rejection (`internal_error`), its traceback goes to stderr, and the
command says so at its end. What is no item's fault goes on up: a store that fails, no memory, an interrupt.
"""

import re
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import TypeVar

import pyarrow.compute as pc

from shards import format
from shards.command_line import printable
from shards.errors import AvsError, StorageError
from shards.reader import Dataset
from shards.rejections import Reason, Rejected

Result = TypeVar("Result")

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+\b")
_PLACE = re.compile(r"(?:[a-z][a-z0-9+.-]*://|(?<![\w.])/)[^\s'\",;)]+")
_LONGEST = 300
_shown: set[tuple[str, str, int]] = set()  # what this process has shown: once for each line that fails
_showing = threading.Lock()


def guarded(item: str, step: Callable[[], Result]) -> Result | Rejected:
    """What `step` gives, or why the item is dropped.

    Raises:
        AvsError, MemoryError, and an OSError of the system: those are not the item's fault.
    """
    try:
        return step()
    except Rejected as error:
        return error
    except Exception as error:
        return unforeseen(item, error)


def unforeseen(item: str, error: Exception) -> Rejected:
    """An exception that nobody foresaw as the item's rejection; raised again where the item is not to blame."""
    if isinstance(error, (AvsError, MemoryError)):
        raise error
    if isinstance(error, OSError) and type(error).__module__ == "builtins" and error.errno is not None:
        raise StorageError(
            f"{error.strerror} ({item})"
        ) from error  # PyAV's and Pillow's own derive from OSError too
    _show(item, error)
    return Rejected(Reason.INTERNAL_ERROR, f"{type(error).__name__}: {_reproducible(str(error))}")


def report(dataset: str) -> str | None:
    """What to say at the end of a command whose dataset lacks items for `internal_error`; None: it lacks none."""
    table = Dataset(dataset).table(format.REJECTIONS)
    lost = table.filter(pc.equal(table["reason"], Reason.INTERNAL_ERROR.value)).to_pylist()
    told = [f"{row['item']} at stage {row['stage']}: {row['detail']}" for row in lost]
    return say(told, f"{format.REJECTIONS} lists them")


def say(lost: Sequence[str], where: str) -> str | None:
    """One line about the items that met a fault of the program, each told with its error; None: there are none."""
    if not lost:
        return None
    return (
        f"{len(lost)} item(s) met a fault of this program and were left out, the first {lost[0]}. Everything else is "
        f"done; {where} as {Reason.INTERNAL_ERROR.value}, and the traceback is above. Please report it"
    )


def _reproducible(said: str) -> str:
    """Without what differs from run to run or from machine to machine."""
    return " ".join(_PLACE.sub("…", _ADDRESS.sub("0x…", said)).split())[:_LONGEST]


def _show(item: str, error: Exception) -> None:
    frames = traceback.extract_tb(error.__traceback__)
    last = (
        (type(error).__name__, frames[-1].filename, frames[-1].lineno or 0) if frames else (str(error), "", 0)
    )
    with _showing:
        if last in _shown:
            return
        _shown.add(last)
    sys.stderr.write(printable(f"internal error at {item}:\n{''.join(traceback.format_exception(error))}\n"))
