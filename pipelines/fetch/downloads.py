"""Photos that other processes download, check and write: in one process all threads wait for Python's lock.

The command alone decides what is asked for when, and keeps the ledger. An item goes to a process through a pipe, and
what became of it comes back; each pipe has a thread there, so that as many are under way as there are pipes.
"""

import resource
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from queue import LifoQueue

from pipelines.fetch import tasks
from pipelines.fetch.causes import guarded
from pipelines.fetch.http import Client
from pipelines.fetch.items import Item
from pipelines.fetch.options import FetchOptions
from pipelines.fetch.politeness import Job
from pipelines.fetch.store import Store
from pipelines.fetch.workers import Done, Task
from shards import processes

WORTH = 500  # fewer photos are there before processes have started
_THREADS = 200  # of one process, at most: so many pipes it can be given
_OTHER_FILES = 40  # open besides


@contextmanager
def photos(corpora: str, options: FetchOptions, workers: int, threads: int) -> Iterator[Task]:
    """The task of photos, in so many processes, which have a thread for each that is under way at once.

    Raises:
        WorkerLost: the system ended one; from the task.
    """
    workers = min(workers, threads)
    share = min(_most(workers), -(-threads // workers))
    with processes.served(workers, share, _serve, (corpora, options, workers), (__name__,)) as pipes:
        idle = LifoQueue[Connection]()
        for pipe in pipes:
            idle.put(pipe)

        def run(job: Job) -> Done:
            pipe = idle.get()
            try:
                pipe.send(job.item)
                answer: Done | Exception = pipe.recv()
            except (EOFError, ConnectionError) as error:
                raise processes.WorkerLost(processes.LOST) from error
            finally:
                idle.put(pipe)  # a lost one too, or others would wait for ever
            if isinstance(answer, Exception):
                raise answer
            return answer

        yield Task(run, tasks.TOOL)


def _most(workers: int) -> int:
    """How many pipes each of `workers` may have, by what the system lets a process open."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files == resource.RLIM_INFINITY:
        return _THREADS
    return max(1, min(_THREADS, (files - _OTHER_FILES - 3 * workers) // (workers + 2)))


def _serve(pipes: Sequence[Connection], corpora: str, options: FetchOptions, workers: int) -> None:
    fetched = tasks.fetched_photo(Store(corpora), Client(stall_s=options.stall_s), options, workers)

    def answer(pipe: Connection) -> None:
        with pipe, suppress(EOFError, ConnectionError):  # the command needs it no longer
            while True:
                pipe.send(outcome(pipe.recv()))

    def outcome(item: Item) -> Done | Exception:
        try:
            return guarded(item.name, lambda: fetched(item))
        except Exception as error:  # no item's fault, as a full disk: the command ends with it
            return error

    threads = [threading.Thread(target=answer, args=(pipe,)) for pipe in pipes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
