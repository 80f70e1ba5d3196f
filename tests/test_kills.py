"""Killed where a file gets its name, and run again: the same bytes, no litter, no folder refused.

The kills are not timed: the call that renames, links or syncs kills its own process, at each number of calls.
"""

import hashlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import main
from pipelines.publish.edition import Profile
from pipelines.publish.release import Options, publish
from pipelines.publish.version import Version
from shards import storage
from shards.reader import Dataset
from shards.verify import verify

_CONTEXT = multiprocessing.get_context("forkserver")
_COMMANDS = ("takedown", "rehydrate", "publish", "export", "stats", "build")
_MODULES = (
    "build.run",
    "stats",
    "publish.exports",
    "publish.rehydrate",
    "publish.release",
    "publish.takedown",
)
_CONTEXT.set_forkserver_preload(["pytest", *(f"pipelines.{name}" for name in _MODULES)])


def work(arguments: list[str], folder: str, seam: str, number: int, told: Any) -> None:
    """Run a command in a folder; it dies before call `number` of the seam, or tells how many there were."""
    calls, real = 0, getattr(os, seam)

    def counted(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given, **named)

    setattr(os, seam, counted)
    os.chdir(folder)
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    main(arguments, standalone_mode=False)
    told.send(calls)


def run(arguments: list[str], folder: Path, seam: str = "replace", number: int = 0) -> int | None:
    """Calls of the seam in a whole run; None where the process was killed."""
    folder.mkdir(exist_ok=True)
    mine, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=work, args=(arguments, str(folder), seam, number, theirs))
    process.start()
    theirs.close()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), arguments
    return mine.recv() if process.exitcode == 0 else None


def tree(root: Path) -> dict[str, str]:
    files = [path for path in root.rglob("*") if path.is_file() and ".work" not in path.parts]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def litter(root: Path) -> list[str]:
    return [str(path) for path in root.rglob("*") if storage.litter(path.name)]


@pytest.fixture
def commands(dataset: str, corpora: str, tmp_path: Path) -> dict[str, list[str]]:
    """Each writes to `out` in the folder where it runs."""
    video = Dataset(dataset).table()["video_id"][0].as_py()
    edition = tmp_path / "edition"
    profile = Profile(reference_only=("audio",))
    publish(dataset, Options(Version.parse("1.0.0"), str(edition), profile), lambda *_: None)
    return {
        "takedown": ["takedown", dataset, f"--video={video}", "--reason", "asked", "--out", "out"],
        "rehydrate": ["rehydrate", f"{edition}/1.0.0", "--corpora", corpora, "--out", "out"],
        "publish": ["publish", dataset, "--version", "1.0.0", "--to", "out", "--workers", "1"],
        "export": ["export", dataset, "--format", "fiftyone", "--out", "out"],
        "stats": ["stats", dataset, "--out", "out"],
        "build": ["build", "demo", "--corpora", corpora, "--out", "out"],
    }


def check(arguments: list[str], folder: Path, numbers: Callable[[int], set[int]]) -> None:
    """Kill a command before some calls of a seam, run it again, and compare with a run that nobody disturbed."""
    kills = 0
    for seam in ("replace", "link"):
        calls = run(arguments, folder / seam, seam)
        assert calls is not None
        wanted = tree(folder / seam)
        for number in sorted(numbers(calls)) if calls else ():
            again = folder / f"{seam}-{number}"
            assert run(arguments, again, seam, number) is None, (seam, number)
            assert run(arguments, again) is not None
            assert tree(again) == wanted, (seam, number)
            assert litter(again) == [], (seam, number)
            kills += 1
    assert kills >= 2


@pytest.mark.parametrize("name", ["takedown", "rehydrate"])
def test_killed_at_the_first_and_the_last_name(
    name: str, commands: dict[str, list[str]], tmp_path: Path
) -> None:
    check(commands[name], tmp_path, lambda calls: {1, calls})
    for manifest in tmp_path.glob("*/out/manifest.json"):
        assert verify(str(manifest.parent)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", _COMMANDS)
def test_killed_at_twenty_names(name: str, commands: dict[str, list[str]], tmp_path: Path) -> None:
    check(commands[name], tmp_path, lambda calls: {1 + index * calls // 20 for index in range(20)})


def test_another_publisher_may_follow_one_that_was_killed(dataset: str, tmp_path: Path) -> None:
    """Killed while it owns the target, by a version that is not wanted any more."""
    arguments = ["publish", dataset, "--workers", "1", "--to", "out", "--version"]
    assert run([*arguments, "1.0.0"], tmp_path) is not None
    assert run([*arguments, "1.1.0"], tmp_path, "link", 4) is None  # its claim is the first
    assert run([*arguments, "1.2.0"], tmp_path) is not None
    out = tmp_path / "out"
    assert verify(str(out / "1.2.0")) == []
    assert storage.listing(str(out))[1] == [".publish", "1.0.0", "1.1.0", "1.2.0"]
    assert litter(out / "1.2.0") == []
