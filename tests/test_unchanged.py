"""A build that would make again what is there ends early; not where anything that decides it changed, or is gone."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from pipelines.build import run, unchanged
from pipelines.build.graph import Job
from pipelines.cli import main
from pipelines.recipes import recipe
from shards import format, storage
from shards.reader import Dataset


class Built(Exception):
    """The build went on to its stages."""


@pytest.fixture(scope="module")
def built(corpora: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with corpora and the dataset that was built from them."""
    root = tmp_path_factory.mktemp("unchanged")
    shutil.copytree(corpora, root / "corpora")
    (root / "held.csv").write_text("video_id\nnobody12345\n")
    build(root)
    return root


@pytest.fixture
def world(built: Path) -> Iterator[Path]:
    """The same place again, as it was: a build knows its files by name, size and time."""
    aside = built.with_name(f"{built.name}.before")
    shutil.copytree(built, aside)
    yield built
    shutil.rmtree(built)
    aside.rename(built)


def build(root: Path, workers: int = 1, told: Callable[[str], None] | None = None) -> None:
    options = run.BuildOptions(
        str(root / "corpora"), str(root / "out"), workers, held_out=(str(root / "held.csv"),)
    )
    run.build(recipe.load("demo"), options, tell=told)


def contents(root: Path) -> dict[str, tuple[str, int]]:
    """Hash and time of every file of the dataset."""
    found = [path for path in (root / "out").rglob("*") if path.is_file() and ".work" not in path.parts]
    return {str(path): (storage.sha256(str(path)), path.stat().st_mtime_ns) for path in found}


def test_a_finished_dataset_of_the_same_inputs_is_left_alone(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run.runner, "run", went_on)
    before, told = contents(built), []
    build(built, told=told.append)
    build(built, workers=2)
    assert contents(built) == before
    assert told == ["Nothing that decides it has changed: the dataset stays as it is"]
    assert not (built / "out/.work/index").exists()


def went_on(*_: object) -> None:
    raise Built


def first(root: Path, pattern: str) -> Path:
    return next(path for path in sorted(root.glob(pattern)) if path.is_file() and path.stat().st_size)


def used(root: Path, column: str) -> Path:
    """A file of the corpora that the dataset is made of."""
    table = Dataset(str(root / "out")).table(format.SAMPLES if column == "image_id" else format.POOL_TABLE)
    name = table[column][0].as_py().partition(":")[2]
    return next(
        path for path in sorted((root / "corpora").rglob("*")) if name in path.name and path.is_file()
    )


def rewritten(path: Path) -> None:
    """The same bytes, written later."""
    content = path.read_bytes()
    time = path.stat().st_mtime_ns
    path.write_bytes(content)
    os.utime(path, ns=(time + 1, time + 1))


def shorter_annotations(root: Path) -> None:
    path = first(root, "corpora/lvis/lvis_v1_train.json")
    content = json.loads(path.read_text())
    time = path.stat().st_mtime_ns
    content["annotations"][0]["segmentation"][0][0] += 1
    path.write_text(json.dumps(content))
    os.utime(path, ns=(time, time))


def another_manifest(root: Path) -> None:
    path = root / "out/manifest.json"
    path.write_text(path.read_text().replace('"name": "demo"', '"name": "omed"'))


def near_duplicates(root: Path) -> None:
    (root / "corpora/_fetch").mkdir(exist_ok=True)
    pq.write_table(pa.table({"a": ["x"], "b": ["y"]}), root / "corpora/_fetch/near_duplicate_photos.parquet")


def one_byte_more(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


CHANGES: dict[str, Callable[[Path], object]] = {
    "a photo written again": lambda root: rewritten(used(root, "image_id")),
    "a photo gone": lambda root: used(root, "image_id").unlink(),
    "a clip written again": lambda root: rewritten(used(root, "clip_id")),
    "a mask written again": lambda root: rewritten(first(root, "corpora/open_images/masks/**/*.png")),
    "annotations of the same time": shorter_annotations,
    "a held-out list": lambda root: (root / "held.csv").write_text("video_id\nnobody12346\n"),
    "near-duplicates": near_duplicates,
    "a shard gone": lambda root: first(root, "out/train/*.tar").unlink(),
    "a shard of another size": lambda root: one_byte_more(first(root, "out/pool/*.tar")),
    "a shard too many": lambda root: (root / "out/train/train-000042.tar").write_bytes(b"x"),
    "a table of other bytes": lambda root: one_byte_more(root / "out/samples.parquet"),
    "a table gone": lambda root: (root / "out/rejections.parquet").unlink(),
    "another manifest": another_manifest,
    "no manifest": lambda root: (root / "out/manifest.json").unlink(),
    "no record": lambda root: (root / "out/.work/finished.json").unlink(),
    "a cut record": lambda root: (root / "out/.work/finished.json").write_text('{"inputs"'),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_decides_or_is_gone_makes_it_build(
    name: str, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run.runner, "run", went_on)
    build(world)
    CHANGES[name](world)
    with pytest.raises(Built):
        build(world)


@pytest.mark.parametrize("name", ["_own_code", "code_versions"])
def test_other_code_makes_it_build(name: str, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.runner, "run", went_on)
    build(world)
    monkeypatch.setattr(unchanged, name, lambda *_, **__: "another")
    with pytest.raises(Built):
        build(world)


def test_a_fault_of_the_program_is_tried_again(world: Path) -> None:
    """Items that met one are in no dataset, and the next build may find it mended."""
    path, record = world / "out/rejections.parquet", world / "out/.work/finished.json"
    record.unlink()
    unchanged.remember(str(world / "out"), "inputs")
    assert json.loads(record.read_text())["inputs"] == "inputs"
    record.unlink()
    rows = pq.read_table(path)
    rows = rows.set_column(
        rows.schema.get_field_index("reason"), "reason", pa.array(["internal_error"] * len(rows))
    )
    pq.write_table(rows, path)
    unchanged.remember(str(world / "out"), "inputs")
    assert not record.exists()


def test_a_damaged_shard_is_mended_as_verify_says(world: Path) -> None:
    before = {path: found for path, (found, _) in contents(world).items()}
    shard = next((world / "out" / "test").glob("*.tar"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    called = CliRunner().invoke(main, ["verify", str(world / "out")])
    assert called.exit_code == 1
    assert f"test/{shard.name}: " in called.output
    assert "remove the shards that are named and run the command that made the dataset again" in called.output
    shard.unlink()
    build(world)
    assert {path: found for path, (found, _) in contents(world).items()} == before


def test_equal_jobs_are_told_alike_and_what_cannot_be_told_is_refused() -> None:
    assert set(unchanged._PLACES) < set(Job.__dataclass_fields__)
    same = unchanged._plain({("a", "b"): frozenset({"x", "y"}), "c": 1.5})
    assert same == unchanged._plain({"c": 1.5, ("a", "b"): frozenset({"y", "x"})})
    with pytest.raises(TypeError, match="what decides a build must be plain values"):
        unchanged._plain(object())
