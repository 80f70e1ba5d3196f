"""How far the worker processes of a command are: they add lines to one file, and the command reads it.

Only what a person sees depends on it: where no file is named, or none can be written, nothing is told.
"""

import os
import time
from collections import Counter

VARIABLE = "AVS_DATA_PROGRESS"  # names the file; workers inherit it
_EACH_S = 0.3

_open: Counter[str] = Counter()  # items of this process's table that were told before the table was done
_pending: Counter[str] = Counter()
_told = 0.0


def item(stage: str, unit: str) -> None:
    """One more item of a table is done."""
    global _told
    if VARIABLE not in os.environ:
        return
    what = f"{stage} {unit}"
    _pending[what] += 1
    if time.monotonic() - _told >= _EACH_S:
        _told = time.monotonic()
        _open[what] += _pending[what]
        _tell(what, _pending.pop(what), 0)


def table(stage: str, unit: str, taken: int, kept: int) -> None:
    """A table is done: how many items it had, how many of them the stage keeps."""
    if VARIABLE not in os.environ:
        return
    what = f"{stage} {unit}"
    _pending.pop(what, None)
    _tell(what, taken - _open.pop(what, 0), kept)


def read(path: str) -> tuple[Counter[str], Counter[str]]:
    """Items taken and kept so far, by "stage unit"."""
    taken, kept = Counter[str](), Counter[str]()
    with open(path) as file:
        for line in file:
            if line.endswith("\n"):  # else it is being written
                what, one, other = line.rsplit(maxsplit=2)
                taken[what] += int(one)
                kept[what] += int(other)
    return taken, kept


def _tell(what: str, taken: int, kept: int) -> None:
    try:
        file = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND)
    except OSError:
        return
    try:
        os.write(file, f"{what} {taken} {kept}\n".encode())
    except OSError:
        pass
    finally:
        os.close(file)
