"""Processes that share a command's work on one machine."""

import atexit
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from multiprocessing import forkserver, get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from shards import owner, program, storage
from shards.errors import AvsError
from shards.owner import Owner

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]
Pool = Callable[
    [int], AbstractContextManager[Map]
]  # what `pool` is; one on other machines has its own number
LOST = (
    "a worker process was ended from outside, most likely by the system for want of memory; what is written stays "
    "good: run the same command with fewer --workers"
)
_LOOK_S = 0.5
_FORKS = sys.platform == "linux"  # elsewhere libraries of the system may not outlive a fork


class WorkerLost(AvsError):
    """A process that shared the work was killed."""


def follow(command: Owner) -> None:
    """End this process soon after another one has ended, however that was."""

    def watch() -> None:
        while not command.is_gone():
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
def threads(workers: int) -> Iterator[Map]:
    """`map` over so many threads of this process, for work that mostly waits or hashes; results come in order."""
    yield map if workers <= 1 else partial(storage.in_threads, threads=workers)


def prepare(modules: Sequence[str]) -> None:
    """Begin to import what workers need, in a process that they are forked from; this one goes on meanwhile.

    It ends with this process, however that ends.
    """
    if _FORKS:
        forkserver.set_forkserver_preload(list(modules))
        resource_tracker.ensure_running()  # which ends with SIGINT let in
        # That process keeps SIGINT out: Ctrl-C is for this one to tell.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        if anywhere := not os.environ.get("PYTHONSAFEPATH"):
            os.environ["PYTHONSAFEPATH"] = "1"  # else it would take packages of the current folder for ours
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            if anywhere:
                del os.environ["PYTHONSAFEPATH"]


@contextmanager
def told() -> Iterator[None]:
    """Say in words that one of the processes was ended."""
    try:
        yield
    except BrokenProcessPool as error:
        raise WorkerLost(LOST) from error


@contextmanager
def executor(workers: int, modules: Sequence[str] = ()) -> Iterator[ProcessPoolExecutor]:
    """So many new processes, under the same terms.

    Args:
        modules: what they need, imported once for all, where the system can: see `prepare`.

    Raises:
        WorkerLost: the system ended one.
    """
    with _context(modules) as context:
        started = _Executor(workers, context, initializer=_begin, initargs=(owner.mine(), dict(os.environ)))
        try:
            with told():
                yield started
        finally:
            started.shutdown(cancel_futures=True)


@contextmanager
def served(
    workers: int, pipes: int, serve: Callable[..., None], arguments: tuple[Any, ...], modules: Sequence[str]
) -> Iterator[list[Connection]]:
    """Pipes to so many new processes, in turn; who reads one whose process was ended meets its end.

    Args:
        pipes: to each of them.
        serve: called there with its pipes and the `arguments`. When the block ends it is ended, whatever it does.
        modules: see `executor`.
    """
    started: list[BaseProcess] = []
    ours: list[list[Connection]] = []
    with _context(modules) as context:
        try:
            for _ in range(workers):
                pairs = [context.Pipe() for _ in range(pipes)]
                ours.append([our for our, _ in pairs])
                theirs = [their for _, their in pairs]
                begun = (owner.mine(), dict(os.environ), serve, theirs, arguments)
                started.append(context.Process(target=_serve, args=begun, daemon=True))
                start(started[-1])
                for their in theirs:
                    their.close()
            yield [pipe for each in zip(*ours, strict=True) for pipe in each]
        finally:
            for process in started:
                if process.pid is not None:
                    process.kill()
                    process.join()
            for pipe in (pipe for each in ours for pipe in each):
                pipe.close()


def start(process: BaseProcess) -> None:
    """Start a process that Ctrl-C does not reach, nor its start."""
    with _starter() as starter:
        starter.submit(process.start).result()


def _serve(
    command: Owner,
    environment: dict[str, str],
    serve: Callable[..., None],
    pipes: list[Connection],
    arguments: tuple[Any, ...],
) -> None:
    _begin(command, environment)
    serve(pipes, *arguments)


@contextmanager
def _context(modules: Sequence[str]) -> Iterator[Any]:
    """How processes are started, with `modules` imported once for all, where the system can."""
    if modules:
        prepare(modules)
    forks = bool(modules) and _FORKS
    try:
        yield get_context("forkserver" if forks else "spawn")
    finally:
        if forks:
            forkserver._forkserver._stop()  # type: ignore[attr-defined]  # ends it, and waits until it has


def _starter() -> ThreadPoolExecutor:
    """A thread that Ctrl-C does not reach, nor the processes that are started in it.

    Ctrl-C is raised in the main thread: a process half started would print a traceback, or take another's word to end.
    """
    resource_tracker.ensure_running()  # which ends with SIGINT let in
    return ThreadPoolExecutor(
        1, initializer=signal.pthread_sigmask, initargs=(signal.SIG_BLOCK, [signal.SIGINT])
    )


class _Executor(ProcessPoolExecutor):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._starter = _starter()

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        return self._starter.submit(super().submit, function, *arguments, **named).result()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._starter.shutdown(wait)
        super().shutdown(wait, cancel_futures=cancel_futures)


def _begin(command: Owner, environment: dict[str, str]) -> None:
    os.environ.clear()  # who they are forked from may have begun under another one
    os.environ.update(environment)
    gc.freeze()  # modules are not looked through for garbage each time
    logging.disable(logging.WARNING)  # Beam warns of cloud clients that are not needed
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    atexit.register(program.leave, 0)  # the first that is registered runs last
    follow(command)
