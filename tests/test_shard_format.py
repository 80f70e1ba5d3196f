"""The written specification in shards/README.md, byte for byte, and its readers."""

import hashlib
import json
import re
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards import format, pools, records, tables
from shards.hashing import pair, pool_hashes
from shards.writer import Content, write_shard

KEY = "0123456789abcdef0123"
MEMBERS = {"flac": b"f", "jpg": b"jj", "json": b"{}", "mask.png": b"m"}


def contents(members: dict[str, bytes]) -> dict[str, Content]:
    return {extension: Content.of(data) for extension, data in members.items()}


def test_the_example_of_the_specification(tmp_path: Path) -> None:
    shard = write_shard(str(tmp_path / "a.tar"), [(KEY, contents(MEMBERS))])
    written = (tmp_path / "a.tar").read_bytes()

    header = bytearray(512)
    header[0:25] = b"0123456789abcdef0123.flac"
    header[100:124] = b"0000644.0000000.0000000.".replace(b".", b"\0")
    header[124:148] = b"00000000001.00000000000.".replace(b".", b"\0")
    header[148:156] = b"012552\0 "
    header[156:157] = b"0"
    header[257:265] = b"ustar\x0000"
    header[329:345] = b"0000000.0000000.".replace(b".", b"\0")
    assert written[:512] == bytes(header)
    assert written[512:1024] == b"f" + bytes(511)
    assert written[-1024:] == bytes(1024)
    assert len(written) == shard.bytes == 5120
    told = re.search(r"sha256 is `([0-9a-f]{64})`", Path("shards/README.md").read_text())
    assert told is not None
    assert hashlib.sha256(written).hexdigest() == shard.sha256 == told.group(1)


@given(
    st.dictionaries(
        st.from_regex(r"[0-9a-f]{20}", fullmatch=True), st.binary(max_size=1500), min_size=1, max_size=8
    )
)
def test_tarfile_reads_what_was_written_at_the_offsets_told(
    tmp_path_factory: pytest.TempPathFactory, data: dict
) -> None:
    path = tmp_path_factory.mktemp("shard") / "a.tar"
    shard = write_shard(
        str(path), [(key, contents({"jpg": data[key], "json": b"{}"})) for key in sorted(data)]
    )
    raw = path.read_bytes()
    with tarfile.open(path) as tar:
        assert tar.getnames() == [
            f"{key}.{extension}" for key in sorted(data) for extension in ("jpg", "json")
        ]
        for key in data:
            member, told = tar.getmember(f"{key}.jpg"), shard.members[key]["jpg"]
            assert (member.offset_data, member.size) == (told.offset, told.size)
            assert raw[told.offset : told.offset + told.size] == data[key]
            assert told.sha256 == hashlib.sha256(data[key]).hexdigest()


def test_webdataset_reads_a_shard(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    write_shard(str(tmp_path / "a.tar"), [(KEY, contents(MEMBERS))])
    (sample,) = webdataset.WebDataset(str(tmp_path / "a.tar"), shardshuffle=False, empty_check=False)
    assert sample["__key__"] == KEY
    assert {name: sample[name] for name in MEMBERS} == MEMBERS


def test_keys_must_ascend_and_nothing_is_left_behind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keys ascend"):
        write_shard(str(tmp_path / "a.tar"), [("b", contents(MEMBERS)), ("a", contents(MEMBERS))])
    assert list(tmp_path.iterdir()) == []


def test_names_and_sizes_that_ustar_cannot_hold() -> None:
    with pytest.raises(ValueError, match="100 bytes"):
        format.tar_header("x" * 101, 1)
    with pytest.raises(ValueError, match="8 GiB"):
        format.tar_header("x", 8**11)


def test_key_is_the_head_of_a_sha256() -> None:
    sample_id = format.sample_id("lvis:73", "dog")
    assert sample_id == "lvis:73|dog"
    assert format.key_of(sample_id) == hashlib.sha256(b"lvis:73|dog").hexdigest()[:20]
    assert format.sample_id("lvis:73", "dog", "lvis:9") == "lvis:73|dog|lvis:9"


@given(st.integers(1, 70), st.lists(st.from_regex(r"[0-9a-f]{20}", fullmatch=True), max_size=50))
def test_one_shard_more_divides_one_shard(shards: int, keys: list[str]) -> None:
    for key in keys:
        before, after = format.shard_index(key, shards), format.shard_index(key, shards + 1)
        assert 0 <= before < shards
        assert after in (before, shards)
    moved = {format.shard_index(key, shards) for key in keys if format.shard_index(key, shards + 1) == shards}
    assert len(moved) <= 1


def test_shards_are_filled_evenly_within_a_factor_of_two() -> None:
    keys = [format.key_of(str(number)) for number in range(20_000)]
    for shards in (1, 7, 8, 20):
        sizes = [0] * shards
        for key in keys:
            sizes[format.shard_index(key, shards)] += 1
        assert max(sizes) < 2.4 * len(keys) / shards
        assert min(sizes) > 0.4 * len(keys) / shards


def test_json_has_one_form() -> None:
    record = {"b": [1, 2.5], "a": "é", "c": None}
    assert format.json_bytes(record) == '{"a":"é","b":[1,2.5],"c":null}'.encode()
    assert json.loads(format.json_bytes(record)) == record
    with pytest.raises(ValueError, match="not JSON compliant"):
        format.json_bytes({"a": float("nan")})


def test_the_specification_names_every_field_and_column() -> None:
    text = Path("shards/README.md").read_text()
    assert f"# The shard format, version {format.FORMAT_VERSION}\n" in text
    rows = dict(re.findall(r"^\| (`image`|`mask`|`audio`|`pairing`) \| (.*) \|$", text, re.MULTILINE))
    for name, kind in (("image", records.Image), ("mask", records.Mask), ("audio", records.Audio)):
        assert set(re.findall(r"`(\w+)`", rows[f"`{name}`"])) == set(kind.__struct_fields__), name
    (label,) = re.findall(r"^\| `image.labels` .*? \| (.*) \|$", text, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", label)) == set(records.Label.__struct_fields__)
    for name, kind in (
        ("sources", records.Source),
        ("sound", records.Sound),
        ("sources.instances", records.Instance),
    ):
        (row,) = re.findall(rf"^\| `{name}` \| (.*) \|$", text, re.MULTILINE)
        assert set(re.findall(r"`(\w+)`", row)) - {"targets", "instances"} == set(kind.__struct_fields__) - {
            "instances"
        }
    for name, schema in tables.schemas(targets=format.TARGETS).items():
        section = (
            text.split(f"\n## {name}\n")[1]
            .split("\n## ")[0]
            .replace("bbox_x/y/w/h", "bbox_x bbox_y bbox_w bbox_h")
        )
        told = set(re.findall(r"\w+", section))
        for column in schema.names:
            member = re.fullmatch(r"(flac|jpg|json|mask_png|classes_png)(_offset|_size|_sha256)", column)
            assert column in told or (member and set(member.groups()) <= told), column


LABEL = records.Label(
    "vggsound", "dog barking", "dog", "", "same", "somebody", "2026-01-02", "dog barking", "dog"
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.builds(records.ClipRecord, id=texts, key=texts, video_id=texts, label=st.just(LABEL), split=texts,
                 start_s=st.floats(0, 1e6), duration_s=st.floats(0, 10), official_split=texts, sha256=texts,
                 categories=st.lists(texts, min_size=1).map(tuple)))  # fmt: skip
def test_records_are_read_as_they_were_written(record: records.ClipRecord) -> None:
    content = records.encode(record)
    assert records.decode(content, records.ClipRecord) == record
    assert json.loads(content)["start_s"] == record.start_s
    row = records.row(record, "pool/pool-000000.tar", {})
    assert (row["clip_id"], row["label"], row["licence"]) == (record.id, "dog barking", None)
    for damaged in (content[:-1], content + b" ", content.replace(b'"split"', b'"spilt"'), b"{}", b""):
        with pytest.raises(records.RecordError, match="json: "):
            records.decode(damaged, records.ClipRecord)


@given(
    st.lists(
        st.tuples(st.sampled_from(["train", "test"]), st.sets(st.sampled_from("abc"), min_size=1)),
        max_size=12,
    ),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_pools_are_the_clips_of_split_and_category(
    clips: list[tuple[str, set[str]]], seed: int, epoch: int
) -> None:
    """Against a plain loop, whatever the order of the table."""
    rows = [
        {"clip_id": f"clip{number * 7 % 12:02d}", "split": split, "categories": sorted(names)}
        for number, (split, names) in enumerate(clips)
    ]
    schema = pa.schema({"clip_id": pa.string(), "split": pa.string(), "categories": pa.list_(pa.string())})
    found = pools.Pools(pa.Table.from_pylist(rows, schema=schema))
    for split in ("train", "test", "val"):
        for category in "abc":
            ids = sorted(
                row["clip_id"] for row in rows if row["split"] == split and category in row["categories"]
            )
            assert found.of(split, category) == ids
            drawn = found.draw(seed, epoch, "sample", split, category)
            assert (drawn is None) == (not ids)
            if drawn is not None:
                assert found.ids[drawn] == ids[pair(seed, epoch, "sample", pool_hashes(ids))]
                assert found.clips["clip_id"][drawn].as_py() == found.ids[drawn]
