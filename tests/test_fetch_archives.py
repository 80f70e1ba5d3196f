"""Media out of folders and archives: who gets what from where, what is wrong in an archive, kills."""

import gzip
import hashlib
import io
import os
import random
import signal
import stat
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

import local_site
import media
import pytest
import s3_server
from hub_server import HubServer
from test_processes import alive, workers_of

from pipelines.fetch import options
from pipelines.fetch.items import Item, Kind
from pipelines.fetch.ledger import Attempt, Ledger
from pipelines.fetch.places import PlaceError
from pipelines.fetch.run import Fetch
from pipelines.fetch.store import Store
from pipelines.recipes.recipe import RecipeError
from shards.sound import decoder

FOLDER = "scratch/shared/beegfs/hchen/train_data/VGGSound_final/video"
IDS = [f"-{n:010d}" for n in range(8)]  # as many of YouTube's, they begin with a dash
FAST = {"stall_s": 1.0, "youtube": {"videos_per_hour": 360_000.0, "burst": 100}}


@pytest.fixture(scope="module")
def videos() -> dict[str, bytes]:
    """Clip name -> its video."""
    return {
        f"{one}_{n:06d}": media.encoded(media.sound(2.0, 16_000, n), 16_000, "aac", "mp4", video=n < 2)
        for n, one in enumerate(IDS)
    }


def clip(name: str, address: str = "") -> Item:
    url = f"{address}/{name}.wav" if address else "http://127.0.0.1:1/"
    return Item(f"vggsound:{name}", Kind.CLIP, url, f"vggsound/clips/{name}.flac", ("dog",))


def packed(path: Path, members: Mapping[str, bytes], mode: str = "w:gz") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def in_folder(videos: Mapping[str, bytes], *numbers: int) -> dict[str, bytes]:
    names = list(videos)
    return {f"{FOLDER}/{names[n]}.mp4": videos[names[n]] for n in numbers}


def fetched(
    corpora: Path, items: list[Item], media: object, workers: int = 1, **more: object
) -> dict[str, Attempt]:
    settings = options.parse({**FAST, "media": media, **more})
    with Ledger(str(corpora)) as ledger:
        Fetch(str(corpora), settings, ledger, workers=workers).items(items)
        return ledger.latest()


def stored(corpora: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(corpora.rglob("*"))
        if path.is_file() and "_fetch" not in path.parts
    }


def test_each_place_is_asked_for_what_those_before_did_not_have(videos, tmp_path) -> None:
    names = list(videos)
    loose = tmp_path / "loose" / "deep"
    loose.mkdir(parents=True)
    (loose / f"{names[0]}.mp4").write_bytes(videos[names[0]])
    media.record(loose / f"{IDS[1]}_1000_11000.wav", media.sound(2.0, 16_000, 1), 16_000, "pcm_s16le")
    packed(tmp_path / "loose" / "more.tar", in_folder(videos, 0, 2), "w")
    packed(tmp_path / "tars" / "vggsound_00.tar.gz", {**in_folder(videos, 3, 3), "notes.txt": b"no media"})
    packed(tmp_path / "tars" / "vggsound_01.tar.gz", in_folder(videos, 4))
    with zipfile.ZipFile(tmp_path / "five.zip", "w") as archive:
        archive.writestr(f"{names[5]}.mp4", videos[names[5]])
    (tmp_path / "site").mkdir()
    media.record(tmp_path / "site" / f"{names[6]}.wav", media.sound(2.0, 16_000, 6), 16_000, "pcm_s16le")
    wanted = [str(tmp_path / "loose"), str(tmp_path / "tars" / "vggsound_{00..01}.tar.gz"), "../five.zip"]
    with local_site.start(tmp_path / "site") as address:
        items = [clip(name, address) for name in names]
        latest = fetched(tmp_path / "corpora", items, {"vggsound": [*wanted, "web"]})
        asked = local_site.stats(address)["requests"]
    for n, part in enumerate(
        (
            f"from loose: deep/{names[0]}.mp4",
            f"from loose: deep/{IDS[1]}_1000_11000.wav",
            f"from more.tar: {FOLDER}/{names[2]}.mp4",
            f"from vggsound_00.tar.gz: {FOLDER}/{names[3]}.mp4",
            f"from vggsound_01.tar.gz: {FOLDER}/{names[4]}.mp4",
            f"from five.zip: {names[5]}.mp4",
        )
    ):
        row = latest[f"vggsound:{names[n]}"]
        assert row.ok
        assert part in row.detail
    assert set(asked) == {f"/{names[6]}.wav", f"/{names[7]}.wav"}
    assert latest[f"vggsound:{names[6]}"].ok
    assert latest[f"vggsound:{names[7]}"].cause == "not_found"
    for name in names[2:6]:  # the sound alone, by the decoder and the rules of the build
        samples = decoder.decode(str(tmp_path / "corpora" / "vggsound" / "clips" / f"{name}.flac"))
        assert abs(samples - decoder.decode(io.BytesIO(videos[name]))).max() <= 1 / 32768
    rows = {name.rpartition("/")[2]: row for name, row in latest.items() if name.startswith("archive:")}
    assert rows["more.tar"].detail == "1 not wanted, 1 taken"
    assert rows["vggsound_00.tar.gz"].detail == "1 not wanted, 1 taken"
    left = [path.name for path in (tmp_path / "corpora").rglob("*") if path.is_file()]
    assert not [name for name in left if "tar" in name or name.endswith((".mp4", ".tmp", ".part"))]


def test_a_second_run_reads_nothing_and_another_category_only_what_may_have_it(videos, tmp_path) -> None:
    names = list(videos)
    packed(tmp_path / "a.tar.gz", in_folder(videos, 0, 1))
    packed(tmp_path / "b.tar.gz", in_folder(videos, 2))
    media = {"vggsound": [str(tmp_path / "*.tar.gz")]}
    corpora = tmp_path / "corpora"
    rows: list[int] = []
    for count in (1, 1, 2, 5):  # of clips that are wanted
        fetched(corpora, [clip(name) for name in names[:count]], media)
        with Ledger(str(corpora)) as ledger:
            rows.append(len(ledger.rows()))
            latest = ledger.latest()
    assert rows[0] == 2 + 1  # the clip, the archive it is in, and the other, which was not looked into
    assert rows[1] == rows[0]
    assert latest[f"archive:vggsound {tmp_path}/a.tar.gz"].attempt == 2
    assert latest[f"archive:vggsound {tmp_path}/b.tar.gz"].attempt == 3
    assert latest[f"vggsound:{names[2]}"].ok
    assert latest[f"vggsound:{names[4]}"].cause == "no_source"
    before = rows[-1]
    fetched(corpora, [clip(name) for name in names[:5]], media)
    with Ledger(str(corpora)) as ledger:
        assert len(ledger.rows()) == before  # both were read and are the same
    packed(tmp_path / "b.tar.gz", in_folder(videos, 4))
    assert fetched(corpora, [clip(name) for name in names[:5]], media)[f"vggsound:{names[4]}"].ok


def test_what_can_be_read_of_a_corrupt_archive_is_kept(videos, tmp_path) -> None:
    """Cut, a byte of the compressed stream changed, a header destroyed: the rest is left to the next place."""
    names = list(videos)
    whole = packed(tmp_path / "whole.tar", in_folder(videos, *range(6)), "w").read_bytes()
    cut = len(whole) // 2
    (tmp_path / "cut.tar").write_bytes(whole[:cut])
    (tmp_path / "cut.tar.gz").write_bytes(gzip.compress(whole)[:cut])
    packed_bytes = bytearray(gzip.compress(whole))
    packed_bytes[cut : cut + 64] = b"\xff" * 64
    (tmp_path / "changed.tar.gz").write_bytes(packed_bytes)
    third = whole.index(names[3].encode())
    (tmp_path / "header.tar").write_bytes(whole[:third] + b"?" + whole[third + 1 :])
    packed(tmp_path / "good.tar.gz", in_folder(videos, *range(6)))
    zipped = bytearray(gzip.compress(whole))
    zipped[-8] ^= 1  # of its checksum
    (tmp_path / "sum.tar.gz").write_bytes(zipped)
    (tmp_path / "page.tar").write_bytes(b"<html>not here</html>" * 100)
    for name in ("cut.tar", "cut.tar.gz", "changed.tar.gz", "header.tar", "page.tar", "sum.tar.gz"):
        corpora = tmp_path / name.replace(".", "_")
        items = [clip(one) for one in names[:6]]
        first = fetched(corpora, items, {"vggsound": [str(tmp_path / name)]})
        archive = first[f"archive:vggsound {tmp_path / name}"]
        assert (archive.cause, archive.permanent) == ("archive_corrupt", True)
        assert ("from byte " if name != "sum.tar.gz" else "does not match its checksum") in archive.detail
        got = [n for n in range(6) if first[f"vggsound:{names[n]}"].ok]
        nothing = ("page.tar", "sum.tar.gz")
        assert got == {"header.tar": [0, 1, 2, 4, 5]}.get(name, [] if name in nothing else got)
        assert got or name in nothing
        assert len(stored(corpora)) == len(got)
        assert len(got) < 6
        lost = {first[f"vggsound:{one}"].cause for one in names[:6]} - {"ok"}
        assert lost == {"no_source"}
        both = [str(tmp_path / name), str(tmp_path / "good.tar.gz")]
        then = fetched(corpora, items, {"vggsound": both})
        assert all(then[item.name].ok for item in items)
        assert then[archive.item].attempt == 1  # it is not read again
    with zipfile.ZipFile(tmp_path / "cut.zip", "w") as archive:
        archive.writestr(f"{names[0]}.mp4", videos[names[0]])
    (tmp_path / "cut.zip").write_bytes((tmp_path / "cut.zip").read_bytes()[:-40])
    latest = fetched(tmp_path / "zip", [clip(names[0])], {"vggsound": ["../cut.zip"]})
    assert latest[f"archive:vggsound {tmp_path}/zip/../cut.zip"].cause == "archive_corrupt"


def damaged(content: bytes, chance: random.Random) -> bytes:
    at, count = chance.randrange(len(content)), chance.choice([1, 16, 600, 5000])
    head, tail = content[:at], content[at + count :]
    return chance.choice(
        [
            head + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :],
            head,
            head + bytes(len(content) - at - len(tail)) + tail,
            head + chance.randbytes(len(content) - at - len(tail)) + tail,
            head + chance.randbytes(count) + content[at:],
        ]
    )


@pytest.mark.parametrize("count", [8, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip", "a.tar"])
def test_damaged_anywhere_an_archive_gives_what_is_right_or_nothing(videos, tmp_path, name, count) -> None:
    """Flipped bits, cut, zeroed, overwritten, moved. A plain tar has no checksums: there every item has its end."""
    names, archive = list(videos)[:4], tmp_path / name
    if name == "a.zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
            for one in names:
                zipped.writestr(f"{one}.mp4", videos[one])
    else:
        packed(archive, in_folder(videos, *range(4)), "w:gz" if name.endswith("gz") else "w")
    items, whole = [clip(one) for one in names], archive.read_bytes()
    fetched(tmp_path / "whole", items, {"vggsound": [str(archive)]})
    truth = stored(tmp_path / "whole")
    assert len(truth) == 4
    chance = random.Random(name)
    for number in range(count):
        archive.write_bytes(damaged(whole, chance))
        latest = fetched(tmp_path / str(number), items, {"vggsound": [str(archive)]})
        assert {latest[item.name].cause for item in items} <= {
            "ok",
            "no_source",
            "too_short",
            "silent",
            "clipped",
        }
        if name != "a.tar":
            assert stored(tmp_path / str(number)).items() <= truth.items()


def test_members_that_are_none_take_nothing_with_them(videos, tmp_path) -> None:
    """Every member has its place in the archive's row, and nothing is written where a member says."""
    names = list(videos)
    path = tmp_path / "hostile.tar.gz"
    with tarfile.open(path, "w:gz") as archive:

        def add(name: str, content: bytes = b"", **more: object) -> None:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in more.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))

        add("/etc/passwd", b"root")
        add(f"../../{names[0]}.mp4", videos[names[0]])  # by its base name: harmless and wanted
        add(f"/abs/{names[1]}.mp4", videos[names[1]])
        add(f"again/{names[1]}.mp4", videos[names[2]])
        add(f"x/{names[2]}.mp4", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(f"x/{names[3]}.mp4", type=tarfile.CHRTYPE, devmajor=1, devminor=5)
        add(f"x/{names[4]}.mp4", b"no sound at all")
        add("x/..", b"x")
        add("x/" + "n" * 300 + ".mp4", b"x")
        add("empty/", type=tarfile.DIRTYPE)
        bomb = tarfile.TarInfo(f"x/{names[5]}.mp4")
        bomb.size = 300_000_000
        with open("/dev/zero", "rb") as zeros:
            archive.addfile(bomb, zeros)
        add(f"x/{names[6]}.mp4", videos[names[6]])
    latest = fetched(tmp_path / "corpora", [clip(name) for name in names], {"vggsound": [str(path)]})
    archive = latest[f"archive:vggsound {path}"]
    assert (
        archive.detail == "1 again, 1 decode_error, 4 not wanted, 3 taken, 1 too_large, 2 unsafe"
    )  # 12 in all
    assert sorted(stored(tmp_path)) == sorted(["hostile.tar.gz", *(f"{names[n]}.flac" for n in (0, 1, 6))])
    assert "a link" in latest[f"vggsound:{names[2]}"].detail
    assert "more than the limit" in latest[f"vggsound:{names[5]}"].detail
    assert {latest[f"vggsound:{names[n]}"].cause for n in (2, 3, 4, 5, 7)} == {"no_source"}

    with zipfile.ZipFile(tmp_path / "hostile.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr(f"../../{names[0]}.mp4", videos[names[0]])
        link = zipfile.ZipInfo(f"{names[1]}.mp4")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(link, "/etc/passwd")
        zipped.writestr(f"x\\{names[2]}.mp4", videos[names[2]])
        zipped.writestr(f"{names[3]}.mp4", bytes(300_000_000))
    latest = fetched(tmp_path / "zip", [clip(name) for name in names], {"vggsound": ["../hostile.zip"]})
    assert (
        latest[f"archive:vggsound {tmp_path}/zip/../hostile.zip"].detail == "2 taken, 1 too_large, 1 unsafe"
    )


def test_a_whole_video_is_no_clip_and_silence_is_not_looked_for_elsewhere(videos, tmp_path) -> None:
    names = list(videos)[:3]
    members = {
        f"{names[0]}.wav": media.encoded(media.sound(70.0, 8_000), 8_000, "pcm_s16le", "wav"),
        f"{names[1]}.wav": media.encoded(0 * media.sound(2.0, 8_000), 8_000, "pcm_s16le", "wav"),
    }
    packed(tmp_path / "a.tar", members, "w")
    packed(tmp_path / "b.tar", {f"{name}.mp4": videos[name] for name in names}, "w")
    latest = fetched(
        tmp_path / "corpora", [clip(name) for name in names], {"vggsound": ["../a.tar", "../b.tar"]}
    )
    assert [latest[f"vggsound:{name}"].cause for name in names] == ["ok", "silent", "ok"]
    with Ledger(str(tmp_path / "corpora")) as ledger:
        assert [row.cause for row in ledger.rows() if row.item == f"vggsound:{names[0]}"] == [
            "too_long",
            "ok",
        ]


def test_a_bare_id_of_audioset_is_no_clip_where_it_may_be_all_of_the_video(tmp_path) -> None:
    folder, corpora = tmp_path / "audio", tmp_path / "corpora" / "audioset"
    folder.mkdir()
    corpora.mkdir(parents=True)
    starts = {IDS[0]: 30, IDS[1]: 30, IDS[2]: 0, IDS[3]: 30}
    rows = [f'{video}, {start}.000, {start + 10}.000, "/m/0bt9lr"\n' for video, start in starts.items()]
    (corpora / "eval_segments.csv").write_text("".join(rows))
    (corpora / "class_labels_indices.csv").write_text("index,mid,display_name\n0,/m/0bt9lr,Dog\n")
    for name, seconds in ((IDS[0], 10), (IDS[1], 12), (IDS[2], 12), (f"Y{IDS[3]}_30", 12)):
        media.record(folder / f"{name}.wav", media.sound(seconds, 16_000, 1), 16_000, "pcm_s16le")
    items = [
        Item(f"audioset:{name}", Kind.CLIP, "", f"audioset/clips/{name}.flac", ("dog",), start_s=float(start))
        for video, start in starts.items()
        for name in [f"{video}_{start:06d}"]
    ]
    latest = fetched(tmp_path / "corpora", items, {"audioset": [str(folder)]})
    told = [latest[item.name] for item in items]
    assert [row.ok for row in told] == [True, False, True, True]
    assert told[1].cause == "no_source"
    assert "longer than 10.5 s" in told[1].detail
    assert "its name tells no start" in told[1].detail


def test_a_stop_is_heeded_inside_an_archive(videos, tmp_path, monkeypatch) -> None:
    """What was under way is finished and written down; nothing is begun after it."""
    packed(tmp_path / "a.tar", in_folder(videos, *range(8)), "w")
    put, begun = Store.put, threading.Event()

    def slow(self: Store, path: str, content: bytes) -> str:
        begun.set()
        stopped.wait(60)
        return put(self, path, content)

    def watch(*_: object) -> None:
        if begun.is_set():
            threading.Timer(0.5, stopped.set).start()
            raise KeyboardInterrupt

    stopped = threading.Event()
    monkeypatch.setattr(Store, "put", slow)
    settings = options.parse({"media": {"vggsound": ["../a.tar"]}})
    with Ledger(str(tmp_path / "corpora")) as ledger:
        fetch = Fetch(str(tmp_path / "corpora"), settings, ledger, watch=watch)
        with pytest.raises(KeyboardInterrupt):
            fetch.items([clip(name) for name in videos])
        for thread in threading.enumerate():
            if thread.name.startswith("fetch-archives"):
                thread.join(60)
                assert not thread.is_alive()
        latest = ledger.latest()
    kept = [name for name, row in latest.items() if row.ok]
    assert 0 < len(kept) == len(stored(tmp_path / "corpora")) < 8
    assert not [name for name in latest if name.startswith("archive:")]


KILLED = """
import os, signal, sys
from pipelines.fetch import options
from pipelines.fetch.items import Item, Kind
from pipelines.fetch.ledger import Ledger
from pipelines.fetch.run import Fetch
from pipelines.fetch.store import Store
from pipelines.recipes.recipe import RecipeError

corpora, place, *names = sys.argv[1:]
put, count = Store.put, 0
def killed(self, path, content):
    global count
    count += 1
    if count > 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return put(self, path, content)
Store.put = killed
with Ledger(corpora, flush_s=0.0) as ledger:
    items = [Item(f"vggsound:{n}", Kind.CLIP, "", f"vggsound/clips/{n}.flac", ("dog",)) for n in names]
    Fetch(corpora, options.parse({"media": {"vggsound": [place]}}), ledger).items(items)
"""


def test_killed_inside_an_archive_it_goes_on_with_that_one(videos, tmp_path) -> None:
    names = list(videos)
    packed(tmp_path / "a.tar.gz", in_folder(videos, 0, 1))
    packed(tmp_path / "b.tar.gz", in_folder(videos, *range(2, 8)))
    place = str(tmp_path / "*.tar.gz")
    words = [sys.executable, "-c", KILLED, str(tmp_path / "killed"), place, *names]
    assert subprocess.run(words, check=False).returncode == -9
    assert len(stored(tmp_path / "killed")) == 4
    latest = fetched(tmp_path / "killed", [clip(name) for name in names], {"vggsound": [place]})
    fetched(tmp_path / "calm", [clip(name) for name in names], {"vggsound": [place]})
    assert stored(tmp_path / "killed") == stored(tmp_path / "calm")
    assert len(stored(tmp_path / "calm")) == 8
    assert latest[f"archive:vggsound {tmp_path}/a.tar.gz"].attempt == 1
    assert latest[f"archive:vggsound {tmp_path}/b.tar.gz"].ok


def test_two_processes_keep_what_one_keeps(videos, tmp_path) -> None:
    names = list(videos)
    members = in_folder(videos, 0, 1, 2, 3, 3)
    silent = media.encoded(0 * media.sound(2.0, 8_000), 8_000, "pcm_s16le", "wav")
    members |= {f"{FOLDER}/{names[4]}.wav": silent, f"{FOLDER}/{names[5]}.mp4": videos[names[5]][:4000]}
    packed(tmp_path / "a.tar.gz", members)
    loose = tmp_path / "loose"
    loose.mkdir()
    for n in (5, 6):
        (loose / f"{names[n]}.mp4").write_bytes(videos[names[n]])
    rows = {}
    for workers in (1, 2):
        corpora = tmp_path / str(workers)
        fetched(corpora, [clip(name) for name in names], {"vggsound": ["../a.tar.gz", "../loose"]}, workers)
        with Ledger(str(corpora)) as ledger:
            rows[workers] = [
                (row.item, row.cause, row.detail, row.bytes, row.sha256) for row in ledger.rows()
            ]
    assert stored(tmp_path / "1") == stored(tmp_path / "2")
    assert rows[1] == [
        tuple(str(value).replace("/2/", "/1/") if n == 0 else value for n, value in enumerate(row))
        for row in rows[2]
    ]
    assert len(stored(tmp_path / "1")) == 6
    assert {row[1] for row in rows[1]} >= {"ok", "silent", "no_source"}


GATED = """
import os, sys, time
from pipelines.fetch import options, taking
from pipelines.fetch.items import Item, Kind
from pipelines.fetch.ledger import Ledger
from pipelines.fetch.run import Fetch

corpora, place, gate, *names = sys.argv[1:]
real, count, parent = taking.Wanted.longest_s, 0, os.getppid()
def gated(self, item, member):
    global count
    count += 1
    while count > 4 and not os.path.exists(gate) and os.getppid() == parent:  # a test that is ended leaves nothing
        time.sleep(0.01)
    return real(self, item, member)
if __name__ == "__main__":
    taking.Wanted.longest_s = gated
    with Ledger(corpora) as ledger:
        items = [Item(f"vggsound:{n}", Kind.CLIP, "", f"vggsound/clips/{n}.flac", ("dog",)) for n in names]
        Fetch(corpora, options.parse({"media": {"vggsound": [place]}}), ledger, workers=2).items(items)
"""


@pytest.mark.parametrize("who", [pytest.param("a worker", marks=pytest.mark.slow), "the command"])
def test_whoever_is_killed_nothing_stays_behind_and_nothing_is_lost(who, videos, tmp_path) -> None:
    names = list(videos)
    place, gate, corpora = (
        packed(tmp_path / "a.tar", in_folder(videos, *range(8)), "w"),
        tmp_path / "gate",
        tmp_path / "k",
    )
    (tmp_path / "gated.py").write_text(GATED)
    words = [sys.executable, str(tmp_path / "gated.py"), str(corpora), str(place), str(gate), *names]
    command = subprocess.Popen(
        words, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.getcwd()}
    )
    workers: set[int] = set()
    while len(list(corpora.glob("vggsound/clips/*.flac"))) < 4:
        assert command.poll() is None
        workers |= workers_of(command.pid)
        time.sleep(0.02)
    assert len(workers) == 2
    if who == "a worker":
        os.kill(min(workers), signal.SIGKILL)
        gate.touch()
        assert "WorkerLost: a worker process was ended from outside" in command.communicate()[1]
        assert command.returncode == 1
    else:
        command.kill()
        command.communicate()
    while any(map(alive, workers)):
        time.sleep(0.05)
    fetched(corpora, [clip(name) for name in names], {"vggsound": [str(place)]})
    fetched(tmp_path / "calm", [clip(name) for name in names], {"vggsound": [str(place)]})
    assert stored(corpora) == stored(tmp_path / "calm")
    assert len(stored(corpora)) == 8


def test_over_the_web_nothing_is_lost_where_one_request_in_ten_fails(videos, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("pipelines.fetch.files.BLOCK", 4096)
    names = list(videos)
    packed(tmp_path / "site" / "v_00.tar.gz", in_folder(videos, 0, 1, 2, 3))
    packed(tmp_path / "site" / "v_01.tar", in_folder(videos, 4, 5, 6, 7), "w")
    rates = {"once_503": 0.06, "once_truncated": 0.06}
    with local_site.start(tmp_path / "site", rates=rates, by_range=True) as address:
        media = {"vggsound": [f"{address}/v_{{00..00}}.tar.gz", f"{address}/v_01.tar"]}
        latest = fetched(tmp_path / "corpora", [clip(name) for name in names], media)
        stats = local_site.stats(address)
    assert all(row.ok for row in latest.values())
    blocks = sum(-(-path.stat().st_size // 4096) for path in (tmp_path / "site").iterdir())
    assert sum(stats["requests"].values()) > blocks * 1.05  # some failed
    fetched(tmp_path / "local", [clip(name) for name in names], {"vggsound": ["../site/*"]})
    assert stored(tmp_path / "corpora") == stored(tmp_path / "local")


def test_a_server_without_ranges_pours_its_archives_out(videos, tmp_path) -> None:
    names = list(videos)
    packed(tmp_path / "site" / "v.tar.gz", in_folder(videos, 0, 1))
    with zipfile.ZipFile(tmp_path / "site" / "v.zip", "w") as archive:
        archive.writestr(f"{names[2]}.mp4", videos[names[2]])
    with local_site.start(tmp_path / "site", no_ranges=True) as address:
        wanted = [f"{address}/v.tar.gz", f"{address}/v.zip"]
        latest = fetched(tmp_path / "corpora", [clip(name) for name in names[:3]], {"vggsound": wanted})
    assert all(row.ok for row in latest.values())
    assert not list((tmp_path / "corpora" / "_fetch" / "parts").iterdir())


def test_an_archive_that_changes_while_it_is_read_gives_nothing(videos, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("pipelines.fetch.files.BLOCK", 4096)
    monkeypatch.setattr("pipelines.fetch.causes.RULES", {})  # no second try
    packed(tmp_path / "site" / "v.tar", in_folder(videos, 0, 1, 2), "w")
    items = [clip(name) for name in list(videos)[:3]]
    with local_site.start(tmp_path / "site", changes=8) as address:
        place = f"{address}/v.tar"
        latest = fetched(tmp_path / "corpora", items, {"vggsound": [place]})
    assert latest[f"archive:vggsound {place}"].cause == "archive_changed"
    assert stored(tmp_path / "corpora") == {}

    local = packed(tmp_path / "local.tar", in_folder(videos, 0, 1, 2), "w")
    put = Store.put

    def touched(self: object, path: str, content: bytes) -> str:
        os.utime(local)
        return put(self, path, content)

    monkeypatch.setattr(Store, "put", touched)
    latest = fetched(tmp_path / "here", items, {"vggsound": [str(local)]})
    assert latest[f"archive:vggsound {local}"].cause == "archive_changed"
    assert stored(tmp_path / "here") == {}


def test_archives_at_the_hub_are_read_with_its_own_client(videos, tmp_path, hub: HubServer) -> None:
    archives = {
        f"vggsound_{n:02d}.tar.gz": packed(tmp_path / f"{n}.tar.gz", in_folder(videos, n)).read_bytes()
        for n in range(2)
    }
    hub.add("loie/vggsound", archives)
    place = "hf://datasets/loie/vggsound/vggsound_*.tar.gz"
    names = list(videos)[:2]
    latest = fetched(tmp_path / "corpora", [clip(name) for name in names], {"vggsound": [place]})
    assert all(row.ok for row in latest.values())
    assert "archive:vggsound hf://datasets/loie/vggsound/vggsound_01.tar.gz" in latest
    with pytest.raises(PlaceError, match=r"names hf://datasets/loie/other"):
        fetched(tmp_path, [clip(names[0])], {"vggsound": ["hf://datasets/loie/other/*.tar"]})


@s3_server.needed
def test_archives_in_a_bucket(videos, tmp_path, s3: s3_server.S3Server) -> None:
    import s3fs

    client = s3fs.S3FileSystem()
    packed(tmp_path / "0.tar.gz", in_folder(videos, 0))
    client.put(str(tmp_path / "0.tar.gz"), f"{s3_server.BUCKET}/clips/0.tar.gz")
    media.record(tmp_path / "1.wav", media.sound(2.0, 8_000), 8_000, "pcm_s16le")
    names = list(videos)[:2]
    client.put(str(tmp_path / "1.wav"), f"{s3_server.BUCKET}/clips/{names[1]}.wav")
    place = f"s3://{s3_server.BUCKET}/clips"
    latest = fetched(tmp_path / "corpora", [clip(name) for name in names], {"vggsound": [place]})
    assert all(row.ok for row in latest.values())
    assert f"archive:vggsound s3://{s3_server.BUCKET}/clips/0.tar.gz" in latest


def test_photos_and_masks_come_out_of_local_zips_and_tars(tmp_path) -> None:
    """Names as the corpora have them; masks and photos of one corpus may lie in the same archive."""
    photos = {n: media.photo(n) for n in range(4)}
    with zipfile.ZipFile(tmp_path / "train2017.zip", "w") as archive:
        for n in (0, 1):
            archive.writestr(f"train2017/{n:012d}.jpg", photos[n])
        archive.writestr(f"train2017/{7:012d}.jpg", b"\xff\xd8\xff no photo")
    packed(tmp_path / "train_a.tar.gz", {"train_a/a2.jpg": photos[2], "train_a/._a2.jpg": b"x"})
    packed(tmp_path / "masks.tar", {"a2_m0dog_1.png": media.mask(2), "a3_m0dog_1.png": media.mask(3)}, "w")
    items = [
        *(
            Item(f"coco:{n}", Kind.PHOTO, "", f"coco/train2017/{n:012d}.jpg", ("dog",), f"coco:{n}")
            for n in (0, 1, 7)
        ),
        Item("open_images:a2", Kind.PHOTO, "", "open_images/images/a2.jpg", ("dog",)),
        Item("open_images:a2_m0dog_1", Kind.MASK, "", "open_images/masks/a2_m0dog_1.png", ("dog",)),
    ]
    wanted = {"coco": ["../train2017.zip"], "open_images": ["../train_*.tar.gz", "../masks.tar"]}
    latest = fetched(tmp_path / "corpora", items, wanted)
    for path, content in {
        "coco/train2017/000000000000.jpg": photos[0],
        "coco/train2017/000000000001.jpg": photos[1],
        "open_images/images/a2.jpg": photos[2],
        "open_images/masks/a2_m0dog_1.png": media.mask(2),
    }.items():
        assert (tmp_path / "corpora" / path).read_bytes() == content
    assert len(stored(tmp_path / "corpora")) == 4
    assert latest["coco:7"].cause == "no_source"
    assert "decode_error in train2017.zip" in latest["coco:7"].detail


def test_a_place_is_told_wrong_before_anything_is_read(tmp_path) -> None:
    for media_, fault in (
        ({"vggsound": "one.tar"}, "takes a list of texts"),
        ({"vggsound": ["web", "a.tar"]}, "is what is asked last"),
        ({"imagenet": ["a.tar"]}, "no corpus of that name"),
        ({"esc50": ["a.zip", "web"]}, "leave out 'web'"),
        ({"vggsound": ["ftp://host/a.tar"]}, "http, https, s3, gs or hf"),
        ({"vggsound": ["https://me:secret@host/a.tar"]}, "no credentials"),
    ):
        with pytest.raises(RecipeError, match=fault):
            options.parse({"media": media_})
    with pytest.raises(PlaceError, match=r"names nothing\.tar, but .*nothing\.tar is not there"):
        fetched(tmp_path, [clip("a_000001")], {"vggsound": ["nothing.tar"]})
    changed = options.with_media(options.parse({}), ["vggsound=a.tar", "vggsound=web"])
    assert changed.places("vggsound") == (str(Path("a.tar").absolute()), "web")
    assert changed.places("lvis") == ("web",)
    with pytest.raises(RecipeError, match="write CORPUS=PLACE"):
        options.with_media(changed, ["a.tar"])


def test_what_is_no_archive_is_told_and_a_name_may_have_brackets(videos, tmp_path) -> None:
    names = list(videos)
    place = tmp_path / "videos [1]"
    packed(place / "a.tar", in_folder(videos, 0), "w")
    (place / "b.tar.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(range(256)) * 40)
    latest = fetched(tmp_path / "corpora", [clip(name) for name in names[:2]], {"vggsound": [str(place)]})
    assert latest[f"vggsound:{names[0]}"].cause == "ok"
    assert latest[f"vggsound:{names[1]}"].cause == "no_source"
    other = latest[f"archive:vggsound {place}/b.tar.zst"]
    assert (other.cause, other.permanent) == ("archive_corrupt", True)
    assert "no zip, and no tar" in other.detail
