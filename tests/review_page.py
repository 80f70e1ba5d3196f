"""The real server of the review page, as a process of its own."""

import contextlib
import subprocess
import sys


@contextlib.contextmanager
def served(world):
    """The address of a server on a free port; killed, not asked, at the end. It has nothing to complain about."""
    command = [
        sys.executable,
        "-c",
        "from pipelines.cli import main; main()",
        "review",
        "serve",
        "--port",
        "0",
    ]
    command += ["--queue", world.queue_path, "--map", str(world.map_path), "--corpora", world.corpora]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith("Review page: http://"), line + process.stdout.read()
        yield line.split()[-1].rstrip("/"), process
    finally:
        process.kill()
        printed = process.communicate()[0]
    assert printed == ""  # no warning, no traceback
