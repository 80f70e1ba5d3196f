"""What is asked of a runner is checked before anything is written, and its errors come as one line."""

import signal
import socket
from pathlib import Path

import apache_beam as beam
import click
import grpc
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions
from click.testing import CliRunner

from pipelines.build import local_runner, run, runner
from pipelines.cli import main
from pipelines.recipes import recipe
from shards.command_line import CommandGroup

POOL = ["--environment_type", "EXTERNAL", "--environment_config", "localhost:1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--wrokers", "3"], r"no such option: --wrokers 3"),
        (["--runner", "DirectRunner"], "--runner DirectRunner is not tried: leave it out"),
        (["--runner", "PortableRunner"], "needs --job_endpoint HOST:PORT"),
        (["--runner", "PortableRunner", "--job_endpoint", "localhost"], "--job_endpoint localhost: give HOST:PORT"),
        (["--runner", "PortableRunner", "--job_endpoint", "localhost:1", *POOL], "nothing answers at --job_endpoint"),
        (["--runner", "PrismRunner"], "--prism_location: it is left out, and Beam would download it"),
        (["--runner", "PrismRunner", "--prism_location", "/no/prism"], "--prism_location: /no/prism is no file"),
        (["--runner", "SparkRunner"], "--runner SparkRunner is not tried: leave it out"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_before_anything_is_written(
    arguments: list[str], message: str, corpora: str, tmp_path: Path
) -> None:
    options = run.BuildOptions(corpora, str(tmp_path / "out"), beam=tuple(arguments))
    with pytest.raises(runner.RunnerError, match=message):
        run.build(recipe.load("demo"), options)
    assert not (tmp_path / "out").exists()


def test_a_job_server_must_answer_and_needs_workers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        portable = ["--runner", "PortableRunner", "--job_endpoint", f"127.0.0.1:{server.getsockname()[1]}"]
        with pytest.raises(runner.RunnerError, match="PortableRunner needs --environment_type: EXTERNAL"):
            runner.options(portable)
        chosen = runner.options([*portable, *POOL])
    assert not runner.is_local(chosen)
    assert chosen.view_as(SetupOptions).save_main_session is False


def test_a_mistyped_option_is_a_wrong_call(corpora: str, tmp_path: Path) -> None:
    words = ["build", "demo", "--corpora", corpora, "--out", str(tmp_path / "out"), "--wrokers", "3"]
    told = CliRunner().invoke(main, words)
    assert told.exit_code == 2
    assert "no such option: --wrokers 3" in told.stderr


def test_a_dry_run_stays_here(corpora: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"localhost:{server.getsockname()[1]}"
        beam = ("--runner", "PortableRunner", "--job_endpoint", address, *POOL)
        with pytest.raises(
            run.BuildError, match="--dry-run counts on this machine: leave --scheduler and --runner out"
        ):
            run.build(
                recipe.load("demo"), run.BuildOptions(corpora, str(tmp_path / "o"), dry_run=True, beam=beam)
            )


class Lost(grpc.RpcError, grpc.Call):
    """As gRPC raises it."""

    def details(self) -> str:
        return "Socket\nclosed"

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    add_callback = cancel = initial_metadata = is_active = time_remaining = trailing_metadata = None  # type: ignore


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("failed:\n Traceback\nOSError: disk [while running 'Write']\n at java.Thread\n"),
         "OSError: disk [while running 'Write']"),
        (RuntimeError("one\n\ntwo\n"), "two"),
        (grpc.FutureTimeoutError(), "FutureTimeoutError"),
        (Lost(), "the job server localhost:9 went away: Socket closed; its log tells why"),
    ],
    ids=["traceback", "lines", "nothing", "lost"],
)  # fmt: skip
def test_an_error_of_a_runner_is_told_in_one_line(error: Exception, told: str) -> None:
    line = runner.told(error, PipelineOptions(["--job_endpoint", "localhost:9"]))
    assert line.startswith(told)
    assert "\n" not in line


@pytest.mark.parametrize(
    ("error", "stops"),
    [
        (RuntimeError("failed:\nPermissionError: [Errno 13] /x [while running 'Write']\n"), True),
        (RuntimeError("shards.manifest.DatasetError: damaged [while running 'Write']"), True),
        (RuntimeError("botocore.exceptions.NoCredentialsError: none [while running 'Write']"), True),
        (RuntimeError("SDK worker disconnected"), True),
        (Lost(), True),
        (RuntimeError("KeyError: 'category' [while running 'Select']"), False),
        (RuntimeError("nosuch.module.Error: x [while running 'Select']"), False),
        (TypeError("drawn wrongly"), False),
    ],
)
def test_only_a_store_or_an_engine_ends_a_build_in_one_line(error: Exception, stops: bool) -> None:
    """A fault of the code keeps its traceback, and says that what is written stays good."""

    class Pipeline:
        def run(self) -> None:
            raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner.beam, "Pipeline", lambda *_: Pipeline())
        with pytest.raises(runner.BuildStopped if stops else type(error)) as caught:
            runner.run(PipelineOptions(["--job_endpoint", "localhost:9"]), lambda pipeline: None)
    told = str(caught.value) if stops else caught.value.__notes__[0]
    assert "run the same command" in told


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_within_a_step_ends_the_command_as_any_other(number: int, code: int) -> None:
    def wire(pipeline: beam.Pipeline) -> None:
        pipeline | beam.Create([number]) | beam.Map(signal.raise_signal)

    @click.group(cls=CommandGroup, package="nothing")
    def program() -> None:
        pass

    @program.command()
    def build() -> None:
        runner.run(PipelineOptions([]), wire, local_runner.local_runner(1))

    result = CliRunner().invoke(program, ["build"])
    assert result.exit_code == code, result.exception
    assert "Traceback" not in result.stderr
