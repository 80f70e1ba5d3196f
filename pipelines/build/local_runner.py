"""Runs a build's pipeline on this machine: in this process, or in several."""

import gc
import operator
import pickle
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from functools import lru_cache
from typing import Any

import apache_beam as beam
import cloudpickle
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult, PipelineRunner, PipelineState

from pipelines.build import bundle, fused
from shards import processes, progress_file

_PARTITIONS = 8  # in this process: more would hold less at a time, and cost a little each
_PER_WORKER = 16  # so that shards have a task each, and none waits long for the last one


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


def local_runner(workers: int, executor: Executor | None = None) -> StageRunner:
    """In this process; with an executor, in its `workers`."""
    if executor is None:
        return StageRunner(_in_this_process)
    return StageRunner(lambda plan: _in_processes(plan, workers, executor))


def _in_this_process(plan: fused.Plan) -> None:
    waiting = Counter(number for stage in plan.stages for number in stage.takes)
    left: dict[int, list[bundle.Cut]] = {number: [] for number in plan.feeders}  # what is on its way
    gc.freeze()  # what is there already, as modules, is not looked through for garbage each time
    try:
        for stage in plan.stages:
            for partition in stage.parts(_PARTITIONS):
                for number, cut in _timed(stage, partition, _PARTITIONS, left).items():
                    left[number].append(cut)
            for number in stage.takes:
                waiting[number] -= 1
                if not waiting[number]:
                    left[number].clear()
    finally:
        gc.unfreeze()


def _in_processes(plan: fused.Plan, workers: int, executor: Executor) -> None:
    with processes.told():
        _Schedule(plan, workers, executor).run()


class _Schedule:
    """Gives tasks to processes once all is there that they take; a partition that nothing came for has none."""

    def __init__(self, plan: fused.Plan, workers: int, executor: Executor) -> None:
        self._plan, self._partitions, self._executor = plan, _PER_WORKER * workers, executor
        self._waiting = list(plan.stages)
        # Stage and partition of each task.
        self._running: dict[Future[dict[int, bundle.Cut]], tuple[int, int]] = {}
        self._at_work = Counter[int]()  # tasks of each stage
        self._left: dict[int, dict[tuple[int, int], bundle.Cut]] = {number: {} for number in plan.feeders}

    def run(self) -> None:
        """Run all tasks.

        Raises:
            BrokenProcessPool: a process was ended. What a task raises.
        """
        while self._waiting or self._running:
            while ready := [stage for stage in self._waiting if self._is_ready(stage)]:
                for stage in ready:
                    self._waiting.remove(stage)
                    self._begin(stage)
            for task in wait(self._running, return_when=FIRST_COMPLETED).done:
                made = self._running.pop(task)
                self._at_work[made[0]] -= 1
                for number, cut in task.result().items():
                    self._left[number][made] = cut

    def _is_ready(self, stage: fused.Stage) -> bool:
        waiting = {other.number for other in self._waiting}
        feeders = {feeder for number in stage.takes for feeder in self._plan.feeders[number]}
        return not any(feeder in waiting or self._at_work[feeder] for feeder in feeders)

    def _begin(self, stage: fused.Stage) -> None:
        taken = {number: [cut for _, cut in sorted(self._left[number].items())] for number in stage.takes}
        source = taken.pop(stage.source.number) if stage.source else [{0: []}]
        packed = cloudpickle.dumps(stage)
        sizes = Counter[int]()
        for cut in source:
            for partition, elements in cut.items():
                sizes[partition] += sum(map(_size, elements))
        for partition, _ in sizes.most_common():  # the largest first: nobody waits long for the last one
            part = [{partition: cut[partition]} for cut in source if partition in cut]
            took = {stage.source.number: part, **taken} if stage.source else taken
            task = self._executor.submit(_run_packed, packed, partition, self._partitions, took)
            self._running[task] = (stage.number, partition)
            self._at_work[stage.number] += 1
        for number in stage.takes:
            if not any(number in other.takes for other in self._waiting):
                self._left[number].clear()


def _size(element: Any) -> int:
    """Bytes of a table that waits, 1 of anything else."""
    match element:
        case (_, (str(), int(), int(size))):
            return size
    return 1


_unpacked = lru_cache(64)(cloudpickle.loads)  # stages: several tasks are of one


def _run_packed(packed: bytes, *arguments: Any) -> dict[int, bundle.Cut]:
    return _timed(_unpacked(packed), *arguments)


def tasks(
    plan: fused.Plan, partitions: int, run: Callable[..., dict[int, bundle.Cut]], build: str
) -> list[Any]:
    """A plan as Dask tasks, one a stage and partition; those that nothing waits for, each `dask.delayed`.

    A task's key is its stage's name and number, which is what Dask's dashboard shows, its partition, and the build.
    A scheduler, which unpickles what it is given, needs nothing of ours for it.

    Args:
        run: takes what `run_task` takes, and gives what the stage leaves.
        build: no other has its name: to a cluster tasks of one key are one task, whoever asks.
    """
    from dask import delayed

    made: dict[int, list[Any]] = {}
    function = delayed(pickle.loads)(cloudpickle.dumps(run), dask_key_name=f"run-{build}")
    for stage in plan.stages:
        packed = delayed(cloudpickle.dumps(stage), name=f"plan-{stage.number}-{build}")
        took = {
            number: [task for feeder in plan.feeders[number] for task in made[feeder]]
            for number in stage.takes
        }
        name = f"{stage.name.lower().replace(' ', '-')}-{stage.number}"
        made[stage.number] = [
            delayed(operator.call)(
                function, packed, partition, partitions, took, dask_key_name=(name, partition, build)
            )
            for partition in stage.parts(partitions)
        ]
    return [task for stage in plan.stages if not stage.leaves for task in made[stage.number]]


def run_task(
    packed: bytes, partition: int, partitions: int, took: dict[int, list[dict[int, bundle.Cut]]]
) -> tuple[fused.Stage, dict[int, bundle.Cut]]:
    """One task in whatever process: its stage, and what that leaves; `took` holds what its feeders left."""
    stage = cloudpickle.loads(packed)
    taken = {
        number: [found[number] for found in results if number in found] for number, results in took.items()
    }
    return stage, _timed(stage, partition, partitions, taken)


def _timed(stage: fused.Stage, *arguments: Any) -> dict[int, bundle.Cut]:
    """`bundle.run`, which tells what it took."""
    processor, wall = time.process_time(), time.monotonic()
    left = bundle.run(stage, *arguments)
    progress_file.spent(stage.name, time.process_time() - processor, time.monotonic() - wall)
    return left
