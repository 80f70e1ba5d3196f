"""A process of ours ends with its own exit code, whatever threads of libraries still do."""

import io
import os
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import pytest

from shards import processes, program

SCRIPTS = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]["scripts"]
# A command that ends while a thread of Arrow is at work; taken apart, its interpreter aborts.
BUSY = """
import atexit, sys, threading, time
from pathlib import Path
from pkgutil import resolve_name
tests, script, how, told = sys.argv[1:]
sys.path.insert(0, tests)
from test_program import leave_reading
from shards.errors import AvsError

cli = resolve_name(script.partition(":")[0])

@cli.main.command()
def busy():
    leave_reading()
    atexit.register(Path(told, "handler").touch)
    threading.Thread(target=lambda: (time.sleep(0.1), Path(told, "thread").touch())).start()
    sys.stdout.write("said")
    if how == "refused":
        raise AvsError("a fault")
    if how == "broken":
        raise RuntimeError("a bug")

sys.argv[1:] = ["busy"]
resolve_name(script)()
"""


# Ctrl-C that falls into a finalizer.
UNRAISED = """
import signal, time
from shards import program

class Interrupted:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

def command():
    Interrupted()
    time.sleep(60)

program.run(command)
"""


def leave_reading() -> None:
    """Leave a thread of Arrow that reads a file of Python, and asks for the interpreter a little later."""
    import pyarrow.csv

    begun = threading.Event()

    class Slow(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            begun.set()
            time.sleep(0.3)
            return b"a\n1\n"

    threading.Thread(target=lambda: pyarrow.csv.read_csv(Slow()), daemon=True).start()
    begun.wait()


@pytest.mark.parametrize(
    ("name", "how", "code"),
    [
        ("avs-data", "done", 0),
        ("avs-train", "done", 0),
        ("avs-data", "refused", 1),
        ("avs-data", "broken", 1),
    ],
)
def test_a_command_ends_while_arrow_is_at_work(name: str, how: str, code: int, tmp_path: Path) -> None:
    call = [sys.executable, "-c", BUSY, str(Path(__file__).parent), SCRIPTS[name], how, str(tmp_path)]
    ended = subprocess.run(call, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (code, "said")
    assert sorted(os.listdir(tmp_path)) == ["handler", "thread"]
    lines = ended.stderr.splitlines()
    assert {"done": lines == [], "refused": lines == ["Error: a fault"]}.get(
        how, "RuntimeError: a bug" in lines
    )


def test_a_worker_ends_while_arrow_is_at_work(capfd: pytest.CaptureFixture[str]) -> None:
    with processes.executor(1) as executor:
        executor.submit(leave_reading).result()
        (worker,) = executor._processes.values()
    assert worker.exitcode == 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("said", "code"), [(None, 0), (0, 0), (7, 7), ("words", 1)])
def test_exit_codes_are_those_of_the_interpreter(
    said: object, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(program, "leave", ended.append)
    monkeypatch.setattr("atexit._run_exitfuncs", lambda: None)
    monkeypatch.setattr("threading._shutdown", lambda: None)
    program.run(lambda: sys.exit(said))  # type: ignore[arg-type]
    assert ended == [code]


def test_an_interrupt_in_a_finalizer_is_not_lost() -> None:
    ended = subprocess.run([sys.executable, "-c", UNRAISED], stderr=subprocess.PIPE, text=True, timeout=30)
    assert ended.returncode == 130
    assert ended.stderr.endswith("KeyboardInterrupt\n")
    assert "ignored" not in ended.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="writes to /dev/full")
def test_what_cannot_be_printed_is_no_success() -> None:
    call = "from shards import program; program.run(lambda: print('words'))"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", call], stdout=full, stderr=subprocess.PIPE, text=True, env=buffered
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: <stdout>: ")
    assert ended.stderr.count("\n") == 1
