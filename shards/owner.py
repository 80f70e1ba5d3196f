"""Who writes: a process, named so that others can tell whether it has ended."""

import hashlib
import os
import re
import socket
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Owner:
    """A process of some machine.

    Attributes:
        host: the machine's name, for people.
        machine: 8 hexadecimal digits that differ wherever process ids mean something else: another machine, another
            start of the same one, another container.
        process: its id. started: when, in the system's own ticks; 0 where the system does not tell.
    """

    host: str
    machine: str
    process: int
    started: int

    def is_gone(self) -> bool | None:
        """Whether the process has ended; None: it is of another machine, so nobody here can tell."""
        if self.machine != _machine():
            return None
        try:
            os.kill(self.process, 0)
        except (ProcessLookupError, OverflowError):
            return True
        except PermissionError:
            pass  # somebody else's, so it is there
        return _started(self.process) not in (self.started, 0)

    def __str__(self) -> str:
        """As it stands in the names of temporary files; `parse` reads it."""
        return f"{self.host}-{self.machine}-{self.process}-{self.started}"


_TEXT = re.compile(r"([A-Za-z0-9-]{0,32})-([0-9a-f]{8})-([1-9]\d{0,9})-(\d{1,20})")


def parse(text: str) -> Owner | None:
    """The owner that `str` wrote; None: another text."""
    found = _TEXT.fullmatch(text)
    return Owner(found[1], found[2], int(found[3]), int(found[4])) if found else None


def mine() -> Owner:
    return _of(os.getpid())


@cache
def _of(process: int) -> Owner:
    host = re.sub(r"[^A-Za-z0-9]+", "-", socket.gethostname())[:32]
    return Owner(host, _machine(), process, _started(process))


@cache
def _machine() -> str:
    told = [socket.gethostname()]
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            told.append(file.read())
        told.append(os.readlink("/proc/self/ns/pid"))
    except OSError:
        pass  # no Linux
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:8]


def _started(process: int) -> int:
    """When a process began; 0 where that is not told; -1: it has ended and its parent has not looked yet."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            state, *fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return -1 if state in (b"Z", b"X") else int(fields[18])
