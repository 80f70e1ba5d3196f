"""Workers of a Dask cluster: what each must be and have, before it works and while it does."""

import ctypes
import gc
import importlib.metadata
import os
import platform
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

from distributed import Client

from pipelines.build.code import code_versions
from shards import storage
from shards.errors import AvsError
from shards.terminal import size, spoken

_PACKAGES = ("apache-beam", "cloudpickle", "dask", "distributed")
_PROCESS, _THREAD = (
    300_000_000,
    300_000_000,
)  # bytes: of a worker that does nothing, and of what it does, at least
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_LOOK_S, _PER_LOOK = 0.5, 16  # seconds between looks at so many workers
_REMEDY = "give each more (dask worker --memory-limit 3GiB), or one thread (--nthreads 1)"


class ClusterError(AvsError):
    """The cluster cannot do this; the message says what to do."""


def look(*places: str, files: Sequence[str] = ()) -> dict[str, str]:
    """What a worker must have in common with the machine that asks, by what it is called.

    Args:
        places: folders of which it must see the same.
        files: what it must read the same in.
    """
    seen = {f"of {url}, what is there": _seen(url) for url in places}
    return _versions() | seen | {f"of {url}, the sha256": storage.sha256(url) for url in files}


@cache
def _versions() -> dict[str, str]:
    seen = {"Python": ".".join(platform.python_version_tuple()[:2]), **code_versions()}
    return seen | {name: importlib.metadata.version(name) for name in _PACKAGES}


def _seen(url: str) -> str:
    """The first names in a folder; of one that is not there yet, that the folder above can be written."""
    if names := storage.names(url):
        return f"{len(names)} names, first {names[0]}"
    if storage.is_local(url):
        above = os.path.dirname(storage.local_path(url).rstrip("/"))
        while not os.path.isdir(above):
            above = os.path.dirname(above)
        return f"nothing yet, and {above} {'can' if os.access(above, os.W_OK) else 'cannot'} be written"
    return "nothing yet"


def too_little(limit: int | None, threads: int) -> str:
    """What a worker lacks of memory to be of use, in words; empty: nothing. limit: bytes; None: it has no limit."""
    least = _PROCESS + threads * _THREAD
    if not limit or limit >= least:
        return ""
    return (
        f"may take {size(limit)} of memory; with {threads} thread{'s' * (threads > 1)} it needs {size(least)} at "
        f"least, or Dask pauses it: {_REMEDY}"
    )


def killed(task: str, workers: int) -> ClusterError:
    """What to say of a task that no worker survived."""
    return ClusterError(
        f"{task} ended {workers} workers, one after the other: most likely it needs more memory than they may take; "
        f"{_REMEDY}"
    )


class Watch:
    """Looks at the workers while they work.

    Dask pauses a worker whose process is above 80 % of its limit until it is below. Results are not all of that: what
    the allocator keeps of what was freed is asked back (`give_back`), and what the process itself takes stays;
    so a build may wait for ever.

    Args:
        patience_s: how long nothing may be done for want of memory.
        alone_s: how long there may be no worker.
        sent_away: what was wrong with workers that came meanwhile; it may grow.
    """

    def __init__(self, client: Client, patience_s: float, alone_s: float, sent_away: Sequence[str]) -> None:
        self._client, self._patience_s, self._alone_s = client, patience_s, alone_s
        self._sent_away = sent_away
        self._next, self._said = 0.0, ""
        self._there = self._went_on = time.monotonic()
        self._ended = 0
        self._asked: threading.Thread | None = None

    def look(self, ended: int, stage: str) -> str:
        """How many workers there are, in words.

        Args:
            ended: tasks that have ended so far.
            stage: what is being done, for errors.

        Raises:
            ClusterError: none for too long, or those that are there cannot go on for want of memory.
        """
        now = time.monotonic()
        if now < self._next:
            return self._said
        found = self._client.scheduler_info()["workers"]
        self._next = now + _LOOK_S * (1 + len(found) / _PER_LOOK)
        if found:
            self._there = now
        elif now - self._there > self._alone_s:
            raise ClusterError(self._all_went_away())
        paused = {address: one for address, one in found.items() if one["status"] == "paused"}
        works = any(one["metrics"]["task_counts"].get("executing") for one in found.values())
        if not paused or works or ended != self._ended:
            self._went_on, self._ended = now, ended
        elif now - self._went_on > self._patience_s:
            raise ClusterError(_out_of_memory(paused, len(found), stage, self._patience_s))
        if paused and not (self._asked and self._asked.is_alive()):  # one that hangs would hold up this one
            self._asked = threading.Thread(target=self._ask_back, args=(list(paused),), daemon=True)
            self._asked.start()
        self._said = f"{len(found)} worker{'s' * (len(found) != 1)}"
        self._said += f", {len(paused)} paused for want of memory" if paused else ""
        self._said += f", {len(self._sent_away)} sent away" if self._sent_away else ""
        return self._said

    def _all_went_away(self) -> str:
        said = f"all workers went away, and none came for {spoken(self._alone_s)}"
        if self._sent_away:
            said += f" that could stay: the last one {self._sent_away[-1]}"
        return said

    def _ask_back(self, workers: list[str]) -> None:
        with suppress(Exception):  # one that went away is told elsewhere
            self._client.run(give_back, workers=workers, on_error="ignore")


@cache
def keep_freed() -> None:
    """Keep some of the memory that was freed for what comes next, where the C library is GNU's; once for a process.

    Dask has its workers give all of it back. They ask for it anew for the next photo or sound, a page at a time: of a
    build on real media that was 18 % of the processor's time.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_TRIM_THRESHOLD, 16 << 20)
        mallopt(_MMAP_THRESHOLD, 8 << 20)


def give_back() -> None:
    """Return memory that was freed to the system, where the C library can."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _out_of_memory(paused: Mapping[str, Any], workers: int, stage: str, patience_s: float) -> str:
    used = {worker: one["metrics"]["memory"] / one["memory_limit"] for worker, one in paused.items()}
    worker = max(used, key=used.__getitem__)
    takes, limit = paused[worker]["metrics"]["memory"], paused[worker]["memory_limit"]
    return (
        f"{stage} has not gone on for {patience_s:.0f} s: Dask has paused {len(paused)} of {workers} workers for want "
        f"of memory, as {worker}, which takes {size(takes)} of {size(limit)}; {_REMEDY}"
    )
