"""A build on Prism with workers in a pool of their own, on local folders and on S3: same bytes, harmless failures."""

import os
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import beam_engines
import fsspec
import pytest
import s3_server

from shards import format, storage
from shards.verify import verify

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(
    beam_engines.binary() is None, reason="Prism is not built here: run tests/servers/build_prism.sh"
)


def hashes(dataset: str) -> dict[str, str]:
    """sha256 of every file that belongs to a dataset, in a folder or on S3."""
    fs, root = fsspec.url_to_fs(dataset)
    fs.invalidate_cache()
    paths = [path[len(root) :] for path in fs.find(root) if "/.work/" not in path]
    return {path: storage.sha256(dataset + path) for path in paths}


class Build:
    """`avs-data build` as a process of its own."""

    def __init__(self, corpora: str, out: str, *options: str, recipe: str = "demo") -> None:
        command = [sys.executable, "-c", "from pipelines.cli import main; main()", "build", recipe]
        command += ["--corpora", corpora, "--out", out, *options]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def until(self, reached: Callable[[], bool], seconds: float = 300) -> None:
        deadline = time.monotonic() + seconds
        while self.runs and not reached():
            assert time.monotonic() < deadline, "it never came to that"
            time.sleep(0.02)
        assert self.runs, f"the build ended before it could be disturbed: {self.end()[1][-2000:]}"

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def end(self, seconds: float = 900) -> tuple[int, str]:
        _, error = self._process.communicate(timeout=seconds)
        return self._process.returncode, error


def builds(corpora: str, out: str, *options: str, recipe: str = "demo") -> None:
    code, error = Build(corpora, out, *options, recipe=recipe).end()
    assert code == 0, error[-3000:]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("installed"))


def install(folder: Path) -> Path:
    """Python of an environment with the built wheel; what the wheel depends on is taken from this one."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    venv.create(folder / "venv", symlinks=True)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))  # its own .pth files are not read
    return folder / "venv" / "bin" / "python"


@pytest.fixture
def prism(tmp_path: Path) -> Iterator[beam_engines.Prism]:
    running = beam_engines.Prism(tmp_path / "prism")
    running.start()
    yield running
    running.kill()


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[beam_engines.WorkerPool]:
    running = beam_engines.WorkerPool(tmp_path / "pool")
    running.start()
    yield running
    running.kill()


def whole(out: str) -> None:
    """No manifest, and a shard that has its name is there to its end; what a kill leaves besides has other names."""
    found = set(hashes(out))
    assert format.MANIFEST not in {name.strip("/") for name in found}
    for name in found:
        if name.endswith(".tar"):
            with storage.open_read(out + name) as file:
                file.seek(-1024, os.SEEK_END)
                assert file.read() == bytes(1024)  # the end of an archive


def test_workers_from_the_wheel_in_another_folder_give_the_same_bytes(
    dataset: str, corpora: str, prism: beam_engines.Prism, installed: Path, tmp_path: Path
) -> None:
    pool = beam_engines.WorkerPool(tmp_path / "pool", installed)
    pool.start()
    try:
        relative = (
            os.path.relpath(corpora),
            os.path.relpath(tmp_path / "out"),
        )  # here; the pool works elsewhere
        builds(*relative, *prism.options, *pool.options)
    finally:
        pool.kill()
    asked = "import pipelines; print(pipelines.__file__)"
    assert str(installed.parents[1]) in subprocess.check_output(
        [installed, "-c", asked], cwd=tmp_path, text=True
    )
    assert hashes(str(tmp_path / "out")) == hashes(dataset)


@pytest.mark.slow
def test_real_photos_on_prism(
    mini: str, prism: beam_engines.Prism, pool: beam_engines.WorkerPool, tmp_path: Path
) -> None:
    here, there = str(tmp_path / "here"), str(tmp_path / "there")
    builds(mini, here, recipe="avs_synthetic")
    builds(mini, there, *prism.options, *pool.options, recipe="avs_synthetic")
    assert hashes(there) == hashes(here)


@pytest.mark.slow
@s3_server.needed
def test_corpora_and_dataset_on_s3(
    dataset: str, corpora: str, prism: beam_engines.Prism, s3: s3_server.S3Server, tmp_path: Path
) -> None:
    url = f"s3://{s3_server.BUCKET}"
    fsspec.filesystem("s3").put(corpora, f"{url}/corpora", recursive=True)
    pool = beam_engines.WorkerPool(tmp_path / "pool", **s3.environment)
    pool.start()
    try:
        builds(f"{url}/corpora", f"{url}/out", *prism.options, *pool.options)
    finally:
        pool.kill()
    assert hashes(f"{url}/out") == hashes(dataset)
    assert verify(f"{url}/out") == []


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["worker pool", "job server", "both"])
def test_a_crash_stops_with_an_error_and_the_same_command_goes_on(
    victim: str,
    dataset: str,
    corpora: str,
    prism: beam_engines.Prism,
    pool: beam_engines.WorkerPool,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    for folder in ("pool", "train"):
        build = Build(corpora, str(out), *prism.options, *pool.options)
        build.until(lambda folder=folder: bool(list((out / folder).glob("*.tar"))))
        if victim != "job server":
            pool.kill()
        if victim != "worker pool":
            prism.kill()
        code, error = build.end()
        assert code == 1
        assert "SDK worker disconnected" in error or "the job server" in error
        assert "╭" not in error  # no traceback of this command's
        assert "What is written stays good: remove the cause and run the same command" in error
        whole(str(out))
        pool.kill()
        prism.kill()
        pool.start()
        prism.start()
    parts = [path.relative_to(out / ".work" / "parts") for path in out.rglob(".work/parts/**/*.parquet")]
    kept = {path: path.stat().st_ino for path in (out / part.with_suffix(".tar") for part in parts)}
    builds(corpora, str(out), *prism.options, *pool.options)
    assert hashes(str(out)) == hashes(dataset)
    assert {path: path.stat().st_ino for path in kept} == kept  # what had its part was not written again


@pytest.mark.slow
@s3_server.needed
@pytest.mark.parametrize("away_s", [0.0, 1.5, 30.0], ids=["a blink", "a restart", "long"])
def test_the_store_goes_away_and_comes_back(
    away_s: float,
    dataset: str,
    corpora: str,
    prism: beam_engines.Prism,
    s3: s3_server.S3Server,
    tmp_path: Path,
) -> None:
    """The store answers again in time, or the build stops with an error; never is a sample dropped for it."""
    url, data = f"s3://{s3_server.BUCKET}", s3.folder / "data" / s3_server.BUCKET
    fsspec.filesystem("s3").put(corpora, f"{url}/corpora", recursive=True)
    pool = beam_engines.WorkerPool(tmp_path / "pool", **s3.environment)
    pool.start()
    try:
        build = Build(f"{url}/corpora", f"{url}/out", *prism.options, *pool.options)
        build.until(lambda: bool(list((data / "out" / "pool").glob("*.tar"))))
        s3.kill()
        end = time.monotonic() + away_s
        while build.runs and time.monotonic() < end:
            time.sleep(0.1)
        s3.start()
        code, error = build.end()
        if code:
            assert "What is written stays good: remove the cause and run the same command" in error
            whole(f"{url}/out")
            builds(f"{url}/corpora", f"{url}/out", *prism.options, *pool.options)
    finally:
        pool.kill()
    assert hashes(f"{url}/out") == hashes(dataset)
