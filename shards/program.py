"""How a process of ours ends: all that is meant to run at its end has run, and the interpreter is not taken apart.

A thread of a C++ library (Arrow's, torch's, gRPC's) that asks for the interpreter while that is taken apart is ended by
it, which C++ answers with "terminate called without an active exception" and exit code -6; from Python 3.14 on it
waits for ever, and the library for it. Such a thread need not be at work: it is enough that it lets go of a file that
Python made. None of these libraries can be asked to end its threads. So a process ends by the system's own call, which
ends all threads at once, after what the interpreter does first: threads that are not daemons are waited for, exit
handlers run, the streams are flushed.
"""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from shards import interrupts
from shards.command_line import printable

_INTERRUPTED = 130


def run(command_line: Callable[[], object]) -> NoReturn:
    """Call a command line, and end this process with its exit code."""
    code = 0
    sys.unraisablehook = interrupts.unraisable
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupts.handler)
    try:
        command_line()
    except SystemExit as error:
        code = _code(error)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        code = _INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
    with suppress(KeyboardInterrupt):  # whoever presses Ctrl-C again does not want to wait
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    leave(code)


def leave(code: int) -> NoReturn:
    """End this process at once; what was printed is written first."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError) as error:  # no room, nobody who reads, closed
            code = code or 1
            with suppress(OSError, ValueError, AttributeError):
                print(printable(f"Error: {stream.name}: {error}"), file=sys.stderr, flush=True)
    os._exit(code)


def _code(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    print(printable(str(error.code)), file=sys.stderr)
    return 1
