"""One server as a process of its own, for tests: a free port, a log file, and a kill as a crash would."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "avs-data" / "servers"


def built(script: Path, folder: str, name: str) -> Path | None:
    """The binary that a script of tests/servers has built, in the version that it names; None where it has not."""
    found = re.search(r"^version=(\S+)$", script.read_text(), re.MULTILINE)
    assert found
    path = CACHE / f"{folder}-{found[1]}" / name
    return path if path.exists() else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


class ServerProcess:
    """A command with its children in a group of their own, so that a kill leaves none of them behind."""

    def __init__(self, name: str, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self.pid = self._process.pid

    def wait(self, ready: Callable[[], bool], seconds: float = 60) -> None:
        """Until it is ready; an error with the end of its log where it ends before."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.log.name}: not ready: {self.log.read_text()[-2000:]}")
            time.sleep(0.1)

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """As a crash would, its children with it."""
        if self.runs:
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
