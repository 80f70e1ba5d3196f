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
from pipelines.publish.takedown import takedown
from shards import format, owner, records, storage
from shards.manifest import DatasetError
from shards.reader import Dataset
from shards.verify import verify
from shards.writer import Content, Shard, write_shard


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
    schema = table.schema
    pq.write_table(table.from_pylist(rows, schema=schema), path / name)
    entry = {
        "rows": len(rows),
        "bytes": (path / name).stat().st_size,
        "sha256": storage.sha256(str(path / name)),
    }
    edit_manifest(path, lambda record: record["tables"].update({name: entry}))


def edit_members(path: Path, name: str, change: Callable[[dict[str, dict[str, bytes]]], None]) -> None:
    """Change members of samples or clips, by key, and write shards, table and manifest as if nothing had happened."""
    data = Dataset(str(path))
    rows = data.table(name).to_pylist()
    extensions = format.CLIP_MEMBERS if name == format.POOL_TABLE else data.manifest.sample_members
    members = {row["key"]: {ext: data.read_member(row, ext) for ext in extensions} for row in rows}
    before = {key: dict(contents) for key, contents in members.items()}
    change(members)
    for shard in sorted({row["shard"] for row in rows if members[row["key"]] != before[row["key"]]}):
        inside = [row for row in rows if row["shard"] == shard]
        contents = [
            (row["key"], {ext: Content.of(data) for ext, data in members[row["key"]].items()})
            for row in inside
        ]
        written = write_shard(str(path / shard), contents)
        for row in inside:
            row |= records.member_columns(written.members[row["key"]])

        def update(record: dict, shard: str = shard, written: Shard = written) -> None:
            (entry,) = [one for one in (*record["shards"], *record["pool_shards"]) if one["path"] == shard]
            entry.update(bytes=written.bytes, sha256=written.sha256)

        edit_manifest(path, update)
    edit_table(path, name, lambda told: told.__setitem__(slice(None), rows))


def edit_first_sample(path: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    first = Dataset(str(path)).table().to_pylist()[0]["key"]
    edit_members(path, format.SAMPLES, lambda members: change(members[first]))


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
    (tmp_path / "latest.json").write_text('{"version": "1.0.0"}')
    with pytest.raises(DatasetError, match="holds published versions"):
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
        ("jpg", b"no jpeg", "jpg: no JPEG: begins with 6e 6f 20 6a"),
        (
            "mask.png",
            png(np.zeros((10, 10), np.uint8)),
            "the format has one channel, 0 or 255, the photo's size",
        ),
        ("mask.png", png(np.full((384, 512), 7, np.uint8)), "mask.png: mode L"),
        ("flac", b"fLaC", "does not decode: LibsndfileError"),
        ("json", b'{"key":1}', "json: Expected `str`, got `int` - at `$.key`"),
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


def test_a_mask_of_another_shape_and_without_a_pixel_is_found(copy: Path) -> None:
    def change(members: dict[str, bytes]) -> None:
        members["mask.png"] = png(np.zeros_like(np.asarray(Image.open(io.BytesIO(members["mask.png"])))))

    edit_first_sample(copy, change)
    text = found(copy)
    assert "json: sha256 of mask.png" in text
    assert "; the table says" in text
    assert "mask.png: no pixel is 255" in text


def test_the_command_exits_with_one_and_prints_the_place(copy: Path) -> None:
    assert CliRunner().invoke(main, ["verify", str(copy)]).exit_code == 0
    (copy / "val" / "stray.tar").touch()
    result = CliRunner().invoke(main, ["verify", str(copy)])
    assert result.exit_code == 1
    assert "val/stray.tar: not in the manifest" in result.output


# What a record alone says, and no table: who made the photo, where it is, and why it has its category.
# A clip's are in the records of the samples that hear it, where the two are compared.
ONLY_IN_THE_RECORD = {
    "image.licence_url",
    "image.author",
    "image.url",
    "image.labels",
    "image.source_sha256",
    "mask.exhaustive",
    "mask.policy",
    "author",
    "url",
}
ONLY_IN_THE_RECORD |= {f"label.{name}" for name in records.Label.__struct_fields__ if name != "source_id"}


def leaves(record: dict, below: str = "") -> list[str]:
    found = []
    for name, value in record.items():
        place = f"{below}{name}"
        found += leaves(value, f"{place}.") if isinstance(value, dict) else [place]
    return found


def altered(record: dict, place: str) -> bytes:
    """The record with another value of the same type in one place."""
    *above, name = place.split(".")
    inner = record
    for step in above:
        inner = inner[step]
    value = inner[name]
    if isinstance(value, list):
        inner[name] = [*value[:-1], value[-1] + (1 if isinstance(value[-1], int) else "x")]
    else:
        inner[name] = value + ("x" if isinstance(value, str) else 1)
    return format.json_bytes(record)


@pytest.mark.parametrize("name", [format.SAMPLES, format.POOL_TABLE])
def test_every_field_of_a_record_is_compared(copy: Path, name: str) -> None:
    """Each field is changed in a record of its own, and every hash is made to fit."""
    changed: dict[str, str] = {}

    def change(members: dict[str, dict[str, bytes]]) -> None:
        first = json.loads(next(iter(members.values()))["json"])
        places = sorted(set(leaves(first)) - ONLY_IN_THE_RECORD)
        assert len(members) >= len(places) > 10
        for (key, contents), place in zip(sorted(members.items()), places, strict=False):
            contents["json"] = altered(json.loads(contents["json"]), place)
            changed[key] = place

    edit_members(copy, name, change)
    text = found(copy)
    assert [place for key, place in changed.items() if f": {key}: " not in text] == []
    wanted = {format.SAMPLES: {"sample_id", "image.id", "audio.key", "audio.author", "audio.label.name"}}
    assert wanted.get(name, {"id", "key", "label.source_id"}) <= set(changed.values())


def test_a_record_of_another_form_is_found(copy: Path) -> None:
    def change(members: dict[str, dict[str, bytes]]) -> None:
        contents = [members[key] for key in sorted(members)[:6]]
        for index, damage in enumerate(
            (
                lambda text: text.replace(b'{"audio"', b'{ "audio"'),
                lambda text: text.replace(b'"split":', b'"more":1,"split":'),
                lambda text: text.replace(b'"epoch":0,', b""),
                lambda text: b"[" * 200_000,
                lambda text: b"\xff",
                lambda text: text.replace(b'"seed":0', b'"seed":1e3'),
            )
        ):
            contents[index]["json"] = damage(contents[index]["json"])

    edit_members(copy, format.SAMPLES, change)
    text = found(copy)
    assert text.count(": json: ") == 6
    assert "not in canonical form" in text
    assert "unknown field" in text


def test_what_was_left_is_told_from_what_is_strange(copy: Path) -> None:
    """A temporary file has its owner in the name: dead, living, or of another machine."""
    me = owner.mine()
    gone = owner.Owner(me.host, me.machine, me.process, me.started + 1)
    for place in (f"manifest.json.{gone}-0.tmp", f"train/train-000000.tar.{gone}-1.tmp"):
        (copy / place).write_bytes(b"half")
    (copy / f"val/val-000000.tar.{me}-2.tmp").write_bytes(b"half")
    (copy / "val" / "thesis.tmp").touch()
    (copy / "README.md").touch()  # beside a dataset other files may lie
    text = found(copy)
    assert text.count(f"left unfinished by process {me.process} on {me.host}") == 2
    assert "remove it, or run the command that made the dataset again" in text
    assert f"process {me.process} on {me.host} is writing it" in text
    assert "val/thesis.tmp: not in the manifest" in text
    assert len(text.splitlines()) == 4


def test_a_held_out_video_in_training_is_found(copy: Path, tmp_path: Path) -> None:
    pool = Dataset(str(copy)).table(format.POOL_TABLE).to_pylist()
    heard = next(row for row in pool if row["split"] == "train" and len(row["video_id"]) == 11)
    other = next(row for row in pool if row["split"] == "test" and len(row["video_id"]) == 11)
    listed = tmp_path / "list.csv"
    listed.write_text(
        f"video_id,split\n{other['video_id']}_000010,test\n{'a' * 11},test\n{'a' * 11}_5,train\nother,train\n"
    )
    result = CliRunner().invoke(main, ["verify", str(copy), "--held-out", str(listed)])
    assert result.exit_code == 0
    assert "1 of its 2 rows of test are of a video that its own train has" in result.output
    listed.write_text(f"video_id,split\n{heard['video_id']}_000010,test\n")
    result = CliRunner().invoke(main, ["verify", str(copy), "--held-out", str(listed)])
    assert result.exit_code == 1
    assert (
        f"pool.parquet: {heard['clip_id']}: video {heard['video_id']} is heard in train, but {listed}"
        in result.output
    )
    for content in (b"", b"video_id\nno id\n", b"video_id\n\xff\n"):
        listed.write_bytes(content)
        assert CliRunner().invoke(main, ["verify", str(copy), "--held-out", str(listed)]).exit_code not in (
            0,
            None,
        )
    listed.unlink()
    assert CliRunner().invoke(main, ["verify", str(copy), "--held-out", str(listed)]).exit_code != 0


def test_an_empty_dataset_is_told(copy: Path) -> None:
    def empty(record: dict) -> None:
        record["shards"] = []
        for counts in record["counts"].values():
            counts.update(samples=0, categories={})

    edit_table(copy, "samples.parquet", lambda rows: rows.clear())
    edit_manifest(copy, empty)
    assert "samples.parquet: not one sample: there is nothing to use" in found(copy)


def test_a_rejection_of_another_unit_is_found(copy: Path) -> None:
    edit_table(copy, "rejections.parquet", lambda rows: rows[0].update(unit="samples"))
    assert "the funnel says" in found(copy)


def test_a_dataset_of_version_1_is_read_cut_and_checked(copy: Path, tmp_path: Path) -> None:
    """Version 1 told no unit in rejections.parquet; what is cut from such a dataset stays version 1."""

    def older(members: dict[str, dict[str, bytes]]) -> None:
        for contents in members.values():
            record = json.loads(contents["json"])
            sound = record.get("audio", record)
            for label in (sound["label"], *record.get("image", {}).get("labels", ())):
                del label["label"], label["category"]
            contents["json"] = format.json_bytes(record)

    edit_members(copy, format.SAMPLES, older)
    edit_members(copy, format.POOL_TABLE, older)
    table = pq.read_table(copy / "rejections.parquet").drop_columns("unit")
    pq.write_table(table, copy / "rejections.parquet")
    url = str(copy / "rejections.parquet")
    entry = {"rows": len(table), "bytes": storage.size(url), "sha256": storage.sha256(url)}
    edit_manifest(copy, lambda record: record["tables"].update({"rejections.parquet": entry}))
    assert "columns ['stage', 'item'" in found(copy)
    edit_manifest(copy, lambda record: record.update(format_version=1))
    assert verify(str(copy)) == []
    source = Dataset(str(copy))
    video = source.table()["video_id"][0].as_py()
    less = tmp_path / "less"
    takedown(source, str(less), [], [video], "asked for")
    assert json.loads((less / "manifest.json").read_text())["format_version"] == 1
    assert verify(str(less)) == []
    edit_manifest(copy, lambda record: record.update(format_version=3))
    with pytest.raises(DatasetError, match="version 3; this version reads avs-shards 1 and 2"):
        verify(str(copy))


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record["shards"][0].update(path="../../etc/passwd.tar"),
        lambda record: record["shards"][0].update(path="/etc/train-000000.tar"),
        lambda record: record["shards"][0].update(bytes=-1),
        lambda record: record["shards"][0].update(sha256=7),
        lambda record: record.update(shards={}),
        lambda record: record.update(seed="0"),
        lambda record: record["funnel"][0].pop("kept"),
        lambda record: record["counts"].update(train=3),
        lambda record: record["counts"].pop("val"),
        lambda record: record["recipe"].pop("text"),
        lambda record: record["tables"].update({"../../x.parquet": record["tables"]["pool.parquet"]}),
        lambda record: record["shards"].append(record["shards"][0]),
        lambda record: record["shards"][0].update(split="test"),
        lambda record: record["shards"][0].update(bytes=10**18),
        lambda record: record["shards"][0].update(path="train/train-000000.tar\n"),
    ],
)
def test_a_manifest_of_other_types_is_damaged(copy: Path, change: Callable[[dict], None]) -> None:
    edit_manifest(copy, change)
    with pytest.raises(DatasetError, match=r"manifest\.json is damaged"):
        verify(str(copy))


def test_tables_that_are_none(copy: Path) -> None:
    (copy / "pool.parquet").write_bytes(b"PAR1 no table PAR1")
    url = str(copy / "pool.parquet")
    entry = {"rows": 1, "bytes": storage.size(url), "sha256": storage.sha256(url)}
    edit_manifest(copy, lambda record: record["tables"].update({"pool.parquet": entry}))
    text = found(copy)
    assert "pool.parquet: no readable table" in text
