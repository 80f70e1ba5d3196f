"""How far the worker processes of a command are: they add lines to one file, and the command reads it.

Workers on other machines send what they have to tell (`send_by`). Only what a person sees depends on it: where no file
is named, or none can be written, nothing is told.
"""

import os
import time
from collections import Counter
from collections.abc import Callable

VARIABLE = "AVS_DATA_PROGRESS"  # names the file; workers inherit it
_EACH_S = 0.3
_SPENT = "spent: "

_open: Counter[str] = Counter()  # items of this process's table that were told before the table was done
_pending: Counter[str] = Counter()
_told = 0.0
_send: Callable[[str, int, int], None] | None = None


def send_by(send: Callable[[str, int, int], None]) -> None:
    """From now on this process hands what it has to tell, as `tell` takes it, to `send`."""
    global _send
    _send = send


def item(stage: str, unit: str) -> None:
    """One more item of a table is done."""
    global _told
    if not _send and VARIABLE not in os.environ:
        return
    what = f"{stage} {unit}"
    _pending[what] += 1
    if time.monotonic() - _told >= _EACH_S:
        _told = time.monotonic()
        _open[what] += _pending[what]
        (_send or tell)(what, _pending.pop(what), 0)


def table(stage: str, unit: str, taken: int, kept: int) -> None:
    """A table is done: how many items it had, how many of them the stage keeps."""
    if not _send and VARIABLE not in os.environ:
        return
    what = f"{stage} {unit}"
    _pending.pop(what, None)
    (_send or tell)(what, taken - _open.pop(what, 0), kept)


def spent(stage: str, processor_s: float, wall_s: float) -> None:
    """A task of a stage has ended, which took so much."""
    if _send or VARIABLE in os.environ:
        (_send or tell)(f"{_SPENT}{stage}", round(processor_s * 1e6), round(wall_s * 1e6))


def read_spent(path: str) -> dict[str, tuple[float, float]]:
    """Processor and wall seconds of all tasks of each stage, in the order in which they began to end."""
    taken, kept = read(path)
    return {
        what.removeprefix(_SPENT): (taken[what] / 1e6, kept[what] / 1e6)
        for what in taken
        if what.startswith(_SPENT)
    }


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


def tell(what: str, taken: int, kept: int) -> None:
    """Add to the file: so many more items of "stage unit" were taken, and kept."""
    try:
        file = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND)
    except (KeyError, OSError):
        return
    try:
        os.write(file, f"{what} {taken} {kept}\n".encode())
    except OSError:
        pass
    finally:
        os.close(file)
