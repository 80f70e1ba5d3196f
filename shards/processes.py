"""Processes that share a command's work on one machine."""

import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]


@contextmanager
def pool(workers: int) -> Iterator[Map]:
    """`map` over so many new processes, in this one where one is enough; results come in order.

    Ctrl-C is left to the command: what is not begun when the block ends is not done.
    """
    if workers <= 1:
        yield map
        return
    with executor(workers) as started:
        yield started.map


@contextmanager
def executor(workers: int) -> Iterator[ProcessPoolExecutor]:
    """So many new processes, under the same terms."""
    started = ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)
    )
    try:
        yield started
    finally:
        started.shutdown(cancel_futures=True)
