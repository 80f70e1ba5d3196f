"""Runs a build's pipeline on a Dask cluster: looked at before anything is written, watched while it works.

Placing, retrying, moving data and memory are Dask's. Tables of references are named by their content and shards get
their names when they are complete, so that a task that runs twice, or on after its host was given up, does no harm.
"""

import importlib.metadata
import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from distributed import Client, KilledWorker, get_worker

from pipelines.build import fused
from pipelines.build.code import code_versions
from pipelines.build.local_runner import StageRunner, run_task, tasks
from shards import progress_file, storage
from shards.claims import CLAIM, WORK
from shards.errors import AvsError

_ANSWER_S = 15.0  # for a scheduler to answer
_LOST_S = 60.0  # for one that went away to come back
_LOOK_S = 0.5
_PER_THREAD, _FEWEST, _MOST = (
    4,
    8,
    512,
)  # partitions: too few let a slow worker hold up all, too many the scheduler
_PACKAGES = ("apache-beam", "cloudpickle", "dask", "distributed")
_ENDED, _COUNTED = "avs-data tasks", "avs-data counts"


class ClusterError(AvsError):
    """The cluster cannot do this; the message says what to do."""


@dataclass(frozen=True)
class Cluster:
    """scheduler: `tcp://HOST:8786`. corpora, out: folders or URLs that every worker must see as this machine does."""

    scheduler: str
    corpora: str
    out: str

    def check(self) -> None:
        """Look at the cluster; nothing is begun.

        Raises:
            ClusterError: no scheduler, no workers, workers of another version, or that do not see the two places.
        """
        with self._client() as client:
            if not client.nthreads():
                raise ClusterError(
                    f"the scheduler {self.scheduler} has no workers; start some where avs-data is installed: "
                    f"dask worker {self.scheduler} --nthreads 1 --nworkers -1"
                )
            mine = look(self.corpora, self.out)
            for worker, found in client.run(look, self.corpora, self.out, on_error="return").items():
                if isinstance(found, Exception):
                    raise ClusterError(
                        f"worker {worker}: {type(found).__name__}: {found}; its environment needs avs-data[dask] "
                        f"{mine['avs-data']}, and its machine the same {self.corpora} and {self.out}"
                    )
                _same(worker, found, mine)

    def runner(self, say: Callable[[str], None] | None = None) -> StageRunner:
        """Runs pipelines there.

        Args:
            say: told about twice a second, in words, how far the tasks are and how many workers there are.
        """
        return StageRunner(partial(self._compute, say))

    def _client(self) -> Client:
        try:
            return Client(self.scheduler, timeout=_ANSWER_S, set_as_default=False)
        except (OSError, ValueError) as error:  # a time-out is an OSError too
            raise ClusterError(
                f"no Dask scheduler answers at {self.scheduler}; start one with `dask scheduler`, and give its address "
                "as --scheduler tcp://HOST:8786"
            ) from error

    def _compute(self, say: Callable[[str], None] | None, plan: fused.Plan) -> None:
        with self._client() as client:
            claim = storage.join(self.out, WORK, CLAIM)
            mine = storage.read_bytes(claim)
            for worker, found in client.run(storage.read_bytes, claim, on_error="return").items():
                if found != mine:
                    raise ClusterError(f"worker {worker} does not see what this machine writes in {self.out}")
            threads = sum(client.nthreads().values())
            partitions = min(max(_FEWEST, _PER_THREAD * threads), _MOST)
            ended: Counter[Any] = Counter()
            client.subscribe_topic(_ENDED, lambda event: ended.update([event[1]["task"]]))
            client.subscribe_topic(_COUNTED, lambda event: progress_file.tell(*event[1]["counts"]))
            number = sum(len(stage.parts(partitions)) for stage in plan.stages)
            futures = client.compute(
                tasks(plan, partitions, partial(_run_task, look())), optimize_graph=False
            )

            def look_again() -> None:
                workers = client.scheduler_info(n_workers=0)["n_workers"]
                repeated = ended.total() - len(ended)
                if say:
                    say(
                        f"{workers} workers, {len(ended)} of {number} tasks"
                        + (f", {repeated} repeated" if repeated else "")
                    )

            self._wait(client, futures, look_again)

    def _wait(self, client: Client, futures: list[Any], look_again: Callable[[], None]) -> None:
        lost_at = None
        while not all(future.done() for future in futures) and not _failed(futures):
            time.sleep(_LOOK_S)
            if client.status == "running":
                lost_at = None
                look_again()
                continue
            lost_at = lost_at or time.monotonic()
            if client.status == "closed" or time.monotonic() - lost_at > _LOST_S:
                raise ClusterError(f"the Dask scheduler at {self.scheduler} went away")
        if any(future.status in ("cancelled", "lost") for future in futures):
            raise ClusterError(
                f"the Dask scheduler at {self.scheduler} lost the build, as one that begins anew does"
            )
        for future in _failed(futures):
            try:
                future.result()
            except KilledWorker as error:
                raise ClusterError(_killed(error)) from error


def _failed(futures: list[Any]) -> list[Any]:
    return [future for future in futures if future.status == "error"]


def look(*places: str) -> dict[str, str]:
    """What a worker must have in common with the machine that asks, by what it is called."""
    seen = {"Python": ".".join(platform.python_version_tuple()[:2]), **code_versions()}
    seen |= {name: importlib.metadata.version(name) for name in _PACKAGES}
    return seen | {f"of {url}, what is there": _seen(url) for url in places}


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


def _same(worker: str, found: Mapping[str, str], mine: Mapping[str, str]) -> None:
    for what, here in mine.items():
        if (there := found.get(what)) != here:
            raise ClusterError(
                f"worker {worker} differs from this machine: {what} is {there} there, {here} here"
            )


def _run_task(mine: Mapping[str, str], *arguments: Any) -> dict[int, fused.Cut]:
    """A task on a worker, which may have joined after the check; tells what it has done."""
    worker = get_worker()
    _same(worker.address, look(), mine)
    progress_file.send_by(lambda *counts: worker.log_event(_COUNTED, {"counts": counts}))
    stage, left = run_task(*arguments)
    worker.log_event(_ENDED, {"task": (stage.number, arguments[1])})
    return left


def _killed(error: KilledWorker) -> str:
    return (
        f"the task {error.task} ended {error.allowed_failures + 1} workers, one after the other: most likely it needs "
        "more memory than they may take; give each more (dask worker --memory-limit), or one thread (--nthreads 1)"
    )
