"""Workers end with their parent, a lost one is told in one line, and so is a command that is asked to end."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from shards import format, processes
from shards.command_line import CommandGroup

PARENT = """
import sys, time
sys.path.insert(0, sys.argv[1])
from shards import processes
import test_processes
if __name__ == "__main__":
    with processes.pool(2) as each:
        for _ in each(test_processes.tell, [sys.argv[2]] * 2):
            pass
"""


ELSEWHERE = """
from shards import format, processes
if __name__ == "__main__":
    with processes.executor(2, ["shards.format"]) as started:
        print(started.submit(format.key_of, "a").result())
"""

# Ctrl-C, which goes to all processes of a command, as soon as a worker is there, before it is told what to do.
INTERRUPTED = """
import os, signal, sys, time
from multiprocessing import forkserver, resource_tracker, util
from shards import format, processes

def interrupted(start):
    def call(*arguments):
        started = start(*arguments)
        time.sleep(0.05)  # until Python runs in it
        os.killpg(0, signal.SIGINT)
        return started
    return call

if __name__ == "__main__":
    how, *modules = sys.argv[1:]
    resource_tracker.ensure_running()  # else it would be multiprocessing's own processes that are interrupted
    if modules:
        processes.prepare(modules)
    util.spawnv_passfds = interrupted(util.spawnv_passfds)
    forkserver.connect_to_new_process = interrupted(forkserver.connect_to_new_process)
    try:
        if how == "called":
            with processes.executor(2, modules) as executor:
                list(executor.map(format.key_of, "abc"))
        with processes.served(2, 1, print, (), modules):
            pass
    except KeyboardInterrupt:
            print("told")
"""


def tell(folder: str) -> None:
    """Write down that a worker is there, and go on for long."""
    Path(folder, str(os.getpid())).touch()
    time.sleep(600)


def children(parent: int) -> set[int]:
    """Of all its threads."""
    found: set[int] = set()
    for told in Path(f"/proc/{parent}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.update(map(int, told.read_text().split()))
    return found


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_workers_import_nothing_of_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "__init__.py").write_text("raise SystemExit('another package')")
    script = tmp_path.parent / f"{tmp_path.name}.py"
    script.write_text(ELSEWHERE)
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == format.key_of("a"), done.stderr


@pytest.mark.parametrize("modules", [[], ["shards.format"]], ids=["spawned", "forked"])
@pytest.mark.parametrize("how", ["called", "served"])
def test_an_interrupt_while_workers_start_is_told_once(how: str, modules: list[str], tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    done = subprocess.run(
        [sys.executable, str(script), how, *modules],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        start_new_session=True,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "told\n", "")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("when", ["while they start", "at work"])
def test_workers_end_when_their_parent_is_killed(when: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(Path(__file__).parent), str(tmp_path)]
    script = tmp_path.parent / f"{tmp_path.name}.py"
    script.write_text(PARENT)
    command[1:3] = [str(script)]
    parent = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.getcwd()})
    found: set[int] = set()
    while len(found) < 3 if when == "while they start" else len(os.listdir(tmp_path)) < 2:
        found |= children(parent.pid)  # two workers, and what multiprocessing has beside them
        assert parent.poll() is None
        time.sleep(0.01)
    found |= children(parent.pid)
    parent.kill()
    parent.wait()
    while any(map(alive, found)):  # the test's own limit ends a worker that stays
        time.sleep(0.05)


def end(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_was_killed_is_told_with_the_likely_cause() -> None:
    with (
        pytest.raises(processes.WorkerLost, match=r"for want of memory.*fewer --workers"),
        processes.pool(2) as each,
    ):
        list(each(end, [0]))


@click.group(cls=CommandGroup, package="nothing")
def program() -> None:
    pass


@program.command()
@click.argument("number", type=int)
def wait(number: int) -> None:
    signal.raise_signal(signal.Signals(number))
    time.sleep(600)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_is_asked_to_end_says_so_in_one_line(number: int, code: int) -> None:
    before = signal.getsignal(signal.SIGTERM)
    result = CliRunner().invoke(program, ["wait", str(int(number))])
    assert result.exit_code == code
    (line,) = result.stderr.split("\n", 1)[-1:] if result.stderr.startswith("\n") else [result.stderr]
    assert line.startswith("Error: ")
    assert "the same command resumes" in line
    assert line.count("\n") == 1
    assert signal.getsignal(signal.SIGTERM) is before


def workers_of(parent: int) -> set[int]:
    """The workers that a process has so far: what it started itself, or had another process fork."""
    found = set()
    for child in children(parent):
        with contextlib.suppress(FileNotFoundError):
            started_by = Path(f"/proc/{child}/cmdline").read_bytes()
            if b"spawn_main" in started_by:
                found.add(child)
            elif b"forkserver" in started_by:
                found |= children(child)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["a worker", "the command"])
def test_a_build_does_not_wait_for_who_was_killed(killed: str, corpora: str, tmp_path: Path) -> None:
    command = [
        "avs-data",
        "build",
        "demo",
        "--corpora",
        corpora,
        "--out",
        str(tmp_path / "out"),
        "--workers",
        "2",
    ]
    build = subprocess.Popen(
        [str(Path(sys.executable).with_name(command[0])), *command[1:]], stderr=subprocess.PIPE, text=True
    )
    workers: set[int] = set()
    while len(workers) < 2:
        assert build.poll() is None
        workers |= workers_of(build.pid)
        time.sleep(0.05)
    if killed == "a worker":
        os.kill(min(workers), signal.SIGKILL)
        _, said = build.communicate()
        assert build.returncode == 1
        assert "a worker process was ended from outside" in said
    else:
        build.kill()
        build.wait()
    while any(map(alive, workers)):
        time.sleep(0.05)
