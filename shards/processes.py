"""Processes that share a command's work on one machine."""

import atexit
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import get_context
from typing import Any

from shards import program
from shards.errors import AvsError

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]
Pool = Callable[
    [int], AbstractContextManager[Map]
]  # what `pool` is; one on other machines has its own number
LOST = (
    "a worker process was ended from outside, most likely by the system for want of memory; what is written stays "
    "good: run the same command with fewer --workers"
)
_LOOK_S = 0.5


class WorkerLost(AvsError):
    """A process that shared the work was killed."""


def follow(parent: int) -> None:
    """End this process soon after its parent has ended, however that was."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="follow").start()


@contextmanager
def pool(workers: int) -> Iterator[Map]:
    """`map` over so many new processes, in this one where one is enough; results come in order.

    Ctrl-C is left to the command: what is not begun when the block ends is not done.

    Raises:
        WorkerLost: one of them was killed.
    """
    if workers <= 1:
        yield map
        return
    with executor(workers) as started:
        yield started.map


@contextmanager
def executor(workers: int) -> Iterator[ProcessPoolExecutor]:
    """So many new processes, under the same terms.

    Raises:
        WorkerLost: the system ended one.
    """
    started = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin, initargs=(os.getpid(),))
    try:
        yield started
    except BrokenProcessPool as error:
        raise WorkerLost(LOST) from error
    finally:
        started.shutdown(cancel_futures=True)


def _begin(parent: int) -> None:
    logging.disable(logging.WARNING)  # Beam warns of cloud clients that are not needed
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    atexit.register(program.leave, 0)  # the first that is registered runs last
    follow(parent)
