"""What others do to a folder while a command works in it: a fetch, a takedown, a full disk, a disk that cannot be
written to.
"""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from alone import ALONE, Quiet
from click.testing import CliRunner
from generated_shards import write_dataset
from kills import tree
from test_train_loop import settings

from avs_train import checkpoints, loop
from avs_train.data.shard_files import ShardError
from avs_train.layouts import CheckpointError
from avs_train.run_folder import RunFolder
from pipelines.build import run as building
from pipelines.cli import main
from pipelines.fetch.ledger import Ledger
from pipelines.publish.edition import PublishError
from pipelines.publish.release import Options, publish
from pipelines.publish.version import Version
from pipelines.recipes import recipe
from shards import unfinished
from shards.reader import Dataset
from shards.verify import verify


def test_a_build_while_a_fetch_runs(corpora: str, dataset: str, tmp_path: Path) -> None:
    """What is not there yet is dropped with its reason; the same build later has it, as if it had always been there."""
    growing, out = tmp_path / "corpora", tmp_path / "out"
    shutil.copytree(corpora, growing)
    photos, clips = (sorted((growing / name).rglob("*.*")) for name in ("lvis/images", "vggsound/clips"))
    later = [path for path in (*photos[::2], *clips[::2]) if path.is_file()]
    for path in later:
        path.rename(tmp_path / path.name)
        Path(unfinished.temporary(str(path))).write_bytes(b"half of it")  # this process lives
    with Ledger(str(growing)) as ledger:
        ledger.flush()
        building.build(recipe.load("demo"), building.BuildOptions(str(growing), str(out)))
        assert verify(str(out)) == []
        reasons = Dataset(str(out)).table("rejections.parquet")["reason"].to_pylist()
        assert {"image_missing", "clip_missing"} <= set(reasons)
        for path in later:
            (tmp_path / path.name).rename(path)
        building.build(recipe.load("demo"), building.BuildOptions(str(growing), str(out)))
    assert tree(out) == tree(Path(dataset))


@pytest.mark.parametrize("gone", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_dataset_that_changes_while_it_is_published_is_not(
    gone: bool, dataset: str, tmp_path: Path
) -> None:
    """As when a takedown takes the dataset's place: nothing is sealed, and the next publish brings what is there."""
    copy = tmp_path / "data"
    shutil.copytree(dataset, copy)
    entry = max(Dataset(str(copy)).manifest.shards, key=lambda entry: entry.bytes)
    shard, content = copy / entry.path, (copy / entry.path).read_bytes()

    def progress(what: str, done: int, total: int) -> None:
        if what == "Uploading" and not done:
            shard.unlink()
            if not gone:
                shard.write_bytes(content[:-2000] + bytes(2000))  # of the same length

    options = Options(Version.parse("1.0.0"), str(tmp_path / "out"))
    with pytest.raises(PublishError, match=f"{entry.path} changed while it was published"):
        publish(str(copy), options, progress)
    assert not (tmp_path / "out" / "1.0.0" / "publication.json").exists()
    shard.write_bytes(content)
    publish(str(copy), options, lambda *_: None)
    assert verify(str(tmp_path / "out" / "1.0.0")) == []


class Swaps(Quiet):
    """Puts another dataset in the place of the one that is trained on, after the second step."""

    def __init__(self, data: Path, other: Path) -> None:
        self.data, self.other = data, other

    def step(self, step: int, values: dict[str, Any]) -> None:
        if step == 2 and self.other.exists():
            self.data.rename(self.data.with_name("before"))
            self.other.rename(self.data)


def test_training_while_the_dataset_is_replaced(tmp_path: Path, one_thread: None) -> None:
    """It ends at the bytes of the data that it began with, or says what changed: never on a mixture."""
    for name, duration_s in (("data", 2.0), ("other", 1.0)):
        write_dataset(tmp_path / name, {"train": 17, "val": 4}, size=64, duration_s=duration_s)
    shutil.copytree(tmp_path / "data", tmp_path / "kept")
    loop.fit(settings(), str(tmp_path / "kept"), tmp_path / "alone", ALONE, Quiet())
    swaps = Swaps(tmp_path / "data", tmp_path / "other")
    told = ""
    try:
        loop.fit(settings(), str(tmp_path / "data"), tmp_path / "run", ALONE, swaps)
    except ShardError as error:
        told = str(error)
    assert not swaps.other.exists()
    ends = [tmp_path / name / "last" / "weights.safetensors" for name in ("run", "alone")]
    assert "the manifest says" in told or ends[0].read_bytes() == ends[1].read_bytes()


def test_a_full_disk_while_a_checkpoint_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from safetensors import SafetensorError

    folder, weights = RunFolder(tmp_path), {"a": torch.zeros(3)}
    folder.save(1, weights, {}, {})
    before = tree(tmp_path)

    def full(*_: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(CheckpointError, match=r"cannot be written .*No space left on device.*make room"):
        folder.save(2, weights, {}, {})
    assert tree(tmp_path) == before
    monkeypatch.undo()
    folder.save(2, weights, {}, {})
    assert folder.load().state["step"] == 2


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EROFS, ["build", "demo", "--corpora", "{corpora}"]),
        (errno.ENOSPC, ["index", "--corpora", "{corpora}"]),
        (errno.EROFS, ["demo-corpora", "--images", "4", "--clips-per-category", "1"]),
        (errno.ENOSPC, ["export", "{dataset}", "--format", "coco"]),
        (errno.EROFS, ["stats", "{dataset}"]),
        (errno.ENOSPC, ["takedown", "{dataset}", "--video", "{video}", "--reason", "asked"]),
        pytest.param(errno.EROFS, ["publish", "{dataset}", "--version", "1.0.0"], marks=pytest.mark.slow),
        (errno.ENOSPC, ["fetch", "run", "demo", "--corpora"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else errno.errorcode[value],
)
def test_a_disk_that_takes_nothing_is_told_in_one_line(
    number: int, words: list[str], corpora: str, dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "full"
    out.mkdir()

    def refused(real: Any) -> Any:
        def call(path: Any, *given: Any, **named: Any) -> Any:
            writes = real is not os.open or given[0] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writes and str(out) in str(path):
                raise OSError(number, os.strerror(number), str(path))
            return real(path, *given, **named)

        return call

    for name in ("open", "mkdir"):
        monkeypatch.setattr(os, name, refused(getattr(os, name)))
    video = Dataset(dataset).table()["video_id"][0].as_py()
    known = {"corpora": corpora, "dataset": dataset, "video": video}
    called = [word.format(**known) for word in words]
    if called[-1] != "--corpora":
        called.append("--to" if called[0] == "publish" else "--out")
    result = CliRunner().invoke(main, [*called, str(out / "made")])
    assert result.exit_code == 1, result.output
    last = result.output.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert os.strerror(number) in last
    monkeypatch.undo()
    assert os.listdir(out) == []
