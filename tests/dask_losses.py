"""What a cluster may lose while it builds, each played once with real processes and hosts: what came of it."""

import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import fsspec
import network
import s3_server
from dask_cluster import Cluster, Glutton, environment
from distributed import Client
from test_engines import Build, hashes, whole

from pipelines.build import run
from pipelines.build.runner import BuildStopped
from pipelines.recipes import recipe

SOON = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "30s"}  # given up, but not for a busy machine
LIMIT = ("--nanny", "--memory-limit", "800MB")


@dataclass(frozen=True)
class Place:
    """Where a loss is played. python: of an environment with the built wheel."""

    corpora: str
    folder: Path
    python: Path


@dataclass(frozen=True)
class Ending:
    """Exit codes of the build and, where it did not end well, of the same command again; its last line; the bytes."""

    code: int
    again: int | None
    line: str
    digest: str


@dataclass
class Disturbed:
    """A build that is to lose something."""

    corpora: str
    out: str
    cluster: Cluster
    seen: Path  # where its shards appear
    build: Build = field(init=False)

    def __post_init__(self) -> None:
        self.build = self.start()

    def start(self) -> Build:
        return Build(self.corpora, self.out, "--scheduler", self.cluster.address)

    def until(self, shards: int) -> None:
        self.build.until(lambda: len(list(self.seen.rglob("*.tar"))) >= shards)

    def end(self) -> Ending:
        """Wait for it, and run the same command again where that is needed."""
        code, told = self.build.end()
        return self.ending(code, told)

    def ending(self, code: int, told: str) -> Ending:
        again = None
        if code:
            whole(self.out)
            again, more = self.start().end()
            assert again == 0, more[-3000:]
        return Ending(code, again, told.splitlines()[-2] if told and code else "", digest(self.out))


def digest(dataset: str) -> str:
    """One sha256 of those of all files."""
    lines = (f"{found}  {path.strip('/')}\n" for path, found in sorted(hashes(dataset).items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@contextmanager
def building(place: Place, workers: int, *options: str, **variables: str) -> Iterator[Disturbed]:
    cluster = Cluster(place.folder / "cluster", 0, **SOON, **variables)
    try:
        cluster.start_scheduler()
        for number in range(workers):
            cluster.start_worker(number, *options)
        cluster.wait(workers)
        out = place.folder / "out"
        yield Disturbed(place.corpora, str(out), cluster, out)
    finally:
        cluster.kill()


def one_worker(place: Place) -> Ending:
    with building(place, 2) as it:
        it.until(2)
        it.cluster.workers[0].kill()
        return it.end()


def two_workers(place: Place) -> Ending:
    with building(place, 3) as it:
        for number in range(2):
            it.until(2 + 2 * number)
            it.cluster.workers[number].kill()
        return it.end()


def nanny(place: Place) -> Ending:
    with building(place, 2, "--nanny") as it:
        it.until(2)
        os.kill(it.cluster.workers[0].pid, signal.SIGKILL)
        return it.end()


def stopped_worker(place: Place) -> Ending:
    with building(place, 2) as it:
        it.until(2)
        os.killpg(it.cluster.workers[0].pid, signal.SIGSTOP)
        return it.end()


def cables(place: Place) -> Ending:
    """A host is cut off, whose worker goes on writing into the shared folder; another is killed."""
    with network.network(3) as net:
        cluster = Cluster(place.folder / "cluster", 3, place.python, net, **SOON)
        try:
            cluster.start()
            out = place.folder / "out"
            it = Disturbed(place.corpora, str(out), cluster, out)
            it.until(2)
            net.cut(0)
            assert cluster.workers[0].runs, "the host is cut off, not ended"
            it.until(4)
            cluster.workers[1].kill()
            return it.end()
        finally:
            cluster.kill()


def store(place: Place) -> Ending:
    """S3 is all that is shared; its server is killed, and started again 2 s later."""
    with s3_server.serving(place.folder / "s3") as s3:
        url = f"s3://{s3_server.BUCKET}"
        fsspec.filesystem("s3").put(place.corpora, f"{url}/corpora", recursive=True)
        cluster = Cluster(place.folder / "cluster", 2, **SOON, **s3.environment)
        try:
            cluster.start()
            bucket = s3.folder / "data" / s3_server.BUCKET / "out"
            it = Disturbed(f"{url}/corpora", f"{url}/out", cluster, bucket)
            it.until(2)
            s3.kill()
            time.sleep(2)
            s3.start()
            return it.end()
        finally:
            cluster.kill()


def scheduler(place: Place) -> Ending:
    with building(place, 2) as it:
        it.until(2)
        assert it.cluster.scheduler is not None
        it.cluster.scheduler.kill()
        code, told = it.build.end()
        again = it.cluster = Cluster(place.folder / "again", 1)
        try:
            again.start()
            return it.ending(code, told)
        finally:
            again.kill()


def command(place: Place) -> Ending:
    """Tasks that were not begun are dropped."""
    with building(place, 2) as it:
        it.until(2)
        it.build.kill()
        time.sleep(5)
        there = len(list(it.seen.rglob("*.tar")))
        time.sleep(5)
        assert len(list(it.seen.rglob("*.tar"))) == there, "the tasks of a command that is gone go on"
        return it.ending(-signal.SIGKILL, "")


def memory(place: Place, times: int) -> Ending:
    """A task of the stage that writes shards takes more than its worker may, so many times."""
    (place.folder / "eaten").mkdir(parents=True)
    with building(place, 2, *LIMIT, PYTHONPATH=str(Path(__file__).parent)) as it:
        with Client(it.cluster.address, set_as_default=False) as client:
            client.register_plugin(Glutton("write-shards", str(place.folder / "eaten"), times), "glutton")
            code, told = it.build.end()
            client.unregister_worker_plugin("glutton")
        return it.ending(code, told)


def stranger(place: Place) -> Ending:
    """One without avs-data and one of another version join."""
    with building(place, 1) as it:
        it.until(2)
        os.killpg(it.cluster.workers[0].pid, signal.SIGSTOP)  # there is nobody else
        others = [
            it.cluster.start_worker(1, python=environment(place.folder / "without")),
            it.cluster.start_worker(2, python=environment(place.folder / "old", "0.0.9")),
        ]
        it.build.until(lambda: not any(one.runs for one in others))
        os.killpg(it.cluster.workers[0].pid, signal.SIGCONT)
        return it.end()


def all_workers(place: Place) -> Ending:
    """All are killed; later one comes."""
    with building(place, 2) as it:
        it.until(2)
        for one in it.cluster.workers:
            one.kill()
        with Client(it.cluster.address, set_as_default=False) as client:
            it.build.until(lambda: not client.scheduler_info()["workers"])
        time.sleep(3)
        it.cluster.start_worker(2)
        return it.end()


def all_workers_for_good(place: Place) -> Ending:
    """All are killed; what comes is of another version."""
    cluster, out = Cluster(place.folder / "cluster", 2, **SOON), place.folder / "out"
    old, said = environment(place.folder / "old", "0.0.9"), list[str]()

    def disturb(text: str) -> None:
        said.append(text)
        if all(one.runs for one in cluster.workers) and len(list(out.rglob("*.tar"))) >= 2:
            for one in cluster.workers:
                one.kill()
            cluster.start_worker(2, python=old)

    try:
        cluster.start()
        options = run.BuildOptions(place.corpora, str(out), scheduler=cluster.address, alone_s=5.0)
        told = ""
        try:
            run.build(recipe.load("demo"), options, say=disturb)
        except BuildStopped as error:
            told = str(error)
        assert said[-1].startswith("0 workers, 1 sent away")
        cluster.start_worker(3)
        cluster.wait(1)
        whole(str(out))
        code, more = Build(place.corpora, str(out), "--scheduler", cluster.address).end()
        assert code == 0, more[-3000:]
        return Ending(1 if told else 0, code, told.splitlines()[0], digest(str(out)))
    finally:
        cluster.kill()


# What is lost -> how it is played, and the exit code; None: either, as it comes.
LOSSES: dict[str, tuple[Callable[[Place], Ending], int | None]] = {
    "one of two workers is killed": (one_worker, 0),
    "two of three workers are killed": (two_workers, 0),
    "a nanny is killed": (nanny, 0),
    "of three hosts one's cable is cut while it goes on writing, another is killed": (cables, 0),
    "a worker stops answering (SIGSTOP)": (stopped_worker, 0),
    "the S3 server is killed and started again": (store, None),
    "the scheduler is killed": (scheduler, 1),
    "the command is killed": (command, -signal.SIGKILL),
    "a task takes more memory than its worker may, once": (lambda place: memory(place, 1), 0),
    "a task takes more memory than its worker may, always": (lambda place: memory(place, 100), 1),
    "workers of another version and without avs-data join": (stranger, 0),
    "all workers are lost, later one comes": (all_workers, 0),
    "all workers are lost, one of another version comes": (all_workers_for_good, 1),
}
