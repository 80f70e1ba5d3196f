"""The review page: its app in this process, and the real server as a process of its own."""

import contextlib
import subprocess
import sys

from starlette.testclient import TestClient

from pipelines.pages.renderers import Renderers
from pipelines.pages.security import Guard
from pipelines.review.render import tile
from pipelines.review.server.app import REVIEWER_COOKIE, Settings, build_app

RENDERERS = Renderers(tile)  # of all apps in this process: they take a second to start
BASE = "http://127.0.0.1:8710"


@contextlib.contextmanager
def served(world, token=False, named=True, samples=None):
    """The address of a server on a free port (with its token, where it has one), and its process; killed, not asked, at
    the end. It has nothing to complain about. Without `named`, it takes map and corpora from the queue; `samples` is a
    dataset to look at beside.
    """
    command = [
        sys.executable,
        "-c",
        "from pipelines.cli import main; main()",
        "review",
        "serve",
        "--port",
        "0",
    ]
    command += ["--queue", world.queue_path]
    command += ["--map", str(world.map_path), "--corpora", world.corpora] if named else []
    command += ["--dataset", samples] if samples else []
    command += [] if token else ["--no-token"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith("Review page: http://"), line + process.stdout.read()
        assert ("whoever has it" if token else "Without a token") in process.stdout.readline()
        yield line.split()[-1].rstrip("/"), process
    finally:
        process.kill()
        printed = process.communicate()[0]
    assert printed == "", printed  # no warning, no traceback


def browser(world, reviewer="anna", token=None, base=BASE, origin=BASE, samples=None):
    """A client of the app with the cookie that `reviewer` has after giving a name."""
    names = ("localhost", "127.0.0.1", "::1")
    app = build_app(Settings(world.queue_path, world.map_path, world.corpora, samples), RENDERERS)
    client = TestClient(Guard(app, names, token), base_url=base, headers={"origin": origin} if origin else {})
    if reviewer:
        client.cookies.set(REVIEWER_COOKIE, reviewer)
    return client
