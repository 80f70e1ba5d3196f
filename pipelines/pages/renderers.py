"""Processes that draw pictures, so that none takes more memory or time than it is given."""

import queue
import resource
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pipelines.pages.errors import Busy, Unreadable
from shards import processes

WORKERS = 2
MEMORY = 1 << 30  # bytes that one may take beyond what it takes when it waits
RENDER_S = 15.0  # then it is killed
START_S = 120.0
WAIT_S = 60.0  # for one that is free


class Job(Protocol):
    """Bytes, and what to make of them. `name`: how errors call it."""

    @property
    def name(self) -> str: ...


Work = TypeVar("Work", bound=Job)
Picture = TypeVar("Picture")


class _Worker(Generic[Work, Picture]):
    def __init__(self, draw: Callable[[Work], Picture], memory: int) -> None:
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, draw, memory), daemon=True)
        processes.start(self._process)
        theirs.close()  # when this process ends, however it does, the other one reads the end of the pipe, and ends
        fault = "" if self._connection.poll(START_S) else f"did not start within {START_S:.0f} s"
        with suppress(EOFError, OSError):
            if not fault:
                self._connection.recv()
                return
        self.end()
        raise Busy(f"no picture can be rendered: a process {fault or 'ended while it started'}")

    def draw(self, job: Work, seconds: float) -> Picture:
        self._connection.send(job)
        if not self._connection.poll(seconds):
            raise TimeoutError
        answer: Picture | Unreadable = self._connection.recv()
        if isinstance(answer, Unreadable):
            raise answer
        return answer

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()


class Renderers(Generic[Work, Picture]):
    """Thread-safe; a process starts when the first picture needs it, and ends with this one.

    Args:
        draw: makes a picture of a job, or raises Unreadable; a function of a module.
        seconds: of one picture.
        memory: bytes of one picture.
    """

    def __init__(
        self,
        draw: Callable[[Work], Picture],
        workers: int = WORKERS,
        seconds: float = RENDER_S,
        memory: int = MEMORY,
    ) -> None:
        self._draw, self._seconds, self._memory = draw, seconds, memory
        self._free: queue.LifoQueue[_Worker[Work, Picture] | None] = queue.LifoQueue()
        for _ in range(workers):
            self._free.put(None)

    def picture(self, load: Callable[[], Work]) -> Picture:
        """Of what `load` reads, once a process is free for it.

        Raises:
            Unreadable: no picture, or one that takes too much time or memory. Busy: none was free in WAIT_S.
        """
        try:
            worker = self._free.get(timeout=WAIT_S)
        except queue.Empty:
            raise Busy("too many pictures are asked for at once: ask again later") from None
        try:
            job = load()
            worker = worker or _Worker(self._draw, self._memory)
            try:
                return worker.draw(job, self._seconds)
            except (TimeoutError, EOFError, OSError) as error:
                worker.end()
                worker = None
                took = (
                    f"took over {self._seconds:.0f} s"
                    if isinstance(error, TimeoutError)
                    else "ended its process"
                )
                raise Unreadable(f"{job.name!r} is not shown: to decode it {took}") from error
        finally:
            self._free.put(worker)


def _serve(connection: Connection, draw: Callable[[Any], Any], memory: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to answer
    _bound(memory)
    with suppress(EOFError, OSError):  # the server has ended
        connection.send("ready")
        while True:
            connection.send(_answer(draw, connection.recv(), memory))


def _answer(draw: Callable[[Any], Any], job: Job, memory: int) -> Any:
    try:
        return draw(job)
    except Unreadable as error:
        return error
    except MemoryError:
        return Unreadable(f"{job.name!r} is not shown: it takes more than {memory >> 20} MiB to decode")
    except Exception as error:  # of one picture, whatever it is
        return Unreadable(f"{job.name!r} is not a readable photo: {type(error).__name__}")


def _bound(memory: int) -> None:
    """Let this process take so much more address space than it has now, where the system tells and holds that."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        bound = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
    except (OSError, ValueError):
        return
