"""The guard: one item's fault is its own; a store's, the memory's and a person's are not."""

import os
import shutil
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from click.testing import CliRunner
from PIL import Image

from pipelines.build import run, runner, samples, select
from pipelines.cli import main
from pipelines.fetch import options, photos
from pipelines.fetch.causes import Cause, Failure
from pipelines.fetch.causes import guarded as attempted
from pipelines.fetch.items import Item, Kind
from pipelines.fetch.ledger import Ledger
from pipelines.fetch.run import Fetch
from pipelines.imports import media as import_media
from pipelines.recipes import recipe
from shards import format, guard, storage
from shards.errors import AvsError, StorageError
from shards.reader import Dataset
from shards.rejections import Reason, Rejected
from shards.verify import verify


def raising(error: BaseException) -> Callable[[], None]:
    def step() -> None:
        raise error

    return step


def test_what_goes_well_and_what_is_foreseen() -> None:
    assert guard.guarded("item", lambda: 7) == 7
    foreseen = Rejected(Reason.MASK_EMPTY, "no pixel set")
    assert guard.guarded("item", raising(foreseen)) is foreseen


@pytest.mark.parametrize(
    "error",
    [
        *(KeyError("x"), ZeroDivisionError(), RecursionError("deep"), AttributeError("rate"), AssertionError()),
        *(OSError("a decoder's own words"), av.error.InvalidDataError(1094995529, "Invalid data", "x.mp4")),
        *(soundfile.LibsndfileError(1), Image.DecompressionBombError("large"), struct.error("short")),
    ],
)  # fmt: skip
def test_whatever_else_an_item_raises_is_its_own(error: Exception, capsys: pytest.CaptureFixture) -> None:
    caught = guard.guarded("lvis:1", raising(error))
    assert isinstance(caught, Rejected)
    assert caught.reason == Reason.INTERNAL_ERROR
    assert caught.detail.startswith(type(error).__name__)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        KeyboardInterrupt(),
        SystemExit(),
        StorageError("s3://b/x: SlowDown"),
        AvsError("ask for less"),
    ],
)
def test_what_is_no_items_fault_goes_on_up(error: BaseException) -> None:
    with pytest.raises(type(error)):
        guard.guarded("lvis:1", raising(error))


def test_an_error_of_the_system_is_the_stores(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"No space left on device \(lvis:1\)"):
        guard.guarded("lvis:1", raising(OSError(28, "No space left on device")))


def test_the_detail_is_the_same_everywhere_and_the_traceback_is_shown_once(
    capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    told = set()
    for folder in ("/here/of/one", "/there", "s3://bucket/corpora"):
        error = RuntimeError(f"cannot read '{folder}/x.jpg' at {object()!r}, twice")
        caught = guard.guarded("lvis:1", raising(error))
        assert isinstance(caught, Rejected)
        told.add(caught.detail)
    assert told == {"RuntimeError: cannot read '…' at <object object at 0x…>, twice"}
    shown = capsys.readouterr().err
    assert shown.count("Traceback") == 1
    assert "internal error at lvis:1" in shown


def test_a_build_with_a_fault_of_its_own_ends_whole_and_says_so(
    corpora: str, dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug that one photo, one mask and one shard's sample meet each."""
    row = Dataset(dataset).table().to_pylist()[0]
    first = {"image": select._image, "rle": select._rle, "record": samples.sample_record}
    photos_of = sorted(
        {found["image_id"] for found in Dataset(dataset).table().to_pylist()} - {row["image_id"]}
    )

    def image(found: dict, *arguments: object) -> object:
        if found["image_id"] == photos_of[0]:
            raise KeyError("a bug of photos")
        return first["image"](found, *arguments)

    def rle(found: dict, *arguments: object) -> object:
        if found["image_id"] == photos_of[1]:
            raise AttributeError("a bug of masks")
        return first["rle"](found, *arguments)

    def record(found: dict, *arguments: object) -> object:
        if found["sample_id"] == row["sample_id"]:
            raise IndexError("a bug of samples")
        return first["record"](found, *arguments)

    monkeypatch.setattr(select, "_image", image)
    monkeypatch.setattr(select, "_rle", rle)
    monkeypatch.setattr(samples, "sample_record", record)
    out = str(tmp_path / "out")
    done = CliRunner().invoke(main, ["build", "demo", "--corpora", corpora, "--out", out])
    assert done.exit_code == 1
    assert "met a fault of this program and were left out, the first " in done.output
    assert verify(out) == []
    lost = Dataset(out).table(format.REJECTIONS).to_pylist()
    stages = {row["stage"]: row["detail"] for row in lost if row["reason"] == "internal_error"}
    assert stages == {
        "measure": "KeyError: 'a bug of photos'",
        "select": "AttributeError: a bug of masks",
        "shard": "IndexError: a bug of samples",
    }
    keys = {found["key"] for found in Dataset(out).table().to_pylist()}
    assert row["key"] not in keys
    monkeypatch.undo()  # the bug is mended
    done = CliRunner().invoke(main, ["build", "demo", "--corpora", corpora, "--out", out])
    assert done.exit_code == 0, done.output
    for name in (format.MANIFEST, format.SAMPLES, format.REJECTIONS):
        assert Path(out, name).read_bytes() == Path(dataset, name).read_bytes()


def test_a_store_that_fails_stops_a_build(
    corpora: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = storage.read_range

    def fails(url: str, start: int, length: int) -> bytes:
        if url.endswith(".jpg"):
            raise StorageError(f"{url}: Input/output error")
        return reads(url, start, length)

    monkeypatch.setattr(storage, "read_range", fails)
    out = tmp_path / "out"
    with pytest.raises(runner.BuildStopped, match="Input/output error"):
        run.build(recipe.load("demo"), run.BuildOptions(corpora, str(out)))
    assert not (out / "manifest.json").exists()


def odd(path: Path, kind: str) -> None:
    """Something under a media file's name that is no file."""
    path.unlink()
    if kind == "dangling link":
        path.symlink_to("/nowhere/x.jpg")
    elif kind == "looping link":
        path.symlink_to(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link to a folder":
        path.symlink_to(path.parent)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "socket":
        here = os.getcwd()
        os.chdir(path.parent)  # the name of a socket may have 108 bytes
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
        os.chdir(here)


KINDS = ["dangling link", "looping link", "folder", "link to a folder", "pipe", "device", "socket"]


@pytest.mark.parametrize("kind", KINDS)
def test_names_that_lead_to_no_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(b"x")
    odd(path, kind)
    for read in (
        storage.read_bytes,
        storage.open_read,
        storage.stamp,
        lambda url: storage.read_range(url, 0, 5),
        storage.sha256,
    ):
        with pytest.raises(FileNotFoundError):
            read(str(path))
    assert storage.listing(str(tmp_path)) == ((["x.jpg"], []) if "folder" not in kind else ([], ["x.jpg"]))


def test_a_store_that_refuses_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"File exists|Not a directory"):
        storage.write_atomic(str(tmp_path / "file" / "x"), b"")
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(str(tmp_path / "file" / "x"))
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(str(tmp_path / ("x" * 300)))
    if os.geteuid():
        (tmp_path / "file").chmod(0)
        with pytest.raises(StorageError, match="Permission denied"):
            storage.read_bytes(str(tmp_path / "file"))


def test_a_build_with_odd_names_among_its_media(corpora: str, dataset: str, tmp_path: Path) -> None:
    changed = tmp_path / "corpora"
    shutil.copytree(corpora, changed, copy_function=os.link)
    rows = Dataset(dataset).table().to_pylist()
    expected = {}
    photos_of = sorted({row["image_id"] for row in rows if row["image_id"].startswith("lvis:")})
    masks_of = sorted(row["mask_ids"][0] for row in rows if row["image_id"].startswith("open_images:"))
    clips_of = sorted({row["clip_id"] for row in rows})
    for kind, photo, mask, clip in zip(KINDS, photos_of, masks_of, clips_of, strict=False):
        number, stem = int(photo.removeprefix("lvis:")), mask.removeprefix("open_images:")
        (jpg,) = (changed / "lvis").rglob(f"{number:012d}.jpg")
        (png,) = (changed / "open_images").rglob(f"{stem}.png")
        (sound,) = (changed / "vggsound" / "clips").glob(f"{clip.removeprefix('vggsound:')}.*")
        for path in (jpg, png, sound):
            odd(path, kind)
        expected |= dict.fromkeys(
            (m for row in rows if row["image_id"] == photo for m in row["mask_ids"]), "image_missing"
        )
        expected |= {mask: "mask_missing", clip: "clip_missing"}
    out = str(tmp_path / "out")
    run.build(recipe.load("demo"), run.BuildOptions(str(changed), out))
    assert verify(out) == []
    found = {row["item"]: row["reason"] for row in Dataset(out).table(format.REJECTIONS).to_pylist()}
    assert {item: found.get(item) for item in expected} == expected
    assert len(expected) >= 3 * len(KINDS)


def test_an_import_with_a_fault_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "S4"
    below = "train/dog/abcdefghij{}"
    for number in range(2):
        name = below.format(number)
        for part, array in (
            ("visual_frames", np.full((60, 80, 3), 90, np.uint8)),
            ("gt_masks", np.eye(60, 80, dtype=np.uint8) * 255),
        ):
            path = folder / "s4_data" / part / name / f"abcdefghij{number}_1.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(array).save(path)
        sound = folder / "s4_data" / "audio_wav" / f"{name}.wav"
        sound.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(sound, np.sin(np.arange(80_000) / 9) / 2, 16_000)
    (folder / "s4_meta_data.csv").write_text(
        "name,start,category,split\nabcdefghij0,0,dog,train\nabcdefghij1,0,dog,train\n"
    )
    read = import_media.mask

    def mask(url: str, *size: int) -> np.ndarray:
        if "abcdefghij1" in url:
            raise TypeError("a bug of masks")
        return read(url, *size)

    monkeypatch.setattr(import_media, "mask", mask)
    out = str(tmp_path / "out")
    done = CliRunner().invoke(main, ["import", "avsbench", str(folder), "--out", out, "--may-drop", "1"])
    assert done.exit_code == 1
    assert "1 item(s) met a fault of this program" in done.output
    assert "TypeError: a bug of masks" in done.output
    assert Dataset(out).table().num_rows == 1
    assert verify(out) == []


def test_a_fetch_with_a_fault_of_its_own_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import local_site
    import media

    site = tmp_path / "site"
    site.mkdir()
    for number in range(3):
        (site / f"{number}.jpg").write_bytes(media.photo(number))
    check = photos.check

    def fails(content: bytes, *arguments: object) -> bytes | None:
        if content == (site / "1.jpg").read_bytes():
            raise AttributeError("'AudioStream' object has no attribute 'rate'")
        return check(content, *arguments)

    monkeypatch.setattr(photos, "check", fails)
    with local_site.start(site) as address, Ledger(str(tmp_path)) as ledger:
        items = [
            Item(f"lvis:{number}", Kind.PHOTO, f"{address}/{number}.jpg", f"lvis/images/{number}.jpg")
            for number in range(3)
        ]
        Fetch(str(tmp_path), options.parse({}), ledger).items(items)
        latest = ledger.latest()
    assert {name: row.cause for name, row in latest.items()} == {
        "lvis:0": "ok",
        "lvis:1": "internal_error",
        "lvis:2": "ok",
    }
    assert "no attribute 'rate'" in latest["lvis:1"].detail
    assert latest["lvis:1"].permanent  # until the program is mended: then `retry` tries it


def test_a_failure_that_was_foreseen_stays_one() -> None:
    failure = Failure(Cause.NOT_FOUND, "404")
    assert attempted("lvis:1", raising(failure)) is failure


def test_a_dataset_without_faults_of_the_program_says_nothing(dataset: str) -> None:
    assert guard.report(dataset) is None
    assert isinstance(pq.read_table(storage.join(dataset, format.REJECTIONS)), pa.Table)
