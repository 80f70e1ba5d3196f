"""Zips by range: what is fetched of them, against a plain count of the bytes; through failing servers, in parts."""

import io
import json
import struct
import zipfile
from pathlib import Path

import local_site
import media
import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from pipelines.build.index import index
from pipelines.cli import main
from pipelines.fetch import options, zips
from pipelines.fetch.files import File, open_file
from pipelines.fetch.http import Client
from pipelines.fetch.items import Item, Kind
from pipelines.fetch.ledger import Attempt, Ledger
from pipelines.fetch.run import Fetch
from shards.sound import decoder

COUNT = 400
FURTHER = {  # files of FSD50K's metadata that generated corpora have not
    "metadata": [
        "collection/collection_dev.csv", "collection/collection_eval.csv",
        "collection/vocabulary_collection_dev.csv", "collection/vocabulary_collection_eval.csv",
    ],
}  # fmt: skip
PNG = {
    f"a{n:05d}.png": media.mask(n, 8) + bytes(3000 + n % 7) for n in range(COUNT)
}  # a PNG may be followed by more


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("masks")
    with zipfile.ZipFile(folder / "masks-a.zip", "w") as archive:
        for name, content in PNG.items():
            archive.writestr(name, content)
    return folder


def fetched(corpora: Path, address: str, numbers: list[int]) -> dict[str, Attempt]:
    items = [
        Item(f"open_images:{name[:-4]}", Kind.MASK, f"{address}/masks-a.zip", f"open_images/masks/{name}")
        for name in (f"a{n:05d}.png" for n in numbers)
    ]
    with Ledger(str(corpora)) as ledger:
        Fetch(str(corpora), options.parse({}), ledger).items(items)
        return ledger.latest()


def cheapest(path: Path, numbers: list[int], gap: int) -> tuple[int, int]:
    """Requests and bytes for the members, read off the file itself: neighbours join over at most `gap` bytes."""
    with zipfile.ZipFile(path) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        starts = [*sorted(info.header_offset for info in infos.values()), archive.start_dir]
    spans = []
    for n in numbers:
        start = infos[f"a{n:05d}.png"].header_offset
        stop = starts[starts.index(start) + 1]
        if spans and start - spans[-1][1] <= gap:
            spans[-1][1] = stop
        else:
            spans.append([start, stop])
    return len(spans), sum(stop - start for start, stop in spans)


@pytest.mark.parametrize("numbers", [[7], [3, 4, 5, 390], list(range(0, COUNT, 90)), list(range(COUNT))])
def test_only_what_is_needed_is_fetched_neighbours_in_one_request(site, tmp_path, numbers) -> None:
    size = (site / "masks-a.zip").stat().st_size
    with local_site.start(site) as address:
        latest = fetched(tmp_path, address, numbers)
        stats = local_site.stats(address)
    for n in numbers:
        assert (tmp_path / f"open_images/masks/a{n:05d}.png").read_bytes() == PNG[f"a{n:05d}.png"]
    requests, needed = cheapest(site / "masks-a.zip", numbers, zips.GAP)
    tail = 1 << 16  # where the directory is
    sent, asked = stats["bytes"]["/masks-a.zip"], stats["requests"]["/masks-a.zip"]
    assert sent == needed + tail + 1  # and the first byte, which tells the size
    assert asked == requests + 2
    assert latest["archive:masks-a.zip"].detail.endswith(f"{sent - 1} of {size} bytes read")


def test_nothing_is_lost_where_one_request_in_ten_fails_once(site, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(zips, "GAP", 0)
    numbers = list(range(0, COUNT, 2))
    rates = {"once_503": 0.05, "once_truncated": 0.05}
    with local_site.start(site, rates=rates, by_range=True) as address:
        latest = fetched(tmp_path, address, numbers)
        asked = local_site.stats(address)["requests"]["/masks-a.zip"]
    assert all(row.ok for row in latest.values())
    assert asked > 1.05 * len(numbers)  # some failed
    for n in numbers:
        assert (tmp_path / f"open_images/masks/a{n:05d}.png").read_bytes() == PNG[f"a{n:05d}.png"]


def test_a_server_that_ignores_ranges_is_noticed_at_the_first_request(site, tmp_path) -> None:
    with local_site.start(site, no_ranges=True) as address:
        latest = fetched(tmp_path, address, [1, 2])
        asked = local_site.stats(address)["requests"]["/masks-a.zip"]
    size = (site / "masks-a.zip").stat().st_size
    assert latest["open_images:a00001"].ok
    assert latest["archive:masks-a.zip"].detail.endswith(f"{size} of {size} bytes read")
    assert asked == 2  # one that asks for its size and whether it gives ranges, and the whole
    assert not list((tmp_path / "_fetch" / "parts").iterdir())


def test_a_member_that_is_spoiled_or_absent_is_told(site, tmp_path) -> None:
    spoiled = tmp_path / "site"
    spoiled.mkdir()
    content = bytearray((site / "masks-a.zip").read_bytes())
    content[content.index(PNG["a00005.png"]) + 40] ^= 0xFF
    (spoiled / "masks-a.zip").write_bytes(content)
    with local_site.start(spoiled) as address:
        latest = fetched(tmp_path / "corpora", address, [4, 5, 6, COUNT + 1])
    assert latest["open_images:a00004"].ok
    assert latest["open_images:a00005"].cause == "decode_error"
    assert latest["archive:masks-a.zip"].cause == "bad_content"
    assert latest["open_images:a00401"].permanent


def in_parts(folder: Path, content: bytes, count: int, name: str = "clips") -> Path:
    """A zip cut into .z01, .z02 ... .zip as `zip -s` does: places count from the start of each part (APPNOTE 4.4)."""
    at = content.rindex(b"PK\x05\x06")
    end = list(struct.unpack("<4s4H2LH", content[at : at + 22]))
    directory, entries = content[end[6] : end[6] + end[5]], []
    data = content[: end[6]]
    cuts = np.linspace(0, len(data), count + 1).astype(int)
    place = 0
    while place < len(directory):
        lengths = struct.unpack("<3H", directory[place + 28 : place + 34])
        entry = bytearray(directory[place : place + 46 + sum(lengths)])
        (offset,) = struct.unpack("<L", entry[42:46])
        part = int(np.searchsorted(cuts, offset, "right")) - 1
        entry[34:36] = struct.pack("<H", part)
        entry[42:46] = struct.pack("<L", offset - cuts[part])
        entries.append(bytes(entry))
        place += len(entry)
    last = data[cuts[-2] :]
    end[1] = end[2] = count - 1
    end[6] = len(last)
    for number in range(count - 1):
        (folder / f"{name}.z{number + 1:02d}").write_bytes(data[cuts[number] : cuts[number + 1]])
    (folder / f"{name}.zip").write_bytes(last + b"".join(entries) + struct.pack("<4s4H2LH", *end))
    return folder / f"{name}.zip"


@pytest.mark.parametrize("remote", [False, True])
def test_a_zip_in_parts_is_read_as_one(tmp_path, remote) -> None:
    buffer = io.BytesIO()
    sounds = {
        f"{n}.wav": media.encoded(media.sound(1.5, 8_000, n), 8_000, "pcm_s16le", "wav") for n in range(9)
    }
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sounds.items():
            archive.writestr(f"FSD50K.dev_audio/{name}", content)
    path = in_parts(tmp_path, buffer.getvalue(), 4)
    client = Client()
    with local_site.start(tmp_path) as address:

        def part(url: str) -> File:
            return open_file(url, client)

        file = part(f"{address}/clips.zip" if remote else str(path))
        found = zips.zipped(file, lambda name: 10_000_000 * name.endswith(".wav"), lambda done: None, part)
        assert {member.name.rpartition("/")[2]: member.read() for member in found} == sounds


RECIPE = """
name = "sounds"
corpora = ["fsd50k", "esc50"]
[split]
train = 8
val = 1
test = 1
[fetch]
corpora = ["fsd50k", "esc50"]
[fetch.sources]
fsd50k = "{address}/zenodo"
esc50 = "{address}/ESC-50"
esc50_lists = "{address}/raw"
"""


def test_fsd50k_and_esc50_come_out_of_their_own_archives(every_corpus, tmp_path) -> None:
    """Lists, and clips: FSD50K's from zips in parts, ESC-50's from one; each as FLAC beside what is there already."""
    made, site, corpora = Path(every_corpus), tmp_path / "site", tmp_path / "corpora"
    (site / "zenodo").mkdir(parents=True)
    for kind in ("dev_audio", "eval_audio", "ground_truth", "metadata"):
        buffer, below = io.BytesIO(), made / "fsd50k" / f"FSD50K.{kind}"
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(below.rglob("*.*")):
                archive.write(path, path.relative_to(made / "fsd50k"))
            for name in FURTHER.get(kind, ()):
                archive.writestr(
                    f"FSD50K.{kind}/{name}", "fname,labels,mids\n" if "vocabulary" not in name else ""
                )
        if "audio" in kind:
            in_parts(site / "zenodo", buffer.getvalue(), 3, f"FSD50K.{kind}")
        else:
            (site / "zenodo" / f"FSD50K.{kind}.zip").write_bytes(buffer.getvalue())
    (site / "ESC-50" / "archive").mkdir(parents=True)
    with zipfile.ZipFile(site / "ESC-50" / "archive" / "master.zip", "w") as archive:
        for path in sorted((made / "esc50").rglob("*.*")):
            archive.write(path, Path("ESC-50-master") / path.relative_to(made / "esc50"))
    (site / "raw" / "meta").mkdir(parents=True)
    for name in ("meta/esc50.csv", "LICENSE"):
        (site / "raw" / name).write_bytes((made / "esc50" / name).read_bytes())
    own = sorted((made / "esc50" / "audio").iterdir())[0]
    (corpora / "esc50" / "audio").mkdir(parents=True)
    (corpora / "esc50" / "audio" / own.name).write_bytes(own.read_bytes())
    recipe = tmp_path / "recipe.toml"
    with local_site.start(site) as address:
        recipe.write_text(RECIPE.format(address=address))
        words = ["fetch", "run", str(recipe), "--corpora", str(corpora), "--only", "clips", "--json"]
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, result.output
        asked = local_site.stats(address)["requests"]
    assert asked["/zenodo/FSD50K.metadata.zip"] == asked["/zenodo/FSD50K.ground_truth.zip"] == 1
    for corpus in ("fsd50k", "esc50"):
        lines = [row for row in json.loads(result.stdout)["survival"] if row["kind"] == "clip"]
        assert lines
        assert all(row["there"] == row["needed"] for row in lines)
        tables = index(str(corpora), str(tmp_path / corpus), names=(corpus,))
        there = [path for path in pq.read_table(tables.clips)["clip_path"].to_pylist() if path]
        assert {path.rpartition(".")[2] for path in there} <= {"flac", "wav"}
        published = [path.relative_to(made) for path in (made / corpus).rglob("*.wav")]
        assert 3 < len(there) <= len(published)
        for path in there:
            samples = decoder.decode(str(corpora / path))
            truth = decoder.decode(str((made / path).with_suffix(".wav")))
            assert abs(samples - truth).max() <= 1 / 32768
    assert not (corpora / "esc50" / "audio" / f"{own.stem}.flac").exists()
