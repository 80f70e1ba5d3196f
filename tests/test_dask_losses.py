"""What a cluster may lose while it builds, on hosts of their own and on S3: the same bytes, or one line and then they.

Slow: `pytest -m slow tests/test_dask_losses.py`. The hosts are network namespaces, so they need root.
"""

import os
import signal
import time
from pathlib import Path

import fsspec
import network
import pytest
import s3_server
from dask_cluster import Cluster
from test_dask import shards
from test_engines import Build, builds, hashes, installed, whole  # noqa: F401

from pipelines.build.run import BuildOptions, build
from pipelines.demo import write_demo_corpora
from pipelines.recipes import recipe

pytestmark = pytest.mark.slow
SOON = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "30s"}  # given up, but not for a busy machine


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str]]:
    """Corpora that take a while, and the hashes of what is built from them here."""
    folder = tmp_path_factory.mktemp("larger")
    corpora = str(folder / "corpora")
    write_demo_corpora(corpora, images=300, clips=12, every=False)
    build(recipe.load("demo"), BuildOptions(corpora, str(folder / "here")))
    return corpora, hashes(str(folder / "here"))


@network.needed
def test_hosts_that_are_cut_off_and_killed(
    larger: tuple[str, dict[str, str]],
    installed: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    corpora, expected = larger
    out = tmp_path / "out"
    with network.network(3) as net:
        cluster = Cluster(tmp_path / "cluster", 3, installed, net, **SOON)
        cluster.start()
        try:
            running = Build(corpora, str(out), "--scheduler", cluster.address)
            running.until(lambda: shards(out) >= 2)
            net.cut(0)  # its worker goes on writing into the shared folder, until it gives its scheduler up
            assert cluster.workers[0].runs, "the host is cut off, not ended"
            running.until(lambda: shards(out) >= 4)
            cluster.workers[1].kill()
            code, told = running.end()
        finally:
            cluster.kill()
    assert code == 0, told
    assert hashes(str(out)) == expected


def test_a_worker_that_stops_answering(larger: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    corpora, expected = larger
    out = tmp_path / "out"
    cluster = Cluster(tmp_path / "cluster", 2, **SOON)
    cluster.start()
    try:
        running = Build(corpora, str(out), "--scheduler", cluster.address)
        running.until(lambda: shards(out) >= 2)
        os.killpg(cluster.workers[0].pid, signal.SIGSTOP)
        code, told = running.end()
    finally:
        cluster.kill()
    assert code == 0, told
    assert hashes(str(out)) == expected


def test_a_nanny_that_is_killed_and_the_command_itself(
    larger: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    corpora, expected = larger
    out = tmp_path / "out"
    cluster = Cluster(tmp_path / "cluster", 0, **SOON)
    cluster.start_scheduler()
    for number in range(2):
        cluster.start_worker(number, "--nanny")
    try:
        cluster.wait(2)
        running = Build(corpora, str(out), "--scheduler", cluster.address)
        running.until(lambda: shards(out) >= 2)
        os.kill(cluster.workers[0].pid, signal.SIGKILL)
        running.until(lambda: shards(out) >= 4)
        running.kill()
        time.sleep(5)
        there = shards(out)
        time.sleep(5)
        assert shards(out) == there, "the tasks of a command that is gone go on"
        whole(str(out))
        builds(corpora, str(out), "--scheduler", cluster.address)
    finally:
        cluster.kill()
    assert hashes(str(out)) == expected


@s3_server.needed
def test_s3_as_the_only_shared_storage_and_its_server_started_again(
    dataset: str, corpora: str, s3: s3_server.S3Server, tmp_path: Path
) -> None:
    url = f"s3://{s3_server.BUCKET}"
    fsspec.filesystem("s3").put(corpora, f"{url}/corpora", recursive=True)
    cluster = Cluster(tmp_path / "cluster", 2, **SOON, **s3.environment)
    cluster.start()
    try:
        running = Build(f"{url}/corpora", f"{url}/out", "--scheduler", cluster.address)
        bucket = s3.folder / "data" / s3_server.BUCKET / "out"
        running.until(lambda: shards(bucket) >= 1)
        s3.kill()
        time.sleep(2)
        s3.start()
        code, told = running.end()
        if code:
            assert code == 1, told
            assert "run the same command" in told.splitlines()[-1]
            builds(f"{url}/corpora", f"{url}/out", "--scheduler", cluster.address)
    finally:
        cluster.kill()
    assert hashes(f"{url}/out") == hashes(dataset)
