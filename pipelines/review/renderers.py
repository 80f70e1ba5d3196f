"""Processes that render tiles, so that no picture takes more memory or time than they are given."""

import queue
import resource
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from pipelines.review.errors import ReviewError
from pipelines.review.render import Job, Tile, Unreadable, tile

WORKERS = 2
MEMORY = 1 << 30  # bytes that one may take beyond what it takes when it waits
RENDER_S = 15.0  # then it is killed
START_S = 120.0
WAIT_S = 60.0  # for one that is free


class Busy(ReviewError):
    """More pictures are asked for than can be rendered now."""


class _Worker:
    def __init__(self, memory: int) -> None:
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, memory), daemon=True)
        self._process.start()
        theirs.close()  # when this process ends, however it does, the other one reads the end of the pipe, and ends
        if not self._connection.poll(START_S):
            self.end()
            raise Busy(f"no picture can be rendered: a process did not start within {START_S:.0f} s")
        self._connection.recv()

    def render(self, job: Job, seconds: float) -> Tile:
        self._connection.send(job)
        if not self._connection.poll(seconds):
            raise TimeoutError
        answer: Tile | Unreadable = self._connection.recv()
        if isinstance(answer, Unreadable):
            raise answer
        return answer

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()


class Renderers:
    """Thread-safe; a process starts when the first picture needs it, and ends with this one.

    Args:
        seconds: of one picture.
        memory: bytes of one picture.
    """

    def __init__(self, workers: int = WORKERS, seconds: float = RENDER_S, memory: int = MEMORY) -> None:
        self._seconds, self._memory = seconds, memory
        self._free: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(workers):
            self._free.put(None)

    def tile(self, load: Callable[[], Job]) -> Tile:
        """The tile of what `load` reads, once a process is free for it.

        Raises:
            Unreadable: no picture, or one that takes too much time or memory. Busy: none was free in WAIT_S.
        """
        try:
            worker = self._free.get(timeout=WAIT_S)
        except queue.Empty:
            raise Busy("too many pictures are asked for at once: ask again later") from None
        try:
            job = load()
            worker = worker or _Worker(self._memory)
            try:
                return worker.render(job, self._seconds)
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


def _serve(connection: Connection, memory: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to answer
    _bound(memory)
    with suppress(EOFError, OSError):  # the server has ended
        connection.send("ready")
        while True:
            connection.send(_answer(connection.recv(), memory))


def _answer(job: Job, memory: int) -> Tile | Unreadable:
    try:
        return tile(job)
    except Unreadable as error:
        return error
    except MemoryError:
        return Unreadable(f"{job.name!r} is not shown: it takes more than {memory >> 20} MiB to decode")
    except Exception as error:  # of one picture, whatever it is
        return Unreadable(f"{job.name!r} is not a readable picture: {type(error).__name__}")


def _bound(memory: int) -> None:
    """Let this process take so much more address space than it has now, where the system tells and holds that."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        bound = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
    except (OSError, ValueError):
        return
