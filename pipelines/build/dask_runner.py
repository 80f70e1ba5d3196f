"""Runs a build's pipeline on a Dask cluster: looked at before anything is written, watched while it works.

Placing, retrying, moving data and memory are Dask's. Tables of references are named by their content and shards get
their names when they are complete, so that a task that runs twice, or on after its host was given up, does no harm.
"""

import operator
import pickle
import time
import urllib.error
import urllib.request
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from distributed import Client, KilledWorker, get_worker

import pipelines.build.lean_beam  # noqa: F401  # before what imports Beam: workers import this first
from pipelines.build import bundle, dask_gate, dask_workers, fused
from pipelines.build.dask_workers import ClusterError
from pipelines.build.local_runner import StageRunner, run_task, tasks
from shards import processes, progress_file, storage
from shards.claims import CLAIM, WORK

_ANSWER_S = 15.0  # for a scheduler to answer
_LOST_S = 60.0  # for one that went away to come back
_LOOK_S = 0.5
_PAGE_S = 5.0
_PER_THREAD, _FEWEST, _MOST = (
    4,
    8,
    512,
)  # partitions: too few let a slow worker hold up all, too many the scheduler
_ENDED, _COUNTED = "avs-data tasks", "avs-data counts"


@dataclass(frozen=True)
class Cluster:
    """scheduler: `tcp://HOST:8786`. corpora, out: folders or URLs that every worker must see as this machine does.

    patience_s: how long nothing may go on for want of memory.
    alone_s: how long there may be no worker, once the work has begun.
    """

    scheduler: str
    corpora: str
    out: str
    patience_s: float = 60.0
    alone_s: float = 600.0

    def check(self) -> str:
        """Look at the cluster; nothing is begun.

        Returns:
            Where it shows what it does.

        Raises:
            ClusterError: no scheduler, no workers, workers of another version, with too little memory, or that do not
                see the two places.
        """
        with self._client() as client:
            workers = client.scheduler_info()["workers"]
            if not workers:
                raise ClusterError(
                    f"the scheduler {self.scheduler} has no workers; start some where avs-data is installed: "
                    f"dask worker {self.scheduler} --nthreads 1 --nworkers -1"
                )
            places = self.corpora, self.out
            self._hold(client, dask_workers.look(*places), places)
            return _page(client.dashboard_link)

    def runner(
        self, say: Callable[[str], None] | None = None, tell: Callable[[str], None] | None = None
    ) -> StageRunner:
        """Runs pipelines there.

        Args:
            say: told about twice a second, in words, how far the tasks are and how many workers there are.
            tell: told of workers that come meanwhile and are sent away.
        """
        return StageRunner(partial(self._compute, say, tell))

    @contextmanager
    def pool(self, _: int) -> Iterator[processes.Map]:
        """`map` over the workers, as `processes.pool` gives it; some items at a time, for each is sent there."""
        self.check()
        places = (self.corpora,)
        with (
            self._client() as client,
            dask_gate.guarded(client, dask_workers.look(*places), places, (), self._needs) as sent_away,
        ):
            most = 2 * sum(client.nthreads().values())
            watch, waiting = self._watch(client, sent_away), deque[Any]()

            def first() -> Any:
                done = waiting.popleft()
                try:
                    self._wait(client, [done], lambda: watch.look(0, "The work"))
                    return done.result()
                except KilledWorker as error:
                    raise dask_workers.killed("a task", error.allowed_failures + 1) from error

            def each(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
                for item in items:
                    packed = client.submit(pickle.loads, pickle.dumps(partial(function, item)), pure=False)
                    waiting.append(client.submit(operator.call, packed, pure=False))  # see `tasks`
                    if len(waiting) > most:
                        yield first()
                while waiting:
                    yield first()

            yield each

    def _client(self) -> Client:
        try:
            return Client(self.scheduler, timeout=_ANSWER_S, set_as_default=False)
        except (OSError, ValueError) as error:  # a time-out is an OSError too
            raise ClusterError(
                f"no Dask scheduler answers at {self.scheduler}; start one with `dask scheduler`, and give its address "
                "as --scheduler tcp://HOST:8786"
            ) from error

    @property
    def _needs(self) -> str:
        version = dask_workers.look()["avs-data"]
        return f"its environment needs avs-data[dask] {version}, and its machine the same {self.corpora} and {self.out}"

    def _watch(self, client: Client, sent_away: list[str]) -> dask_workers.Watch:
        return dask_workers.Watch(client, self.patience_s, self.alone_s, sent_away)

    def _hold(
        self, client: Client, mine: Mapping[str, str], places: Sequence[str], files: Sequence[str] = ()
    ) -> None:
        """Hold all workers that are there against what this machine has."""
        for worker, one in client.scheduler_info()["workers"].items():
            if fault := dask_workers.too_little(one["memory_limit"], one["nthreads"]):
                raise ClusterError(f"worker {worker} {fault}")
        seen = client.run(dask_workers.look, *places, files=files, on_error="return")
        for worker, found in seen.items():
            if isinstance(found, Exception):
                raise ClusterError(f"worker {worker} {dask_gate.unseen(found, self._needs)}")
            if fault := dask_gate.difference(found, mine):
                raise ClusterError(f"worker {worker} {fault}")

    def _compute(
        self, say: Callable[[str], None] | None, tell: Callable[[str], None] | None, plan: fused.Plan
    ) -> None:
        places, files = (self.corpora,), (storage.join(self.out, WORK, CLAIM),)
        mine = dask_workers.look(*places, files=files)
        with (
            self._client() as client,
            dask_gate.guarded(client, mine, places, files, self._needs, tell) as sent_away,
        ):
            self._hold(client, mine, places, files)
            threads = sum(client.nthreads().values())
            partitions = partitions_for(threads)
            ended: Counter[Any] = Counter()
            build = client.id  # others may build on the same cluster
            client.subscribe_topic(f"{_ENDED} {build}", lambda event: ended.update([event[1]]))
            client.subscribe_topic(f"{_COUNTED} {build}", lambda event: progress_file.tell(*event[1]))
            number = sum(len(stage.parts(partitions)) for stage in plan.stages)
            futures = client.compute(
                tasks(plan, partitions, partial(_run_task, build), build), optimize_graph=False
            )
            watch = self._watch(client, sent_away)

            def look_again() -> None:
                done = Counter(stage for stage, _ in ended)
                stage = next(
                    (one for one in plan.stages if done[one.number] < len(one.parts(partitions))), None
                )
                workers = watch.look(ended.total(), stage.name if stage else "The build")
                repeated = ended.total() - len(ended)
                if say:
                    say(
                        f"{workers}, {len(ended)} of {number} tasks"
                        + (f", {repeated} repeated" if repeated else "")
                    )

            try:
                self._wait(client, futures, look_again)
            except KilledWorker as error:
                raise _killed(error, plan) from error

    def _wait(self, client: Client, futures: list[Any], look_again: Callable[[], object]) -> None:
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
        for future in _failed(futures):  # first: others may wait to be done again
            future.result()
        if any(future.status == "cancelled" for future in futures):
            raise ClusterError(
                f"the Dask scheduler at {self.scheduler} went away or began anew, and knows nothing of the build"
            )


def partitions_for(threads: int) -> int:
    """How many partitions a stage has on a cluster of so many threads."""
    return min(max(_FEWEST, _PER_THREAD * threads), _MOST)


def _page(link: str) -> str:
    """Of the scheduler's page, whether there is one."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            link, timeout=_PAGE_S
        ) as answer:
            if b"needs bokeh" in answer.read():
                return (
                    "The scheduler has no page to look at: `pip install bokeh` beside it and start it again"
                )
    except urllib.error.HTTPError:
        return "The scheduler has no page to look at: it was started without one"
    except OSError as error:
        return f"The scheduler's page does not answer this machine: {link} ({error})"
    return f"The scheduler's page: {link}"


def _failed(futures: list[Any]) -> list[Any]:
    return [future for future in futures if future.status == "error"]


def _run_task(build: str, *arguments: Any) -> dict[int, bundle.Cut]:
    """A task on a worker; tells what it has done."""
    worker = get_worker()
    dask_workers.keep_freed()
    progress_file.send_by(lambda *counts: worker.log_event(f"{_COUNTED} {build}", counts))
    stage, left = run_task(*arguments)
    worker.log_event(f"{_ENDED} {build}", (stage.number, arguments[1]))
    return left


def _killed(error: KilledWorker, plan: fused.Plan) -> ClusterError:
    """Of a task that no worker survived, by its stage."""
    name: Any = error.task[0]  # type: ignore[index]  # as `tasks` made it
    number = int(name.rpartition("-")[2])
    stage = next(stage for stage in plan.stages if stage.number == number)
    return dask_workers.killed(f"a task of {stage.name}", error.allowed_failures + 1)
