"""Killed where a file gets its name, and run again: the same bytes, no litter, no folder refused.

The kills are not timed: the call that renames, links, syncs or removes kills its own process, at each number of calls.
"""

import hashlib
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from generated_shards import write_dataset
from test_imports import S4_VIDEOS, SECONDS, mask, picture, table, wav

from pipelines.cli import main
from pipelines.publish.edition import Profile
from pipelines.publish.release import Options, publish
from pipelines.publish.version import Version
from shards import storage
from shards.reader import Dataset
from shards.verify import verify

_CONTEXT = multiprocessing.get_context("forkserver")
_COMMANDS = (
    *("takedown", "rehydrate", "publish", "export", "stats", "build", "import", "index", "match"),
    *("demo-corpora", "train fit"),
)
SEAMS = ("replace", "link", "fsync", "remove")
# Not the same bytes at each run: how fast a run was.
_DIFFERS = ("metrics.jsonl", "curves.png")
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
    if arguments[0] == "train":
        from avs_train.cli import main as train

        train(arguments[1:], standalone_mode=False)
    else:
        main(arguments, standalone_mode=False)
    told.send(calls)


class Refused(AssertionError):
    """A command that would not run where it was killed before."""


def run(arguments: list[str], folder: Path, seam: str = "replace", number: int = 0) -> int | None:
    """Calls of the seam in a whole run; None where the process was killed."""
    folder.mkdir(parents=True, exist_ok=True)
    mine, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=work, args=(arguments, str(folder), seam, number, theirs))
    process.start()
    theirs.close()
    process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise Refused(f"{arguments}, {seam} {number}")
    return mine.recv() if process.exitcode == 0 else None


def tree(root: Path) -> dict[str, str]:
    files = [
        path
        for path in root.rglob("*")
        if path.is_file() and ".work" not in path.parts and not path.name.endswith(_DIFFERS)
    ]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def litter(root: Path) -> list[str]:
    return [str(path) for path in root.rglob("*") if storage.litter(path.name)]


@pytest.fixture
def commands(dataset: str, corpora: str, tmp_path: Path) -> dict[str, list[str]]:
    return calls_of(dataset, corpora, tmp_path)


def calls_of(dataset: str, corpora: str, tmp_path: Path) -> dict[str, list[str]]:
    """Each writes to `out` in the folder where it runs; `tmp_path` gets what they read."""
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
        "index": ["index", "--corpora", corpora, "--out", "out"],
        "demo-corpora": ["demo-corpora", "--out", "out", "--images", "4", "--clips-per-category", "1"],
    }


def further_calls(folder: Path) -> dict[str, list[str]]:
    """The same of commands that read something of their own, which `folder` gets."""
    labels = folder / "labels"
    labels.mkdir(parents=True)
    (labels / "vggsound_stat.csv").write_text("dog barking,1,animals\ncattle mooing,1,animals\n")
    (labels / "lvis_v1_categories.json").write_text(
        '[{"id": 378, "name": "dog", "synset": "dog.n.01", "synonyms": ["dog"], "def": "a dog"}]'
    )
    for split, name in S4_VIDEOS.items():
        below = f"s4_data/{{}}/{split}/dog/{name}"
        wav(folder / "S4" / f"{below.format('audio_wav')}.wav", SECONDS)
        for frame in range(1, 6):
            picture(folder / "S4" / below.format("visual_frames") / f"{name}_{frame}.png")
            mask(folder / "S4" / below.format("gt_masks") / f"{name}_{frame}.png")
    rows = [[name, 0, "dog", split] for split, name in S4_VIDEOS.items()]
    table(folder / "S4" / "s4_meta_data.csv", ["name", "start", "category", "split"], rows)
    generated = write_dataset(folder / "generated", {"train": 4, "val": 2, "test": 2}, size=64)
    small = ["train.epochs=3", "model.image_size=64", "train.batch_size=4", "data.workers=0", "train.save_every=1",
             "train.tensorboard=false", "evaluate.pictures=0", "train.validate_every=1"]  # fmt: skip
    return {
        "import": ["import", "avsbench", str(folder / "S4"), "--out", "out"],
        "match": ["match", "--labels", str(labels), "--out", "out/proposals.csv"],
        "train fit": ["train", "fit", "tiny", "--data", generated, "--out", "out", *small],
    }


@dataclass
class Kills:
    """What became of a command that was killed and run again."""

    kills: int = 0
    same: int = 0  # reruns that ended in the same bytes
    littered: int = 0  # folders with files of dead runs after the rerun
    refused: int = 0  # reruns that did not run
    wrong: list[str] = field(default_factory=list)


def killed(arguments: list[str], folder: Path, wanted_kills: int, seams: Sequence[str] = SEAMS) -> Kills:
    """Kill a command before calls of the seams, spread over all of them and over its whole run, and run it again."""
    found, numbers = Kills(), dict[str, int]()
    for seam in seams:
        numbers[seam] = run(arguments, folder / seam, seam) or 0
    wanted = tree(folder / seams[0])
    places = [(seam, number) for seam in seams for number in range(1, numbers[seam] + 1)]
    count = min(wanted_kills, len(places))
    for seam, number in (places[index * len(places) // count] for index in range(count)):
        again = folder / f"{seam}-{number}"
        if run(arguments, again, seam, number) is not None:
            continue  # it came to its end: a rerun has fewer calls
        found.kills += 1
        try:
            run(arguments, again)
        except Refused as error:
            found.refused += 1
            found.wrong.append(str(error))
            continue
        same, left = tree(again) == wanted, litter(again)
        found.same += same
        found.littered += bool(left)
        if not same or left:
            found.wrong.append(f"{seam} {number}: {left[:2] if left else 'other bytes'}")
        shutil.rmtree(again)
    return found


@pytest.mark.parametrize("name", ["takedown", "rehydrate"])
def test_killed_at_the_first_and_the_last_name(
    name: str, commands: dict[str, list[str]], tmp_path: Path
) -> None:
    found = killed(commands[name], tmp_path / "runs", 4, ("replace", "link"))
    assert not found.wrong, found
    assert found.kills == found.same >= 2
    for manifest in tmp_path.glob("runs/*/out/manifest.json"):
        assert verify(str(manifest.parent)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", _COMMANDS)
def test_killed_at_twenty_places(name: str, commands: dict[str, list[str]], tmp_path: Path) -> None:
    calls = {**commands, **further_calls(tmp_path / "read")}
    found = killed(calls[name], tmp_path / "runs", 20)
    assert not found.wrong, found
    assert found.kills


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
