"""Beam's side of a build: options checked before anything starts, quiet while it runs, errors told in one line."""

import logging
import os
import pydoc
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import (
    PipelineOptions,
    PortableOptions,
    PrismRunnerOptions,
    SetupOptions,
    StandardOptions,
    _BeamArgumentParser,
)
from apache_beam.runners.runner import PipelineRunner

from shards.errors import AvsError, of_a_store
from shards.interrupts import Terminated

_JOB_API = ("PortableRunner", "PrismRunner")
_HERE = (None, "FnApiRunner")  # our own local runner, and Beam's, which tests hold it against
_ANSWER_S = 5.0
_REMEDY = "What is written stays good: remove the cause and run the same command."


class RunnerError(AvsError):
    """The runner cannot be asked for this; the message says what to do."""


class UnknownOption(RunnerError):
    """An option that neither this command nor Beam knows."""


class BuildStopped(AvsError):
    """A store or an engine ended the build, told in one line; the same command resumes from there."""


class _Options(PipelineOptions):
    """Beam asks for a view at every step of a pipeline, and would make an argument parser for each."""

    def view_as(self, cls: type[Any]) -> Any:
        views = vars(self).setdefault("_views", {})
        if cls not in views:
            views[cls] = super().view_as(cls)
        return views[cls]


def options(arguments: Sequence[str]) -> PipelineOptions:
    """What Beam is asked for.

    Raises:
        RunnerError: an unknown option or runner, a part that Beam would download unasked, or a server that does not
            answer.
    """
    found = _Options(list(arguments))
    name = _named(found)
    if name in _JOB_API:
        _check_job_server(name, found)
    elif name not in _HERE:
        raise RunnerError(
            f"--runner {name} is not tried: leave it out for this machine, give --scheduler for a Dask cluster, or "
            f"name one of {', '.join(_JOB_API)}"
        )
    else:
        _check_known(arguments)
    found.view_as(SetupOptions).save_main_session = False  # workers import what is installed there
    return found


def is_local(options: PipelineOptions) -> bool:
    """Whether the job runs on this machine alone."""
    return _named(options) in _HERE


def _named(options: PipelineOptions) -> str | None:
    name = options.view_as(StandardOptions).runner
    return name.rsplit(".", 1)[-1] if name else None


def run(
    options: PipelineOptions, wire: Callable[[beam.Pipeline], None], runner: PipelineRunner | None = None
) -> None:
    """Draw the job on a pipeline and wait for its end.

    Args:
        runner: one of ours; None: the one that the options name.

    Raises:
        BuildStopped: a store failed, or the job server, the cluster or a worker went away. What else a worker met is a
            fault of the code and comes as the runner's own error.
    """
    with _quiet():
        pipeline = beam.Pipeline(runner, options)
        wire(pipeline)
        try:
            pipeline.run().wait_until_finish()
        except Exception as error:  # a runner wraps it in its own way
            line = told(error, options)
            if "KeyboardInterrupt" in line or f"interrupts.{Terminated.__name__}" in line:
                raise KeyboardInterrupt from error
            if isinstance(error, AvsError) or _outside(error) or _of_a_store(line):
                raise BuildStopped(f"the build stopped: {line}\n{_REMEDY}") from error
            error.add_note(_REMEDY)
            raise


def _check_known(arguments: Sequence[str]) -> None:
    """A job server has options of its own; for other runners, one that Beam does not know is a slip."""
    parser = _BeamArgumentParser(allow_abbrev=False)
    for kind in PipelineOptions.__subclasses__():
        kind._add_argparse_args(parser)
    _, unknown = parser.parse_known_args(list(arguments))
    if unknown:
        raise UnknownOption(f"no such option: {' '.join(unknown)}; see `avs-data build --help`")


def _check_job_server(name: str, options: PipelineOptions) -> None:
    portable = options.view_as(PortableOptions)
    if portable.job_endpoint:
        _check_answers("--job_endpoint", portable.job_endpoint, "start the job server first")
    elif name == "PortableRunner":
        raise RunnerError("--runner PortableRunner needs --job_endpoint HOST:PORT, the job server's address")
    else:
        prism = options.view_as(PrismRunnerOptions).prism_location
        what = "the Prism binary: `go install` builds it from Beam's Go module"
        _check_file("--prism_location", prism, what)
    if portable.job_endpoint and not portable.environment_type:
        raise RunnerError(
            f"--runner {name} needs --environment_type: EXTERNAL with --environment_config HOST:PORT of a worker pool "
            "that has avs-data installed, DOCKER with --environment_config IMAGE, or LOOPBACK to work in this process"
        )


def _check_file(option: str, path: str | None, what: str) -> None:
    if not path or not os.path.isfile(path):
        said = f"{path} is no file" if path else "it is left out, and Beam would download it"
        raise RunnerError(f"{option}: {said}; give {what}")


def _check_answers(option: str, address: str, remedy: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S).close()
    except ValueError as error:
        raise RunnerError(f"{option} {address}: give HOST:PORT") from error
    except OSError as error:
        raise RunnerError(f"nothing answers at {option} {address} ({error}): {remedy}") from error


def told(error: BaseException, options: PipelineOptions) -> str:
    """The one line that matters of a runner's error, which may be a page of tracebacks from two languages."""
    if isinstance(error, grpc.RpcError):
        details = error.details() if isinstance(error, grpc.Call) else str(error)
        server = options.view_as(PortableOptions).job_endpoint or "that this command started"
        return (
            f"the job server {server} went away: {' '.join(str(details).split())}; its log tells why "
            "(Prism ends where the worker pool of --environment_config does not answer)"
        )
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    raised = [line for line in lines if "[while running" in line]
    return (raised or lines or [type(error).__name__])[-1]


def _outside(error: Exception) -> bool:
    """Whether a process of the engine went away."""
    return isinstance(error, grpc.RpcError | grpc.FutureTimeoutError) or "SDK worker disconnected" in str(
        error
    )


def _of_a_store(line: str) -> bool:
    """Whether the line that a worker's error ends with names an error that a person can act on."""
    kind = pydoc.locate(line.partition(":")[0])
    return isinstance(kind, type) and (issubclass(kind, AvsError) or of_a_store(kind))


@contextmanager
def _quiet() -> Iterator[None]:
    """Beam tells the log of every bundle, Dask of every lost connection; an error comes as an exception anyway."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
