"""A real S3 server on this machine, for tests: VersityGW over a folder. `tests/servers/build.sh` builds it."""

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

SCRIPT = Path(__file__).parent / "servers" / "build.sh"
KEY, SECRET, BUCKET = "tester", "only-for-tests", "datasets"


def binary() -> Path | None:
    """The built server; None where it has not been built."""
    found = re.search(r"^version=(\S+)$", SCRIPT.read_text(), re.MULTILINE)
    assert found
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = cache / "avs-data" / "servers" / f"versitygw-{found[1]}" / "versitygw"
    return path if path.exists() else None


class S3Server:
    """Serves the folders below `folder` as buckets on a loopback port, which stays the same when it starts again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "data" / BUCKET).mkdir(parents=True)
        (folder / "meta").mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._process: subprocess.Popen | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to know."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def start(self, *options: str) -> None:
        server = binary()
        assert server is not None
        command = [str(server), "--port", f"127.0.0.1:{self.port}", *options]
        command += ["posix", "--sidecar", str(self.folder / "meta"), str(self.folder / "data")]
        environment = {**os.environ, "ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET}
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise RuntimeError(f"no server after 30 s: {(self.folder / 'log').read_text()[-500:]}")

    def kill(self) -> None:
        """As a crash would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
