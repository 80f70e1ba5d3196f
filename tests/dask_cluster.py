"""A Dask scheduler and workers as processes on this machine, for tests."""

import os
import sys
from pathlib import Path

from distributed import Client
from server_process import ServerProcess, free_port, listens


class Cluster:
    """Each process has a working directory and home of its own, and knows nothing of the submitting machine."""

    def __init__(
        self, folder: Path, workers: int, python: Path = Path(sys.executable), **environment: str
    ) -> None:
        self.folder, self.python, self.port, self.wanted = folder, python, free_port(), workers
        self.environment = environment
        self.workers: list[ServerProcess] = []
        self.scheduler: ServerProcess | None = None

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.start_scheduler()
        for number in range(self.wanted):
            self.start_worker(number)
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(self.wanted, timeout=120)

    def start_scheduler(self) -> None:
        self.scheduler = self._process(
            "scheduler", "scheduler", "--host", "127.0.0.1", "--port", str(self.port)
        )
        self.scheduler.wait(lambda: listens(self.port))

    def start_worker(self, number: int, *options: str) -> ServerProcess:
        """Without a nanny: what is killed stays away."""
        words = ("worker", self.address, "--nthreads", "1", "--no-nanny", "--name", f"w{number}", *options)
        self.workers.append(self._process(f"worker-{number}", *words))
        return self.workers[-1]

    def kill(self) -> None:
        for process in (*self.workers, self.scheduler):
            if process is not None:
                process.kill()

    def _process(self, name: str, *words: str) -> ServerProcess:
        home = self.folder / name
        home.mkdir(parents=True, exist_ok=True)
        kept = {key: os.environ[key] for key in ("LANG", "PATH", "OMP_NUM_THREADS") if key in os.environ}
        environment = {**kept, "HOME": str(home), "TMPDIR": str(home), **self.environment}
        command = [str(self.python), "-m", "dask", *words, "--no-dashboard"]
        return ServerProcess(name, command, home, environment)
