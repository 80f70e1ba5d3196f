"""Runs a build's pipeline on this machine: in this process, or in several that Dask's scheduler gives tasks to."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import apache_beam as beam
import cloudpickle
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult, PipelineRunner, PipelineState

from pipelines.build import fused
from shards import processes, progress_file

_PARTITIONS = 8  # in this process: more would hold less at a time, and cost a little each
_PER_WORKER = 4  # so that none waits long for the last one


class StageRunner(PipelineRunner):
    """Cuts a pipeline into fused stages and has them run.

    Args:
        compute: runs all tasks of a plan; returns when they are done.
    """

    def __init__(self, compute: Callable[[fused.Plan], None]) -> None:
        super().__init__()
        self._compute = compute

    def run_pipeline(self, pipeline: beam.Pipeline, options: PipelineOptions) -> PipelineResult:
        self._compute(fused.plan(pipeline))
        return PipelineResult(PipelineState.DONE)


def local_runner(workers: int) -> StageRunner:
    """In this process; with more than one worker, in so many others."""
    if workers == 1:
        return StageRunner(_in_this_process)
    return StageRunner(lambda plan: _in_processes(plan, workers))


def _in_this_process(plan: fused.Plan) -> None:
    waiting = Counter(number for stage in plan.stages for number in stage.takes)
    left: dict[int, list[fused.Cut]] = {number: [] for number in plan.feeders}  # what is on its way
    for stage in plan.stages:
        for partition in stage.parts(_PARTITIONS):
            for number, cut in _timed(stage, partition, _PARTITIONS, left).items():
                left[number].append(cut)
        for number in stage.takes:
            waiting[number] -= 1
            if not waiting[number]:
                left[number].clear()


def _in_processes(plan: fused.Plan, workers: int) -> None:
    import dask
    from dask.multiprocessing import RemoteException, get

    with processes.executor(workers) as executor:
        made = tasks(plan, _PER_WORKER * workers, _run_here)
        try:
            dask.compute(made, scheduler=get, pool=executor, optimize_graph=False, chunksize=1)
        except RemoteException as error:
            raise error.exception from error  # the worker's traceback stays with it


def tasks(plan: fused.Plan, partitions: int, run: Callable[..., dict[int, fused.Cut]]) -> list[Any]:
    """A plan as Dask tasks, one a stage and partition; those that nothing waits for, each `dask.delayed`.

    A task's key is its stage's name and number, which is what Dask's dashboard shows, and its partition.

    Args:
        run: takes what `run_task` takes, and gives what the stage leaves.
    """
    from dask import delayed

    made: dict[int, list[Any]] = {}
    for stage in plan.stages:
        packed = delayed(cloudpickle.dumps(stage), name=f"plan-{stage.number}")
        took = {
            number: [task for feeder in plan.feeders[number] for task in made[feeder]]
            for number in stage.takes
        }
        name = f"{stage.name.lower().replace(' ', '-')}-{stage.number}"
        made[stage.number] = [
            delayed(run, pure=False)(packed, partition, partitions, took, dask_key_name=(name, partition))
            for partition in stage.parts(partitions)
        ]
    return [task for stage in plan.stages if not stage.leaves for task in made[stage.number]]


def run_task(
    packed: bytes, partition: int, partitions: int, took: dict[int, list[dict[int, fused.Cut]]]
) -> tuple[fused.Stage, dict[int, fused.Cut]]:
    """One task in whatever process: its stage, and what that leaves; `took` holds what its feeders left."""
    stage = cloudpickle.loads(packed)
    taken = {
        number: [found[number] for found in results if number in found] for number, results in took.items()
    }
    return stage, _timed(stage, partition, partitions, taken)


def _timed(stage: fused.Stage, *arguments: Any) -> dict[int, fused.Cut]:
    """`fused.run`, which tells what it took."""
    processor, wall = time.process_time(), time.monotonic()
    left = fused.run(stage, *arguments)
    progress_file.spent(stage.name, time.process_time() - processor, time.monotonic() - wall)
    return left


def _run_here(*arguments: Any) -> dict[int, fused.Cut]:
    return run_task(*arguments)[1]
