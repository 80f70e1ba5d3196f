"""Ctrl-C and SIGTERM, raised where that is safe.

Python raises them between any two steps of the main thread. Within an import that leaves its locks held, so that a
thread waits for ever; in a function that a library of C calls for the bytes of a sound, the library takes what is
raised for the end of the file, and goes on. There a signal waits: it is sent again, a moment later.
"""

import _thread
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

_SOON_S, _AGAIN_S = 0.01, 0.2
_called_from_c = {("/soundfile.py", "vio_")}  # how the file of a function ends, and how its name begins
_waiting: set[int] = set()  # signals that will be sent again


class Terminated(KeyboardInterrupt):
    """SIGTERM: a command ends as it does at Ctrl-C."""


def called_from_c(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function that a library of C calls, so that no signal is raised in it."""
    _called_from_c.add((function.__code__.co_filename, function.__code__.co_name))
    return function


def handler(number: int, frame: FrameType | None) -> None:
    """Raise what a signal means, or have it sent again."""
    if _is_unsafe(frame):
        again(number)
        return
    _waiting.discard(number)
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def again(number: int) -> None:
    """Send a signal to the main thread a moment later, and again until it is raised: one that comes just before that
    thread begins to wait does not wake it.
    """
    if number not in _waiting:
        _waiting.add(number)
        _thread.start_new_thread(_send, (number,))


def unraisable(told: "sys.UnraisableHookArgs") -> None:
    """For `sys.unraisablehook`: a signal that was raised in a finalizer, where Python goes on, is sent again."""
    if issubclass(told.exc_type, KeyboardInterrupt):
        again(signal.SIGTERM if issubclass(told.exc_type, Terminated) else signal.SIGINT)
    else:
        sys.__unraisablehook__(told)


def _send(number: int) -> None:
    pause = _SOON_S
    while number in _waiting:
        time.sleep(pause)
        pause = _AGAIN_S
        if signal.getsignal(number) is not handler:  # the command has ended
            _waiting.discard(number)
        elif number in _waiting:
            signal.pthread_kill(threading.main_thread().ident or 0, number)


def _is_unsafe(frame: FrameType | None) -> bool:
    while frame is not None:
        file, name = frame.f_code.co_filename, frame.f_code.co_name
        if file == "<frozen importlib._bootstrap>":
            return True
        if any(file.endswith(end) and name.startswith(begin) for end, begin in _called_from_c):
            return True
        frame = frame.f_back
    return False
