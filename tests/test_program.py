"""A process of ours ends with its own exit code, whatever threads of libraries still do."""

import io
import os
import signal
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


# A signal that comes where what is raised would be lost, or would break something: it is raised soon after.
INTERRUPTED = """
import io, signal, sys, threading, time
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from shards import interrupts, program, sound
from shards.sound import decoder, section

where, folder, number = sys.argv[1], sys.argv[2], getattr(signal, sys.argv[3])
signal.signal(signal.SIGTERM, interrupts.handler)
pcm = np.random.default_rng(1).integers(-3000, 3000, 160_000, np.int16)
right = sound.pcm_to_flac(pcm)
Path(folder, "clip.flac").write_bytes(right)
Path(folder, "slow.py").write_text(f"import signal; signal.raise_signal({number:d}); done = True")
calls = 0

def interrupted(method):
    def call(*arguments):
        global calls
        calls += 1
        if calls == 5:
            signal.raise_signal(number)
        return method(*arguments)
    return call

class Finalized:
    def __del__(self):
        signal.raise_signal(number)

class Buffer(io.BytesIO):
    write = interrupted(io.BytesIO.write)
    readinto = interrupted(io.BytesIO.readinto)

def command():
    if where == "finalizer":
        Finalized()
    elif where == "import":
        sys.path.insert(0, folder)
        import slow
        assert slow.done
    elif where == "demuxer":
        section.Section.read = interrupts.called_from_c(interrupted(section.Section.read))
        assert (np.rint(decoder.decode(folder + "/clip.flac") * 32768) == pcm).all()
        assert calls >= 5, calls
    else:
        io.BytesIO = Buffer
        assert sound.pcm_to_flac(pcm) == right if where == "writer" else (sound.pcm_of(right) == pcm).all()
        assert calls >= 5, calls
    print("right", flush=True)
    done.set()
    time.sleep(60)

done = threading.Event()
interrupts.time = SimpleNamespace(sleep=lambda s: (done.wait(30), time.sleep(s)))  # sent once all else is done
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
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(program, "leave", ended.append)
    monkeypatch.setattr("atexit._run_exitfuncs", lambda: None)
    monkeypatch.setattr("threading._shutdown", lambda: None)
    program.run(lambda: sys.exit(said))  # type: ignore[arg-type]
    assert ended == [code]


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("where", ["finalizer", "import", "demuxer", "writer", "reader"])
def test_a_signal_waits_where_it_would_be_lost_or_break_something(
    where: str, number: str, tmp_path: Path
) -> None:
    call = [sys.executable, "-c", INTERRUPTED, where, str(tmp_path), number]
    ended = subprocess.run(call, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (130, "right\n"), ended.stderr
    assert ended.stderr.count("Traceback") == 1
    assert ended.stderr.rstrip().endswith("KeyboardInterrupt" if number == "SIGINT" else "Terminated")


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
