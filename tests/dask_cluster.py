"""A Dask scheduler and workers as processes on this machine, for tests."""

import os
import sys
import sysconfig
import time
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
from distributed import Client, WorkerPlugin
from network import Network
from server_process import ServerProcess, free_port, listens


class Cluster:
    """Each process has a working directory and home of its own, and knows nothing of the submitting machine.

    On a network, each worker is on a host of its own, and the scheduler on this machine.
    """

    def __init__(
        self,
        folder: Path,
        workers: int,
        python: Path = Path(sys.executable),
        network: Network | None = None,
        **environment: str,
    ) -> None:
        self.network, self.host = network, network.address if network else "127.0.0.1"
        self.folder, self.python, self.port, self.wanted = folder, python, free_port(), workers
        # The workers' profiler keeps 1,000 s of call trees: 100 MB.
        quiet = {"WORKER__PROFILE__ENABLED": "False", "ADMIN__TICK__INTERVAL": "500ms"}
        self.environment = {f"DASK_DISTRIBUTED__{name}": value for name, value in quiet.items()} | environment
        self.workers: list[ServerProcess] = []
        self.scheduler: ServerProcess | None = None

    @property
    def address(self) -> str:
        return f"tcp://{self.host}:{self.port}"

    def start(self, scheduler: Path | None = None) -> None:
        """scheduler: Python of its environment, where that is another."""
        self.start_scheduler(scheduler)
        for number in range(self.wanted):
            self.start_worker(number)
        self.wait(self.wanted)

    def wait(self, workers: int) -> None:
        """Until so many workers are there."""
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=120)

    def start_scheduler(self, python: Path | None = None) -> None:
        words = ("scheduler", "--host", self.host, "--port", str(self.port))
        self.scheduler = self._process("scheduler", *words, python=python)
        self.scheduler.wait(lambda: listens(self.port, self.host))

    def start_worker(self, number: int, *options: str, python: Path | None = None) -> ServerProcess:
        """Without a nanny: what is killed stays away."""
        words = ["worker", self.address, "--nthreads", "1", "--name", f"w{number}"]
        words += [] if "--nanny" in options else ["--no-nanny"]
        if self.network:
            words += ["--host", self.network.address_of(number)]
        self.workers.append(self._process(f"worker-{number}", *words, *options, host=number, python=python))
        return self.workers[-1]

    def kill(self) -> None:
        for process in (*self.workers, self.scheduler):
            if process is not None:
                process.kill()

    def _process(
        self, name: str, *words: str, host: int | None = None, python: Path | None = None
    ) -> ServerProcess:
        home = self.folder / name
        home.mkdir(parents=True, exist_ok=True)
        kept = {key: os.environ[key] for key in ("LANG", "PATH", "OMP_NUM_THREADS") if key in os.environ}
        environment = {**kept, "HOME": str(home), "TMPDIR": str(home), **self.environment}
        command = [str(python or self.python), "-m", "dask", *words, "--no-dashboard"]
        if self.network and host is not None:
            command = self.network.command(host, command)
        return ServerProcess(name, command, home, environment)


def environment(folder: Path, version: str = "") -> Path:
    """Python of an environment that has all that a worker needs but avs-data, or that in another version."""
    venv.create(folder, symlinks=True)
    (site,) = (folder / "lib").glob("python*/site-packages")
    paths = [sysconfig.get_path("purelib")]  # its own .pth files are not read
    if version:
        paths.append(str(Path(__file__).parents[1]))
        about = site / f"avs_data-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: avs-data\nVersion: {version}\n")
    (site / "others.pth").write_text("\n".join(paths))
    return folder / "bin" / "python"


class Glutton(WorkerPlugin):
    """Where a task of some name is to begin, its worker takes memory until it is ended, so many times in all.

    An attempt is a file in a folder.
    """

    def __init__(self, name: str, folder: str, times: int) -> None:
        self._name, self._folder, self._times = name, Path(folder), times

    def transition(self, key: Any, start: str, finish: str, **more: Any) -> None:
        attempt = len(list(self._folder.iterdir()))
        if finish == "executing" and key[0].startswith(self._name) and attempt < self._times:
            (self._folder / str(attempt)).touch()
            eat()


def eat() -> None:
    held = []
    while len(held) < 40:  # whoever eats is ended before, or this machine has room
        held.append(b"\1" * 50_000_000)
        time.sleep(0.1)


class Eat(beam.DoFn):
    """Takes more and more memory, so many times; an attempt is a file in a folder."""

    def __init__(self, folder: str, times: int) -> None:
        self._folder, self._times = Path(folder), times

    def process(self, element: int) -> Iterator[int]:
        if (attempt := len(list(self._folder.iterdir()))) < self._times:
            (self._folder / str(attempt)).touch()
            eat()
        (self._folder / "result").write_text(str(element))
        yield element
