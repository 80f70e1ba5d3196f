"""Prism and Beam worker pools as processes on this machine, for tests. `tests/servers/build_prism.sh` builds Prism."""

import os
import sys
from pathlib import Path

from server_process import ServerProcess, built, free_port, listens

SCRIPT = Path(__file__).parent / "servers" / "build_prism.sh"


def binary() -> Path | None:
    """The built Prism; None where it has not been built."""
    return built(SCRIPT, "prism", "prism")


class WorkerPool:
    """Starts a Python worker for each job that an engine runs; knows nothing of the submitting machine.

    Working directory and home are folders of its own. The port stays the same when it starts again.
    """

    def __init__(self, folder: Path, python: Path = Path(sys.executable), **environment: str) -> None:
        self.folder, self.python, self.port = folder, python, free_port()
        self.environment = environment
        self._process: ServerProcess | None = None

    @property
    def options(self) -> list[str]:
        return ["--environment_type", "EXTERNAL", "--environment_config", f"localhost:{self.port}"]

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        assert self._process is not None
        return self._process.log.read_text()

    def start(self) -> None:
        home = self.folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        path = f"{self.python.parent}{os.pathsep}{os.environ['PATH']}"  # a pool starts what `python` names
        kept = {name: os.environ[name] for name in ("LANG", "OMP_NUM_THREADS") if name in os.environ}
        environment = {**kept, "PATH": path, "HOME": str(home), "TMPDIR": str(home), **self.environment}
        command = [str(self.python), "-m", "apache_beam.runners.worker.worker_pool_main"]
        command += ["--service_port", str(self.port)]
        self._process = ServerProcess("pool", command, self.folder, environment)
        self._process.wait(lambda: listens(self.port))

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()


class Prism:
    """Beam's portable runner in one process, as a job server."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._process: ServerProcess | None = None

    @property
    def options(self) -> list[str]:
        return ["--runner", "PortableRunner", "--job_endpoint", f"localhost:{self.port}"]

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        prism = binary()
        assert prism is not None
        command = [str(prism), "--job_port", str(self.port), "--serve_http=false", "--log_kind", "text"]
        self._process = ServerProcess("prism", command, self.folder, dict(os.environ))
        self._process.wait(lambda: listens(self.port))

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
