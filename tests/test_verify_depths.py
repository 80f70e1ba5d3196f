"""What either check of a dataset promises: hashing finds all that has changed, decoding what was wrong before."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from generated_shards import write_dataset
from test_verify import edit_first_sample, edit_members

from pipelines.cli import main
from shards import format, processes
from shards.reader import Dataset
from shards.verify import verify


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_dataset(tmp_path_factory.mktemp("generated"), {"train": 9, "val": 3}, size=48, clips=2)


@pytest.fixture
def copy(generated: str, tmp_path: Path) -> Path:
    shutil.copytree(generated, tmp_path / "copy")
    return tmp_path / "copy"


def found(path: Path, deep: bool) -> str:
    faults = verify(str(path), workers=2, pool=processes.threads, deep=deep)
    return "\n".join(f"{fault.where}: {fault.what}" for fault in faults)


def flipped(at: int) -> Callable[[bytes], bytes]:
    return lambda content: content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def test_every_byte_of_a_shard_counts(copy: Path, generated: str) -> None:
    """One bit in each kind of place: it is found without decoding, and the member that has it is named."""
    row = Dataset(generated).table().to_pylist()[1]
    shard = copy / row["shard"]
    before = shard.read_bytes()
    places = {
        f"{row['key']}.jpg: another name": row["jpg_offset"] - format.BLOCK + 5,
        f"{row['key']}.mask.png: another name": row["mask_png_offset"] - 400,
        f"{row['key']}.flac: padded": row["flac_offset"] + row["flac_size"],
        "does not end with two blocks of zeros": len(before) - 1,
    }
    places |= {
        f"{row['key']}.{name.replace('_', '.')}: {row[f'{name}_size']} bytes, sha256 is not": row[
            f"{name}_offset"
        ]
        + row[f"{name}_size"] // 2
        for name in ("flac", "jpg", "json", "mask_png")
    }
    assert before[places[f"{row['key']}.flac: padded"]] == 0
    for what, at in places.items():
        shard.write_bytes(flipped(at)(before))
        told = found(copy, deep=False)
        assert what in told, told
        assert f"{row['shard']}: {len(before)} bytes, sha256 " in told
    shard.write_bytes(before[:-2000])
    assert found(copy, deep=False).count(row["shard"]) == 3  # where it ends, its size, no end of a tar
    shard.write_bytes(before[: row["jpg_offset"]])
    assert f"{row['shard']}: ends in the middle of {row['key']}; " in found(copy, deep=False)
    shard.write_bytes(before + bytes(512))
    assert f"{row['shard']}: {len(before) + 512} bytes, sha256 not looked at" in found(copy, deep=False)
    shard.write_bytes(before)
    assert found(copy, deep=False) == found(copy, deep=True) == ""


def forge(dataset: Path, extension: str, change: Callable[[bytes], bytes]) -> None:
    """Change a member of the first sample, its record and every hash with it."""

    def both(members: dict[str, bytes]) -> None:
        before, members[extension] = members[extension], change(members[extension])
        hashes = (hashlib.sha256(content).hexdigest().encode() for content in (before, members[extension]))
        members["json"] = members["json"].replace(*hashes)

    edit_first_sample(dataset, both)


FORGED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "a JPEG that ends early": ("jpg", lambda content: content[: len(content) // 2]),
    "a mask that is none": ("mask.png", lambda content: content[:40] + bytes(20) + content[60:]),
    "a FLAC without its frames": ("flac", lambda content: content[:60]),
}


@pytest.mark.parametrize("name", FORGED)
def test_media_that_were_wrong_before_they_were_hashed_are_told_by_decoding(name: str, copy: Path) -> None:
    """The record and every hash agree with the bytes: whoever made the dataset did not look."""
    extension, change = FORGED[name]
    forge(copy, extension, change)
    shallow, deep = found(copy, deep=False), found(copy, deep=True)
    if extension == "flac":  # the pool's record of the clip has another hash than the sample's
        assert shallow.count("\n") == 0
        assert "audio is not what the pool's record" in shallow
    else:
        assert shallow == ""
    assert "does not decode" in deep
    plain = CliRunner().invoke(main, ["verify", str(copy)])
    thorough = CliRunner().invoke(main, ["verify", str(copy), "--deep"])
    assert (plain.exit_code, thorough.exit_code) == (1 if shallow else 0, 1)
    assert "--deep also decodes" in plain.output or shallow


def test_records_are_compared_without_decoding(copy: Path) -> None:
    def change(members: dict[str, dict[str, bytes]]) -> None:
        first = members[sorted(members)[0]]
        first["json"] = first["json"].replace(b'"seed":0', b'"seed":1')

    edit_members(copy, format.SAMPLES, change)
    assert "the manifest's seed is 0" in found(copy, deep=False)


def test_any_number_of_threads_or_processes_tells_the_same_in_the_same_order(copy: Path) -> None:
    for path in copy.rglob("*.tar"):
        content = path.read_bytes()
        path.write_bytes(flipped(len(content) // 2)(content))
    one = verify(str(copy), deep=False)
    assert len(one) >= 2 * len(list(copy.rglob("*.tar")))
    assert one == verify(str(copy), workers=3, pool=processes.threads, deep=False)
    assert one == verify(str(copy), workers=2, deep=False)
