"""Beam's side of a build: options checked before anything starts, quiet while it runs, errors told in one line."""

import json
import logging
import os
import pydoc
import shlex
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import (
    DirectOptions,
    FlinkRunnerOptions,
    PipelineOptions,
    PortableOptions,
    PrismRunnerOptions,
    SetupOptions,
    SparkRunnerOptions,
    StandardOptions,
    _BeamArgumentParser,
)
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from shards.errors import AvsError, of_a_store
from shards.processes import LOST

LOCAL = "FnApiRunner"  # named, because Beam's default one first tries to download a binary
_JOB_API = ("PortableRunner", "FlinkRunner", "SparkRunner", "PrismRunner")
_ANSWER_S = 5.0
_WORKER = """
import logging, runpy, signal
logging.disable(logging.CRITICAL)
from shards.processes import follow
signal.signal(signal.SIGINT, signal.SIG_DFL)
follow({parent})
runpy.run_module("apache_beam.runners.worker.sdk_worker_main", run_name="__main__")
"""
_REMEDY = "What is written stays good: remove the cause and run the same command."


class RunnerError(AvsError):
    """The runner cannot be asked for this; the message says what to do."""


class BuildStopped(AvsError):
    """A store or an engine ended the build, told in one line; the same command resumes from there."""


def options(arguments: Sequence[str], workers: int) -> PipelineOptions:
    """What Beam is asked for; the local runner with `workers` processes where no runner is named.

    Raises:
        RunnerError: an unknown option, a part that Beam would download unasked, or a server that does not answer.
    """
    found = PipelineOptions(list(arguments))
    standard = found.view_as(StandardOptions)
    if standard.runner is None:
        extra = ["--runner", LOCAL]
        if workers > 1:
            extra += ["--direct_num_workers", str(workers)]
        found = PipelineOptions([*arguments, *extra])
    name = found.view_as(StandardOptions).runner.rsplit(".", 1)[-1]
    if name in ("DirectRunner", "SwitchingDirectRunner"):
        raise RunnerError(f"--runner {name} downloads Prism; leave --runner out, or name one of {_named()}")
    if name in _JOB_API:
        _check_job_server(name, found)
    else:
        _check_known(arguments)
    found.view_as(SetupOptions).save_main_session = False  # workers import what is installed there
    return found


def is_local(options: PipelineOptions) -> bool:
    """Whether the job runs on this machine alone."""
    return (options.view_as(StandardOptions).runner or "").rsplit(".", 1)[-1] == LOCAL


def run(options: PipelineOptions, wire: Callable[[beam.Pipeline], None]) -> None:
    """Draw the job on a pipeline and wait for its end.

    Raises:
        BuildStopped: a store failed, or the job server or a worker went away. What else a worker met is a fault of the
            code and comes as the runner's own error.
    """
    with _quiet():
        pipeline = beam.Pipeline(_runner(options), options)
        wire(pipeline)
        try:
            pipeline.run().wait_until_finish()
        except Exception as error:  # a runner wraps it in its own way
            line = LOST if _is_lost(error) and is_local(options) else told(error, options)
            if "KeyboardInterrupt" in line:
                raise KeyboardInterrupt from error
            if isinstance(error, AvsError) or line == LOST or _outside(error) or _of_a_store(line):
                raise BuildStopped(f"the build stopped: {line}\n{_REMEDY}") from error
            error.add_note(_REMEDY)
            raise


def _runner(options: PipelineOptions) -> PipelineRunner | None:
    """The local runner's processes: as Beam starts them, but Ctrl-C ends them without a word.

    None: Beam makes the runner that the options name.
    """
    direct = options.view_as(DirectOptions)
    if not is_local(options) or direct.direct_num_workers < 2 or direct.direct_running_mode != "in_memory":
        return None
    command = f"exec {shlex.quote(sys.executable)} -c {shlex.quote(_WORKER.format(parent=os.getpid()))}"
    return FnApiRunner(default_environment=SubprocessSDKEnvironment.from_command_string(command))


def _named() -> str:
    return ", ".join((LOCAL, *_JOB_API))


def _check_known(arguments: Sequence[str]) -> None:
    """A job server has options of its own; for other runners, one that Beam does not know is a slip."""
    parser = _BeamArgumentParser(allow_abbrev=False)
    for kind in PipelineOptions.__subclasses__():
        kind._add_argparse_args(parser)
    _, unknown = parser.parse_known_args(list(arguments))
    if unknown:
        raise RunnerError(f"no such option: {' '.join(unknown)}; see `avs-data build --help`")


def _check_job_server(name: str, options: PipelineOptions) -> None:
    portable = options.view_as(PortableOptions)
    if portable.job_endpoint:
        _check_answers("--job_endpoint", portable.job_endpoint, "start the job server first")
    elif name == "PortableRunner":
        raise RunnerError("--runner PortableRunner needs --job_endpoint HOST:PORT, the job server's address")
    elif name == "PrismRunner":
        prism = options.view_as(PrismRunnerOptions).prism_location
        _check_file(
            "--prism_location", prism, "the Prism binary: `go install` builds it from Beam's Go module"
        )
    elif name == "FlinkRunner":
        flink = options.view_as(FlinkRunnerOptions)
        _check_file("--flink_job_server_jar", flink.flink_job_server_jar, _jar("flink", flink.flink_version))
        if not flink.flink_master.startswith("["):
            master = flink.flink_master.split("://")[-1]
            _check_answers("--flink_master", master, "give the JobManager's REST address")
    else:
        spark = options.view_as(SparkRunnerOptions)
        _check_file("--spark_job_server_jar", spark.spark_job_server_jar, _jar("spark", "3"))
    local = name == "PrismRunner" or options.view_as(FlinkRunnerOptions).flink_master in ("[local]", "[auto]")
    if not portable.environment_type and (portable.job_endpoint or not local):
        raise RunnerError(
            f"--runner {name} needs --environment_type: EXTERNAL with --environment_config HOST:PORT of a worker pool "
            "that has avs-data installed, DOCKER with --environment_config IMAGE, or LOOPBACK to work in this process"
        )


def _jar(engine: str, version: str) -> str:
    return (
        f"the jar of org.apache.beam:beam-runners-{engine}-{version}-job-server:{beam.__version__} from Maven, "
        "or give --job_endpoint HOST:PORT of a running job server"
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


def _is_lost(error: Exception) -> bool:
    """Whether a worker of this machine went away."""
    return "SDK worker disconnected" in str(error) or isinstance(error, grpc.RpcError)


def _of_a_store(line: str) -> bool:
    """Whether the line that a worker's error ends with names an error that a person can act on."""
    kind = pydoc.locate(line.partition(":")[0])
    return isinstance(kind, type) and (issubclass(kind, AvsError) or of_a_store(kind))


@contextmanager
def _quiet() -> Iterator[None]:
    """Beam tells the log of every bundle, in its worker processes too; an error comes as an exception anyway.

    So does one of a thread that only waits for a worker process.
    """
    before, hook = logging.root.level, threading.excepthook
    logging.root.setLevel(logging.CRITICAL)
    threading.excepthook = lambda failed: None
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"default_sdk_harness_log_level": "CRITICAL"}, file)
        file.flush()
        os.environ["PIPELINE_OPTIONS_FILE"] = file.name  # where the local runner's worker processes look
        try:
            yield
        finally:
            del os.environ["PIPELINE_OPTIONS_FILE"]
            logging.root.setLevel(before)
            threading.excepthook = hook
