"""A build on a Dask cluster of real processes: the same bytes, whatever dies; what cannot work is told before."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from dask_cluster import Cluster, environment
from test_engines import Build, builds, hashes, installed, whole  # noqa: F401

from pipelines.build import dask_gate, dask_runner, dask_workers, run
from pipelines.cli import main
from pipelines.recipes import recipe
from shards.errors import AvsError


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    running = Cluster(tmp_path / "cluster", 2)
    running.start(environment(tmp_path / "without"))  # a scheduler needs no avs-data
    yield running
    running.kill()


def shards(out: Path) -> int:
    return len(list(out.rglob("*.tar")))


def test_workers_elsewhere_give_two_builds_the_same_bytes_when_one_dies(
    dataset: str, corpora: str, cluster: Cluster, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    relative = os.path.relpath(corpora), os.path.relpath(out)  # here; the workers work elsewhere
    build = Build(*relative, "--scheduler", cluster.address)
    other = Build(corpora, str(tmp_path / "other"), "--scheduler", cluster.address)  # shares no task
    build.until(lambda: shards(out) >= 1)
    os.kill(cluster.workers[0].pid, signal.SIGKILL)
    assert other.end()[0] == 0
    code, told = build.end()
    assert code == 0, told
    assert hashes(str(tmp_path / "other")) == hashes(str(out)) == hashes(dataset)
    assert "workers" in told  # how far it was
    verifying = ["verify", relative[1], "--scheduler", cluster.address]
    assert CliRunner().invoke(main, [*verifying, "--deep"]).exit_code == 0
    damaged = next(out.rglob("train-*.tar"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    found = CliRunner().invoke(main, verifying)
    assert found.exit_code == 1
    assert f"train/{damaged.name}: " in found.output


def test_a_scheduler_that_dies_is_told_and_the_same_command_ends_it(
    dataset: str, corpora: str, cluster: Cluster, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    build = Build(corpora, str(out), "--scheduler", cluster.address)
    build.until(lambda: shards(out) >= 1)
    assert cluster.scheduler is not None
    cluster.scheduler.kill()
    code, told = build.end()
    assert code == 1
    assert "scheduler" in told.splitlines()[-2]
    assert "run the same command" in told.splitlines()[-1]
    assert "Traceback" not in told
    whole(str(out))
    again = Cluster(tmp_path / "again", 1)
    again.start()
    try:
        builds(corpora, str(out), "--scheduler", again.address)
    finally:
        again.kill()
    assert hashes(str(out)) == hashes(dataset)


def test_what_cannot_work_is_told_before_anything_is_written(
    corpora: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_runner, "_ANSWER_S", 2.0)
    out = tmp_path / "out"
    alone = Cluster(tmp_path / "alone", 0)

    def told(scheduler: str, **options: Any) -> str:
        with pytest.raises(AvsError) as caught:
            run.build(
                recipe.load("demo"), run.BuildOptions(corpora, str(out), scheduler=scheduler, **options)
            )
        assert not out.exists()
        return str(caught.value)

    assert f"no Dask scheduler answers at {alone.address}" in told(alone.address)
    assert "give its address as --scheduler tcp://HOST:8786" in told("nonsense")
    alone.start_scheduler()
    try:
        assert "has no workers; start some where avs-data is installed" in told(alone.address)
        alone.start_worker(0, "--memory-limit", "400MB")
        alone.wait(1)
        assert "may take 400 MB of memory; with 1 thread it needs 600 MB at least" in told(alone.address)
        assert "--dry-run counts on this machine" in told(alone.address, dry_run=True)
        assert "needs --job_endpoint" in told(alone.address, beam=("--runner", "PortableRunner"))
        assert "leave --streaming out" in told(alone.address, beam=("--streaming",))
    finally:
        alone.kill()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda found: found | {"avs-data": "0.0.9"}, "avs-data is 0.0.9 there, "),
        (lambda found: found | {"Python": "3.9"}, "Python is 3.9 there, "),
        (lambda found: {key: "nothing yet" for key in found}, "is nothing yet there, "),
        (lambda found: {}, "is None there, "),
    ],
    ids=["version", "python", "places", "nothing"],
)
def test_how_a_worker_differs_is_told(spoil: Callable[[dict[str, str]], dict[str, str]], says: str) -> None:
    mine = dask_workers.look("/")
    assert not dask_gate.difference(mine, mine)
    assert says in dask_gate.difference(spoil(mine), mine)


def test_workers_that_join_and_are_unfit_are_sent_away(dataset: str, corpora: str, tmp_path: Path) -> None:
    """None gets a task, though there is nobody else for a while."""
    cluster, out = Cluster(tmp_path / "cluster", 1), tmp_path / "out"
    cluster.start()
    try:
        running = Build(corpora, str(out), "--scheduler", cluster.address)
        running.until(lambda: shards(out) >= 1)
        os.killpg(cluster.workers[0].pid, signal.SIGSTOP)
        unfit = [
            cluster.start_worker(1, python=environment(tmp_path / "without")),
            cluster.start_worker(2, "--nanny", python=environment(tmp_path / "old", "0.0.9")),
            cluster.start_worker(3, "--memory-limit", "400MB"),
        ]
        running.until(lambda: not any(one.runs for one in unfit))
        os.killpg(cluster.workers[0].pid, signal.SIGCONT)
        code, told = running.end()
    finally:
        cluster.kill()
    assert code == 0, told
    assert hashes(str(out)) == hashes(dataset)
    assert (
        "cannot be looked at: ModuleNotFoundError: No module named 'pipelines'; its environment needs" in told
    )
    assert "differs from this machine: avs-data is 0.0.9 there, " in told
    assert "may take 400 MB of memory; with 1 thread it needs 600 MB at least" in told
    assert told.count("Sent away: worker tcp://") == 3
    assert "1 worker, 3 sent away" in told
