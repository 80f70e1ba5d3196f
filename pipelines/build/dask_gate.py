"""The gate of a cluster at work: a worker that joins is looked at before its first task, and sent away if it is unfit.

A worker without avs-data, or of another Python, can unpickle nothing of ours. So the gate travels as the text of this
module, and what is imported at its top every worker has.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from distributed import Client, Status, Worker, WorkerPlugin

_ANSWER_S = 5.0
_READ = "exec(text, space) or space['Gate'](*arguments)"


class Gate(WorkerPlugin):
    """Holds a worker against what the command has.

    Args:
        key: of a task that the scheduler knows as long as the command runs: behind a command that was killed the gate
            stays open. Whom it sends away it tells the topic of this name.
        mine: what `dask_workers.look` gives where the command runs, asked for `places` and `files`.
        needs: what to say of a worker that cannot be looked at.
    """

    def __init__(
        self, key: str, mine: Mapping[str, str], places: Sequence[str], files: Sequence[str], needs: str
    ) -> None:
        self._key, self._mine, self._places, self._files, self._needs = key, mine, places, files, needs

    def __reduce__(self) -> Any:
        arguments = self._key, self._mine, self._places, self._files, self._needs
        space = {"__name__": "avs_data_gate"}
        return eval, (_READ, {"text": Path(__file__).read_text(), "space": space, "arguments": arguments})

    async def setup(self, worker: Worker) -> None:
        states = await worker.scheduler.get_task_status(keys=[self._key])
        if states[self._key] is None:
            return
        if fault := await asyncio.to_thread(self._fault, worker):
            worker.log_event(self._key, (worker.address, fault))
            worker.status = Status.closing_gracefully  # begins nothing that it was given by now
            # Taken off the list before it ends: so that is no failure of what it was given.
            await worker.scheduler.retire_workers(workers=[worker.address], close_workers=False, remove=True)
            worker.loop.add_callback(
                worker.close, reason=fault
            )  # later: a nanny that starts it does not listen

    def _fault(self, worker: Worker) -> str:
        try:
            from pipelines.build import dask_workers

            found = dask_workers.look(*self._places, files=self._files)
            return difference(found, self._mine) or dask_workers.too_little(
                worker.memory_manager.memory_limit, worker.state.nthreads
            )
        except Exception as error:
            return unseen(error, self._needs)


def difference(found: Mapping[str, str], mine: Mapping[str, str]) -> str:
    """The first thing in which a worker is not as this machine, in words; empty: there is none."""
    for what, here in mine.items():
        if (there := found.get(what)) != here:
            return f"differs from this machine: {what} is {there} there, {here} here"
    return ""


def unseen(error: Exception, needs: str) -> str:
    """What to say of a worker that could not be looked at."""
    return f"cannot be looked at: {type(error).__name__}: {error}; {needs}"


@contextmanager
def guarded(
    client: Client,
    mine: Mapping[str, str],
    places: Sequence[str],
    files: Sequence[str],
    needs: str,
    tell: Callable[[str], None] | None = None,
) -> Iterator[list[str]]:
    """While the block runs, workers that join are held against what this machine has; those that are there are not.

    Args:
        tell: told of the first worker with each fault.

    Yields:
        The faults of those that were sent away; it grows.
    """
    key, faults = f"avs-data-gate-{client.id}", list[str]()

    def see(event: tuple[Any, tuple[str, str]]) -> None:
        worker, fault = event[1]
        if tell and fault not in faults:
            tell(f"Sent away: worker {worker} {fault}")
        faults.append(fault)

    client.subscribe_topic(key, see)
    client.register_plugin(Gate(key, mine, places, files, needs), name=key)
    known = client.submit(int, key=key)  # only now, so that it is open to those that are there
    try:
        yield faults
    finally:
        known.release()
        if client.status == "running":  # a scheduler that went away has no gate either
            with suppress(Exception):  # as of a worker that does not answer
                client.sync(client.scheduler.unregister_worker_plugin, name=key, callback_timeout=_ANSWER_S)
