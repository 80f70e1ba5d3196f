"""One call in a process of its own, with bounds on its time and memory, and what became of it.

The process is forked from one that has imported everything, so that a trial costs some hundredths of a second.
"""

import faulthandler
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CPU_S = 10  # of one trial: a busy machine counts no more than an idle one
SILENT_S = 120.0  # without using any CPU, until a trial that waits for something that never comes is ended
MEMORY = 1 << 30  # bytes at most, what is imported included
_ROOM = 6 << 30  # of memory; whoever asks for more meets a MemoryError, and the machine lives


@dataclass(frozen=True)
class Outcome:
    """How a call ended: its exit code (negative: the signal that killed it), its stderr, and its largest memory."""

    code: int
    said: str
    memory: int  # bytes

    @property
    def fault(self) -> str:
        """What is wrong with it; empty: nothing."""
        if self.code == -signal.SIGXCPU:
            return f"used {CPU_S} s of CPU"
        if self.code == -signal.SIGKILL:
            return f"hung for {SILENT_S:g} s: {self.said[:1500]}"
        if self.code < 0:
            return f"died of signal {-self.code}: {self.said[-300:]}"
        if "Traceback (most recent call last)" in self.said or self.code not in (0, 1, 2):
            return f"exit code {self.code}: {self.said[-1500:]}"
        if self.memory > MEMORY:
            return f"took {self.memory >> 20} MiB of memory"
        return ""


def run(call: Callable[[], object], folder: Path) -> Outcome:
    """Run `call` in `folder`, its temporary files and home there too."""
    said = folder / "stderr"
    child = os.fork()
    if child == 0:
        _live(call, folder, said)
    used, silent_since = -1, time.monotonic()
    while True:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            break
        if (now := _used(child)) != used:  # a busy machine lets it wait, too
            used, silent_since = now, time.monotonic()
        if time.monotonic() > silent_since + SILENT_S:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.005)
    code = os.waitstatus_to_exitcode(status)
    return Outcome(code, said.read_text(errors="replace") if said.exists() else "", usage.ru_maxrss << 10)


def _used(process: int) -> int:
    """CPU time of a process, in the system's ticks."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def aside(call: Callable[[], object]) -> None:
    """Run `call` in a forked process, so that this one stays without threads, which a fork would lose."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            call()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


def _live(call: Callable[[], object], folder: Path, said: Path) -> None:
    code = 99
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 5))
        resource.setrlimit(resource.RLIMIT_DATA, (_ROOM, _ROOM))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.chdir(folder)
        os.environ.update(TMPDIR=str(folder), HOME=str(folder), XDG_CACHE_HOME=str(folder))
        quiet = os.open(os.devnull, os.O_RDWR)
        os.dup2(quiet, 0)
        os.dup2(quiet, 1)
        os.dup2(os.open(said, os.O_CREAT | os.O_WRONLY, 0o600), 2)
        sys.stdout, sys.stderr = open(1, "w"), open(2, "w", buffering=1, errors="replace")  # noqa: SIM115
        faulthandler.dump_traceback_later(SILENT_S - 5, file=sys.stderr)
        call()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1 if error.code else 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
