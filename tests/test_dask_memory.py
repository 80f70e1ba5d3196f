"""Workers of a cluster that have too little memory: what can be had is asked back, what cannot is told by its stage.

Slow: `pytest -m slow tests/test_dask_memory.py`.
"""

from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pytest
from dask_cluster import Cluster, Eat
from distributed import Client
from test_engines import hashes

from pipelines.build import dask_runner
from pipelines.build.run import BuildOptions, build
from pipelines.build.runner import BuildStopped, options, run
from pipelines.recipes import recipe
from shards import storage
from shards.claims import CLAIM, WORK

pytestmark = pytest.mark.slow
LIMIT = ("--memory-limit", "700MB")  # paused at 560 MB
HELD = "import sys; sys.held = b'\\1' * 500_000_000"
FREED = (
    "import sys; many = [b'\\1' * 100_000 for _ in range(5_000)]; sys.held = many[-1]"  # all below it stays
)
LET_GO = "import sys; del sys.held"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    running = Cluster(tmp_path / "cluster", 0, PYTHONPATH=str(Path(__file__).parent))
    running.start_scheduler()
    yield running
    running.kill()


def on_workers(cluster: Cluster, code: str) -> None:
    with Client(cluster.address, set_as_default=False) as client:
        client.run(exec, code, {})


def test_workers_that_are_paused(dataset: str, corpora: str, cluster: Cluster, tmp_path: Path) -> None:
    """Memory that was freed is given back, and the build goes on; where it is held, one line ends the build."""
    for number in range(2):
        cluster.start_worker(number, *LIMIT)
    cluster.wait(2)
    on_workers(cluster, HELD)
    out, said = str(tmp_path / "out"), list[str]()
    asked = BuildOptions(corpora, out, scheduler=cluster.address, patience_s=3.0)
    with pytest.raises(
        BuildStopped, match="has not gone on for 3 s: Dask has paused 2 of 2 workers"
    ) as caught:
        build(recipe.load("demo"), asked, say=said.append)
    line = str(caught.value).splitlines()[0]
    assert " MB of 700 MB; give each more (dask worker --memory-limit" in line
    assert "2 workers, 2 paused for want of memory" in said[-1]
    on_workers(cluster, LET_GO)
    on_workers(cluster, FREED)
    build(recipe.load("demo"), asked, say=said.append)
    assert hashes(out) == hashes(dataset)


def test_a_task_that_takes_more_than_its_worker_may(cluster: Cluster, tmp_path: Path) -> None:
    """It is tried elsewhere; where no worker survives it, the stage is named."""
    for number in range(2):
        cluster.start_worker(number, *LIMIT, "--nanny")
    cluster.wait(2)
    out, tried = tmp_path / "out", tmp_path / "tried"
    storage.write_atomic(storage.join(str(out), WORK, CLAIM), b"{}")
    tried.mkdir()

    def eat(times: int) -> None:
        runner = dask_runner.Cluster(cluster.address, str(out), str(out)).runner()
        run(options(()), lambda pipeline: draw(pipeline, times), runner)

    def draw(pipeline: beam.Pipeline, times: int) -> None:
        _ = (
            pipeline
            | beam.Create([7])
            | beam.Reshuffle()
            | "Eat memory" >> beam.ParDo(Eat(str(tried), times))
        )

    eat(1)
    assert {path.name for path in tried.iterdir()} == {"0", "result"}
    assert (tried / "result").read_text() == "7"
    with pytest.raises(BuildStopped, match="a task of Eat memory ended 4 workers, one after the other"):
        eat(100)
