"""What a dataset says of itself is believed by no command: what cannot be is refused at once."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from generated_shards import write_dataset
from test_verify import edit_first_sample, edit_manifest, edit_table, found

from avs_train.data.samples import open_split
from avs_train.data.shard_files import ShardError, ShardFiles
from pipelines.publish.documents import documents
from pipelines.publish.edition import Profile
from pipelines.publish.exports import coco
from pipelines.publish.takedown import load
from shards import manifest, storage
from shards.manifest import DatasetError
from shards.reader import Dataset
from shards.tables import TableError

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_dataset(
        tmp_path_factory.mktemp("generated"), {"train": 5, "test": 2}, size=48, clips=1, samples_per_shard=4
    )


@pytest.fixture
def copy(generated: str, tmp_path: Path) -> Path:
    shutil.copytree(generated, tmp_path / "copy")
    return tmp_path / "copy"


def first(**values: object) -> Callable[[Rows], object]:
    return lambda rows: rows[0].update(values)


CASES: dict[str, tuple[Callable[[Rows], object], str]] = {
    "a shard elsewhere": (first(shard="../../etc/passwd"), "which the manifest does not list"),
    "an absolute shard": (first(shard="/etc/passwd"), "which the manifest does not list"),
    "a negative offset": (first(jpg_offset=-512), "at byte -512 of train/train-000000"),
    "an offset in another member": (first(json_offset=512), "by the sizes of what is before it"),
    "a member of a terabyte": (first(jpg_size=10**12), "a jpg of 1,000,000,000,000 bytes"),
    "a negative size": (first(flac_size=-1), "a flac of -1 bytes"),
    "a longer member": (lambda rows: rows[0].update(jpg_size=rows[0]["jpg_size"] + 4096), "lies at"),
    "another order": (lambda rows: rows.reverse(), "not the manifest's shards"),
    "a row twice": (
        lambda rows: rows.insert(0, rows[0]),
        "rows of train/train-000000.tar; the manifest says",
    ),
    "a row gone": (lambda rows: rows.pop(1), "; the manifest says 4"),
    "a key twice": (lambda rows: rows[-1].update(key=rows[-2]["key"]), "do not ascend"),
    "no key": (first(key="../x"), "a key that is none"),
    "no hash": (first(json_sha256="0"), "a json_sha256 that is none"),
    "nothing": (first(image_id=None), "1 rows without a image_id"),
    "a photo of 1.6 gigapixels": (first(width=40_000, height=40_000), "more than 100,000,000"),
    "no number": (first(area_fraction=float("nan")), "no number"),
    "another split": (first(split="test"), "that are not of train"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_table_that_cannot_be_is_refused(name: str, copy: Path) -> None:
    change, message = CASES[name]
    edit_table(copy, "samples.parquet", change)
    with pytest.raises(TableError, match="samples.parquet has .*" + message.replace(".", r"\.")):
        Dataset(str(copy)).table()
    assert message in found(copy)


def test_a_table_of_other_types_is_refused(copy: Path) -> None:
    table = pq.read_table(copy / "samples.parquet")
    place = table.column_names.index("jpg_size")
    for wrong in (
        table.set_column(place, "jpg_size", table["jpg_size"].cast(pa.string())),
        table.drop_columns(["category"]),
        table.append_column("more", table["key"]),
    ):
        pq.write_table(wrong, copy / "samples.parquet")
        with pytest.raises(TableError, match=r"which the format has otherwise|the format has \["):
            Dataset(str(copy)).table(columns=["key"])


def test_lists_in_several_row_groups_are_read(tmp_path: Path) -> None:
    from shards import tables

    rows = pa.table({"a": [[f"mask {row}", "all"] for row in range(10)], "b": list(range(10))})
    pq.write_table(rows, tmp_path / "a.parquet", row_group_size=4)
    assert tables.read(str(tmp_path / "a.parquet")).equals(rows)
    pq.write_table(rows[:0], tmp_path / "b.parquet")
    assert tables.read(str(tmp_path / "b.parquet")).equals(rows[:0])


def test_a_pipe_or_a_device_is_no_shard(copy: Path) -> None:
    shard = copy / "train" / "train-000000.tar"
    split = open_split(str(copy), "train")
    for make in (lambda: os.mkfifo(shard), lambda: shard.symlink_to("/dev/zero")):
        shard.unlink()
        make()
        with pytest.raises(ShardError, match="cannot be read"):
            ShardFiles(str(copy), split.shards, copy, 1 << 30, retries=0).read("train/train-000000.tar", 0, 1)
        assert "train/train-000000.tar: missing, but the manifest lists it" in found(copy)


def test_headers_of_a_shard_are_the_format_s(copy: Path) -> None:
    row = Dataset(str(copy)).table().to_pylist()[0]
    with (copy / row["shard"]).open("r+b") as file:
        file.seek(row["jpg_offset"] - 512)
        file.write(b"../../escape".ljust(100, b"\0"))
    assert "another name, size, mode, owner, time or type in its header" in found(copy)
    with pytest.raises(DatasetError, match="no header of"):
        list(Dataset(str(copy)).samples("train"))


def test_a_photo_of_gigapixels_is_not_decoded(copy: Path) -> None:
    def change(members: dict[str, bytes]) -> None:
        at = members["jpg"].index(b"\xff\xc0") + 5
        members["jpg"] = members["jpg"][:at] + b"\x9c\x40\x9c\x40" + members["jpg"][at + 4 :]

    edit_first_sample(copy, change)
    assert "jpg: 40000 x 40000; at most 100,000,000 pixels" in found(copy)


def test_what_is_too_large_or_deep_is_told(copy: Path) -> None:
    takedowns = copy / "takedowns.json"
    for content in (
        b"[" * 200_000,
        b'[{"kind": "image"}]',
        b"{}",
        b"\xff",
        b'[{"kind":"x","names":[],"reason":""}]',
    ):
        takedowns.write_bytes(content)
        with pytest.raises(DatasetError, match="nobody knows what was taken down"):
            load(str(copy))
    with (copy / "manifest.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(storage.TooLarge, match="more than 32 MiB"):
        manifest.load(str(copy))


def test_names_that_differ_in_case_alone_get_files_of_their_own(copy: Path, tmp_path: Path) -> None:
    """As YouTube's ids do; some disks see one name."""
    from pipelines.publish.exports import _file_name

    taken: dict[str, str] = {}
    names = [_file_name(each, taken) for each in ("a:bC", "a:Bc", "a:bC", "a_bC")]
    assert names[0] == names[2] == "a_bC.jpg"
    assert len({name.casefold() for name in names}) == 3
    edit_manifest(copy, lambda record: None)
    assert coco(Dataset(str(copy)), str(tmp_path / "out"), lambda *_: None) == (7, {})


def test_names_with_markup_stay_words_in_every_document(copy: Path) -> None:
    hostile = "</script><img src=x onerror=y>"

    def rename(record: dict[str, Any]) -> None:
        record["name"] = hostile
        record["recipe"]["text"] = 'name = "generated"\n'
        for split in record["counts"].values():
            split["categories"][hostile] = split["categories"].pop("bell", 0)

    def sign(members: dict[str, bytes]) -> None:
        record = json.loads(members["json"])
        record["image"]["author"] = hostile
        members["json"] = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()

    edit_first_sample(copy, sign)
    edit_manifest(copy, rename)
    data, version = Dataset(str(copy)), {"version": "1.0.0", "url": "https://data.example/1.0.0"}
    made, _ = documents(
        data,
        [],
        **version,
        profile=Profile(),
        before=None,
        takedowns=(),
        judged=None,
        corpora=None,
        checked=(),
    )
    texts = {file.path: file.source for file in made if file.path.endswith((".md", ".html", ".json"))}
    assert len(texts) >= 4
    for path, content in texts.items():
        assert isinstance(content, bytes)
        page = content.rpartition(b"\n---\n")[2]  # before it, a card has YAML
        assert b"<img src=x" not in page, path
        assert b"img src=x" in content or path in ("CHANGELOG.md", "LICENSE.md")


def test_names_with_markup_stay_words_in_a_card() -> None:
    from pipelines.publish.card import _fence, cell

    assert cell("computer_keyboard") == "computer_keyboard"
    assert cell("<script>x</script> | [a](b)\n# c") == r"&lt;script&gt;x&lt;/script&gt; \| \[a\](b) # c"
    assert _fence("a ```` b") == "`````"
    assert _fence("name = 'x'") == "```"
