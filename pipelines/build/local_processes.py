"""The processes of a build on this machine, which begin to import Beam before the command itself does."""

from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext

from shards import processes

_IMPORTED = ("pipelines.build.lean_beam", "pipelines.build.local_runner")


def prepare() -> None:
    processes.prepare(_IMPORTED)


def executor(workers: int) -> AbstractContextManager[ProcessPoolExecutor | None]:
    """So many of them, see `shards.processes.executor`; None where this one is enough."""
    return processes.executor(workers, _IMPORTED) if workers > 1 else nullcontext()
