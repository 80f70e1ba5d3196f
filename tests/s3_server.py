"""A real S3 server on this machine, for tests: VersityGW over a folder. `tests/servers/build.sh` builds it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import s3fs
from server_process import ServerProcess, built, free_port, listens

SCRIPT = Path(__file__).parent / "servers" / "build.sh"
KEY, SECRET, BUCKET = "tester", "only-for-tests", "datasets"


def binary() -> Path | None:
    """The built server; None where it has not been built."""
    return built(SCRIPT, "versitygw", "versitygw")


needed = pytest.mark.skipif(binary() is None, reason="no S3 server is built here: run tests/servers/build.sh")


@contextmanager
def serving(folder: Path, host: str = "127.0.0.1") -> Iterator["S3Server"]:
    """A running server that the clients of this process and of its children know by their environment."""
    server = S3Server(folder, host)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        server.start()
        try:
            yield server
        finally:
            server.kill()
            s3fs.S3FileSystem.clear_instance_cache()


class S3Server:
    """Serves the folders below `folder` as buckets on a port, which stays the same when it starts again."""

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self.folder, self.host = folder, host
        (folder / "data" / BUCKET).mkdir(parents=True)
        (folder / "meta").mkdir()
        self.port = free_port()
        self._process: ServerProcess | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to know."""
        return {
            "AWS_ENDPOINT_URL": f"http://{self.host}:{self.port}",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def start(self, *options: str) -> None:
        server = binary()
        assert server is not None
        command = [str(server), "--port", f"{self.host}:{self.port}", *options]
        command += ["posix", "--sidecar", str(self.folder / "meta"), str(self.folder / "data")]
        environment = {**os.environ, "ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET}
        self._process = ServerProcess("s3", command, self.folder, environment)
        self._process.wait(lambda: listens(self.port, self.host), 30)

    def kill(self) -> None:
        """As a crash would."""
        if self._process is not None:
            self._process.kill()
