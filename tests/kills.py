"""A command that kills itself where it makes, names, links, syncs or removes a file, and runs again.

The kills are not timed: the call of the system, or of a database, that has the wanted number kills its own process
before it does anything.
"""

import contextlib
import hashlib
import multiprocessing
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shards import unfinished

SEAMS = ("mkdir", "rename", "replace", "link", "symlink", "fsync", "remove", "unlink", "rmdir")
WRITES = ("BEGIN", "COMMIT", "INSERT", "UPDATE", "DELETE", "CREATE")  # of a database
# Not the same at each run: how fast a run was, when and how often something was tried.
_DIFFERS = ("metrics.jsonl", "curves.png", "lock", "-wal", "-shm")
_TIMES = {"at", "next_at", "session", "attempt", "decided_at", "tool", "detail", "created_at"}
_CONTEXT = multiprocessing.get_context("forkserver")
# Imported once, so that no run does.
_MODULES = (
    *(
        "build.run",
        "stats",
        "demo",
        "imports.avsbench",
        "matching.matcher",
        "review.application",
        "review.intake",
    ),
    *("publish.exports", "publish.rehydrate", "publish.release", "publish.takedown", "fetch.run"),
    *("commands.build", "commands.export", "commands.import", "commands.index", "commands.match"),
    *("commands.demo_corpora", "commands.publish", "commands.rehydrate", "commands.review", "commands.stats"),
    *("commands.takedown", "commands.review.apply", "commands.review.import"),
    *("commands.browse", "commands.judge.draw", "commands.judge.export", "commands.judge.flags"),
    *("browse.app", "browse.export", "judge.intake", "judge.results"),
)
_TRAINS = ("loop", "conversion", "robustness", "report", "commands.fit", "commands.eval", "commands.embed")
_CONTEXT.set_forkserver_preload(
    [
        *("pytest", "pandas", "yt_dlp.YoutubeDL", "imagehash", "scipy.fftpack", "matplotlib.pyplot"),
        *(f"avs_train.{name}" for name in _TRAINS),
        *(f"pipelines.{name}" for name in _MODULES),
    ]
)


@dataclass(frozen=True)
class Call:
    """What is run in a folder: the words of a command, or a function of this test suite and its arguments.

    Attributes:
        words: of `avs-data`; of `avs-train`, where the first is "train".
        given: a folder whose content lies in the folder before the first run.
        function: in place of a command.
    """

    words: Sequence[Any]
    given: Path | None = None
    function: Callable[..., object] | None = None


def _work(call: Call, folder: str, number: int, told: Any) -> None:
    """Run a call in a folder; it dies before its call `number` of the seams, or tells which there were."""
    seen: list[str] = []

    def count(name: str) -> None:
        seen.append(name)
        if len(seen) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def seam(*given: Any, **named: Any) -> Any:
            count(name)
            return real(*given, **named)

        return seam

    def connect(*given: Any, **named: Any) -> sqlite3.Connection:
        connection = real_connect(*given, **named)
        connection.set_trace_callback(
            lambda statement: count("sql") if statement.lstrip().startswith(WRITES) else None
        )
        return connection

    real_connect = sqlite3.connect
    for name in SEAMS:
        setattr(os, name, counted(name, getattr(os, name)))
    sqlite3.connect = connect
    os.chdir(folder)
    os.environ["AVS_REVIEWER"] = "anna"
    sys.stdout = sys.stderr = open("said", "w")  # noqa: SIM115
    if call.function:
        call.function(*call.words)
    elif call.words[0] == "train":
        import torch

        from avs_train.cli import main as train

        torch.set_num_threads(1)  # more are slow where others work, too
        train(call.words[1:], standalone_mode=False)
    else:
        from pipelines.cli import main

        main(list(call.words), standalone_mode=False)
    told.send(seen)


class Refused(AssertionError):
    """A command that would not run where it was killed before."""


def run(call: Call, folder: Path, number: int = 0) -> list[str] | None:
    """The seams that a run came by, in order; None where the process was killed."""
    if not folder.exists() and call.given:
        shutil.copytree(call.given, folder, symlinks=True)
    folder.mkdir(parents=True, exist_ok=True)
    mine, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=_work, args=(call, str(folder), number, theirs))
    process.start()
    theirs.close()
    seen: list[str] | None = None
    with contextlib.suppress(EOFError):  # it was killed
        seen = mine.recv()
    process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise Refused(f"{call.words}, {number}: {(folder / 'said').read_text()[-300:]}")
    return seen


def tree(root: Path) -> dict[str, str]:
    """Path -> hash of what a command has made; of a database, of what it holds."""
    files = [
        path
        for path in root.rglob("*")
        if path.is_file()
        and ".work" not in path.parts
        and path.name != "said"
        and not path.name.endswith(_DIFFERS)
    ]
    links = {str(path.relative_to(root)): os.readlink(path) for path in root.rglob("*") if path.is_symlink()}
    return links | {str(path.relative_to(root)): hashlib.sha256(_content(path)).hexdigest() for path in files}


def _content(path: Path) -> bytes:
    if path.suffix != ".sqlite":
        return path.read_bytes()
    rows = set()
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        found = database.execute(f'SELECT * FROM "{table}"')
        names = [column[0] for column in found.description]
        for row in found:
            told = [(name, value) for name, value in zip(names, row, strict=True) if name not in _TIMES]
            if not str(row[0]).startswith("archive:"):  # it may be killed between the last mask and this row
                rows.add(repr((table, told)))
    database.close()
    return "\n".join(sorted(rows)).encode()


def litter(root: Path) -> list[str]:
    return [
        str(path) for path in root.rglob("*") if unfinished.litter(path.name) or path.name.endswith(".part")
    ]


@dataclass
class Kills:
    """What became of a command that was killed and run again."""

    places: int = 0  # where it can be killed
    kills: int = 0
    same: int = 0  # reruns that ended in the same bytes
    littered: int = 0  # folders with files of dead runs after the rerun
    refused: int = 0  # reruns that did not run
    wrong: list[str] = field(default_factory=list)


def killed(call: Call, folder: Path, wanted_kills: int, of: Sequence[str] = ()) -> Kills:
    """Kill a command at places spread over its whole run, or at those of the seams `of`, and run it again."""
    seen = run(call, folder / "undisturbed") or []
    wanted = tree(folder / "undisturbed")
    places = [number for number, name in enumerate(seen, start=1) if not of or name in of]
    count, found = min(wanted_kills, len(places)), Kills(len(places))
    for number in (places[index * len(places) // count] for index in range(count)):
        again = folder / str(number)
        try:
            if run(call, again, number) is not None:
                continue  # threads had come by fewer seams: it was at its end
            found.kills += 1
            run(call, again)
        except Refused as error:
            found.refused += 1
            found.wrong.append(f"{seen[number - 1]} {error}")
            continue
        same, left = tree(again) == wanted, litter(again)
        found.same += same
        found.littered += bool(left)
        if not same or left:
            differ = sorted(path for path, _ in tree(again).items() ^ wanted.items())
            found.wrong.append(f"{seen[number - 1]} {number}: {left[:2] if left else differ[:3]}")
        shutil.rmtree(again)
    return found
