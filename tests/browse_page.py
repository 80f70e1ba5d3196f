"""The browser of samples: its app in this process, and the real server as a process of its own."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from generated_shards import scene, sound, write_dataset_of
from starlette.testclient import TestClient

from pipelines.browse.app import build_app
from pipelines.browse.catalogue import Catalogue
from pipelines.browse.draw import draw
from pipelines.pages.renderers import Renderers
from pipelines.pages.security import Guard
from shards.reader import Dataset

PICTURES = Renderers(draw, seconds=100)  # of all apps in this process: they take a second to start
BASE = "http://127.0.0.1:8710"
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


def client(dataset: str, token: str | None = None, base: str = BASE) -> TestClient:
    app = Guard(build_app(Catalogue(Dataset(dataset)), PICTURES), ("127.0.0.1", "localhost"), token)
    return TestClient(app, base_url=base)


@contextlib.contextmanager
def served(dataset: str) -> Iterator[str]:
    """The address of `avs-data browse` on a free port, without a token; it has nothing to complain about."""
    command = [sys.executable, "-c", "from pipelines.cli import main; main()", "browse", dataset]
    process = subprocess.Popen(
        [*command, "--port", "0", "--no-token"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("Samples: http://"), line + process.stdout.read()
        assert "Without a token" in process.stdout.readline()
        yield line.split()[-1].rstrip("/")
    finally:
        process.kill()
        printed = process.communicate()[0]
    assert printed == "", printed


def write_hostile(root: Path, samples: int = 6) -> str:
    """A dataset whose every name is markup, in shards of few samples."""
    tone = sound(0, "tone", "bell", 1.5)
    found = [(*scene(0, str(number), 64, "bell"), tone) for number in range(samples)]
    return write_dataset_of(root, found, samples_per_shard=2, name=HOSTILE, category=HOSTILE)


def keys(dataset: str) -> list[str]:
    return [str(key) for key in np.array(Dataset(dataset).table(columns=["key"])["key"].to_pylist())]
