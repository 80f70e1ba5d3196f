"""Every kind of damage is found and named. `tamper` rewrites hashes too, so that the deeper checks must find it."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

from pipelines.cli import main
from shards import format, storage, tables
from shards.manifest import DatasetError
from shards.reader import Dataset
from shards.verify import verify
from shards.writer import Content, write_shard


@pytest.fixture
def copy(dataset: str, tmp_path: Path) -> Path:
    out = tmp_path / "copy"
    shutil.copytree(dataset, out, ignore=shutil.ignore_patterns(".work"))
    return out


def found(path: Path) -> str:
    return "\n".join(f"{fault.where}: {fault.what}" for fault in verify(str(path)))


def edit_manifest(path: Path, change: Callable[[dict], None]) -> None:
    record = json.loads((path / "manifest.json").read_text())
    change(record)
    (path / "manifest.json").write_text(json.dumps(record))


def edit_table(path: Path, name: str, change: Callable[[list[dict]], None]) -> None:
    """Change a table's rows, and the manifest so that it agrees."""
    table = pq.read_table(path / name)
    rows = table.to_pylist()
    change(rows)
    schema = {"samples.parquet": tables.SAMPLES, "pool.parquet": tables.POOL}.get(name, tables.REJECTIONS)
    pq.write_table(table.from_pylist(rows, schema=schema), path / name)
    entry = {
        "rows": len(rows),
        "bytes": (path / name).stat().st_size,
        "sha256": storage.sha256(str(path / name)),
    }
    edit_manifest(path, lambda record: record["tables"].update({name: entry}))


def edit_first_sample(path: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """Change members of the first sample and write shard, table and manifest as if nothing had happened."""
    data = Dataset(str(path))
    rows = data.table().to_pylist()
    shard = rows[0]["shard"]
    members = {
        row["key"]: {extension: data.read_member(row, extension) for extension in format.SAMPLE_MEMBERS}
        for row in rows
        if row["shard"] == shard
    }
    change(members[rows[0]["key"]])
    contents = [
        (key, {ext: Content.of(data) for ext, data in parts.items()})
        for key, parts in sorted(members.items())
    ]
    written = write_shard(str(path / shard), contents)

    def update_rows(rows: list[dict]) -> None:
        for row in rows:
            for extension, member in (
                written.members.get(row["key"], {}).items() if row["shard"] == shard else ()
            ):
                name = tables.column(extension)
                row |= {
                    f"{name}_offset": member.offset,
                    f"{name}_size": member.size,
                    f"{name}_sha256": member.sha256,
                }

    def update_manifest(record: dict) -> None:
        (entry,) = [entry for entry in record["shards"] if entry["path"] == shard]
        entry.update(bytes=written.bytes, sha256=written.sha256)

    edit_table(path, "samples.parquet", update_rows)
    edit_manifest(path, update_manifest)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_whole_dataset_has_no_fault_also_in_two_processes(copy: Path) -> None:
    seen: list[tuple[int, int]] = []
    assert verify(str(copy), workers=2, progress=lambda done, total: seen.append((done, total))) == []
    assert seen[-1][0] == seen[-1][1] == len(list(copy.rglob("*.tar")))


def test_damaged_files(copy: Path) -> None:
    shards = sorted((copy / "train").glob("*.tar"))
    content = bytearray(shards[0].read_bytes())
    content[len(content) // 2] ^= 1
    shards[0].write_bytes(content)
    shards[1].write_bytes(shards[1].read_bytes()[:-20_000])
    shutil.copy(shards[0], copy / "train" / "train-000999.tar")
    (copy / "pool" / "pool-000000.tar").unlink()
    text = found(copy)
    assert "train/train-000000.tar: " in text
    assert "with another sha256" in text or "sha256 is not" in text
    assert "train/train-000001.tar" in text
    assert "train/train-000999.tar: not in the manifest" in text
    assert "pool/pool-000000.tar: missing, but the manifest lists it" in text


def test_damaged_tables_and_manifest(copy: Path, tmp_path: Path) -> None:
    (copy / "pool.parquet").unlink()
    with (copy / "rejections.parquet").open("ab") as file:
        file.write(b"x")
    text = found(copy)
    assert "pool.parquet: missing" in text
    assert "rejections.parquet: sha256" in text
    (copy / "manifest.json").write_text("{")
    with pytest.raises(DatasetError, match="is damaged"):
        verify(str(copy))
    with pytest.raises(DatasetError, match=r"holds no manifest\.json"):
        verify(str(tmp_path))


def test_leaks_are_found(copy: Path) -> None:
    def leak(rows: list[dict]) -> None:
        train = next(row for row in rows if row["split"] == "train")
        test = next(row for row in rows if row["split"] == "test")
        for name in ("image_id", "component", "video_id", "clip_id"):
            test[name] = train[name]

    edit_table(copy, "samples.parquet", leak)
    text = found(copy)
    for what in ("image ", "photograph ", "video ", "clip "):
        assert f"samples.parquet: {what}" in text
    assert text.count("is in 2 splits: it leaks") == 4


def test_a_test_clip_in_training_is_found(copy: Path) -> None:
    edit_table(copy, "pool.parquet", lambda rows: rows[0].update(split="train", official_split="test"))
    assert "is official test, heard in train" in found(copy)


def test_counts_and_funnel_that_do_not_agree(copy: Path) -> None:
    def change(record: dict) -> None:
        record["counts"]["train"]["samples"] += 1
        record["funnel"][0]["kept"] += 1

    edit_table(copy, "rejections.parquet", lambda rows: rows.pop())
    edit_manifest(copy, change)
    text = found(copy)
    assert "manifest.json: counts of train" in text
    assert "manifest.json: funnel, index of masks: in" in text
    assert "rejections.parquet: " in text
    assert "the funnel says" in text


@pytest.mark.parametrize(
    ("extension", "content", "message"),
    [
        ("jpg", b"no jpeg", "does not decode: SyntaxError: not a JPEG file"),
        (
            "mask.png",
            png(np.zeros((10, 10), np.uint8)),
            "the format has one channel, 0 or 255, the photo's size",
        ),
        ("mask.png", png(np.full((384, 512), 7, np.uint8)), "mask.png: mode L"),
        ("flac", b"fLaC", "does not decode: LibsndfileError"),
        ("json", b'{"key": 1}', "json: not in canonical form"),
    ],
)
def test_members_that_do_not_fit(copy: Path, extension: str, content: bytes, message: str) -> None:
    edit_first_sample(copy, lambda members: members.update({extension: content}))
    assert message in found(copy)


def test_a_photo_that_readers_would_turn_is_found(copy: Path) -> None:
    def change(members: dict[str, bytes]) -> None:
        exif, turned = Image.Exif(), io.BytesIO()
        exif[0x0112] = 3
        Image.open(io.BytesIO(members["jpg"])).save(turned, "JPEG", exif=exif)
        members["jpg"] = turned.getvalue()

    edit_first_sample(copy, change)
    assert "jpg: its metadata tell readers to turn it, which would not turn the mask" in found(copy)


def test_a_mask_of_another_shape_is_found(copy: Path) -> None:
    def change(members: dict[str, bytes]) -> None:
        pixels = np.asarray(Image.open(io.BytesIO(members["mask.png"]))).copy()
        pixels[0, :5] = 255 - pixels[0, :5]
        members["mask.png"] = png(pixels)

    edit_first_sample(copy, change)
    text = found(copy)
    assert "json: sha256 of mask.png" in text
    assert "; the table says" in text


def test_the_command_exits_with_one_and_prints_the_place(copy: Path) -> None:
    assert CliRunner().invoke(main, ["verify", str(copy)]).exit_code == 0
    (copy / "val" / "stray.tar").touch()
    result = CliRunner().invoke(main, ["verify", str(copy)])
    assert result.exit_code == 1
    assert "val/stray.tar: not in the manifest" in result.output
