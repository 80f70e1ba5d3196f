"""A fetch as a whole: through a failing network, through kills, in steps, into a bucket."""

import hashlib
import multiprocessing
import os
import random
import time
import uuid
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import local_site
import media
import pyarrow.parquet as pq
import pytest

from pipelines.fetch import downloads, options, report
from pipelines.fetch.causes import Cause
from pipelines.fetch.items import Item, Kind
from pipelines.fetch.ledger import Ledger
from pipelines.fetch.near_duplicates import PHOTO_PAIRS
from pipelines.fetch.run import Fetch, FetchError, locked
from pipelines.fetch.workers import Tally
from shards import processes
from shards.errors import StorageError

COUNT = 300
RATES = {"once_503": 0.10, "once_truncated": 0.10, "stall": 0.02, "gone": 0.01, "retry_after": 0.01}
OPTIONS = {"stall_s": 0.7, "youtube": {"videos_per_hour": 360_000.0, "burst": 100}}


@pytest.fixture(scope="module")
def site_root(tmp_path_factory) -> Path:
    return write_site(tmp_path_factory.mktemp("site"))


def write_site(root: Path) -> Path:
    """Photos, recordings and an archive of masks below `root`."""
    root.mkdir(exist_ok=True)
    for number in range(20):
        (root / f"{number}.jpg").write_bytes(media.photo(number))
    for number in range(3):
        media.record(root / f"{number}.webm", media.sound(12.0, 48_000, number), 48_000, "libopus")
    with zipfile.ZipFile(root / "masks-a.zip", "w") as archive:
        for number in range(30):
            archive.writestr(f"a{number}.png", media.mask(number))
        archive.writestr("bad.png", b"no mask")
    return root


def photos(address: str, count: int = COUNT) -> list[Item]:
    return [
        Item(
            f"lvis:{n}",
            Kind.PHOTO,
            f"{address}/@{n}/{n % 20}.jpg",
            f"lvis/images/{n:05d}.jpg",
            ("dog", "cat")[n % 2 :],
        )
        for n in range(count)
    ]


def clips(address: str, count: int = 6) -> list[Item]:
    return [
        Item(
            f"vggsound:{n}",
            Kind.CLIP,
            f"{address}/@c{n}/{n % 3}.webm",
            f"vggsound/clips/{n}.flac",
            ("dog",),
            "",
            1.0,
        )
        for n in range(count)
    ]


def masks(address: str, numbers: range, bad: bool = False) -> list[Item]:
    names = [f"a{n}" for n in numbers] + (["bad", "absent"] if bad else [])
    return [
        Item(
            f"open_images:{name}",
            Kind.MASK,
            f"{address}/masks-a.zip",
            f"open_images/masks/{name}.png",
            ("cat",),
        )
        for name in names
    ]


def tree(folder: Path) -> dict[str, str]:
    """Path -> sha256 of everything but the ledger's own folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "_fetch" not in path.parts
    }


@pytest.fixture(params=[1, 2], ids=["in this process", "in processes"])
def workers(request, monkeypatch) -> int:
    monkeypatch.setattr(downloads, "WORTH", 1)
    return request.param


def test_nothing_recoverable_is_lost_and_every_loss_has_its_cause(site_root, tmp_path, workers) -> None:
    with local_site.start(site_root, rates=RATES, stall_s=2.0) as address:
        items = photos(address)
        paths = {item.name: item.url.removeprefix(address) for item in items}
        truth = {name: local_site.fault_of(path, RATES, 0) for name, path in paths.items()}
        with Ledger(str(tmp_path)) as ledger:
            Fetch(str(tmp_path), options.parse(OPTIONS), ledger, workers=workers).items(items)
            latest, rows = ledger.latest(), ledger.rows()
        requests = local_site.stats(address)["requests"]
    assert Counter(truth.values())["gone"] >= 2
    assert Counter(truth.values())["stall"] >= 2
    for item in items:
        if truth[item.name] == "gone":
            assert latest[item.name].cause == "not_found"
            assert latest[item.name].permanent
            assert not (tmp_path / item.path).exists()
        else:
            assert latest[item.name].ok
            assert (tmp_path / item.path).read_bytes() == (
                site_root / item.url.rpartition("/")[2]
            ).read_bytes()
    causes = {
        "once_503": "server_error",
        "once_truncated": "truncated",
        "stall": "timeout",
        "retry_after": "throttled",
    }
    expected = Counter(causes[fault] for fault in truth.values() if fault in causes)
    expected["not_found"] = Counter(truth.values())["gone"]
    expected["ok"] = COUNT - expected["not_found"]
    assert Counter(row.cause for row in rows) == expected
    assert sum(requests.values()) == len(rows)  # one row a request: none hidden, none lost
    assert [path for path in tree(tmp_path) if path.endswith(".part")] == []


def test_a_second_run_asks_for_nothing(site_root, tmp_path) -> None:
    with local_site.start(site_root) as address:
        items = [*photos(address, 20), *clips(address, 3), *masks(address, range(5))]
        for _ in range(2):
            with Ledger(str(tmp_path)) as ledger:
                Fetch(str(tmp_path), options.parse(OPTIONS), ledger).items(items)
                rows = ledger.rows()
            requests = sum(local_site.stats(address)["requests"].values())
    assert len(rows) == 20 + 3 + 5 + 1
    assert all(row.ok for row in rows)
    assert requests < 20 + 1 + 3 * 4  # yt-dlp looks at a page before it downloads


def test_a_larger_plan_fetches_only_what_is_new(site_root, tmp_path) -> None:
    with local_site.start(site_root) as address, Ledger(str(tmp_path)) as ledger:
        fetch = Fetch(str(tmp_path), options.parse(OPTIONS), ledger)
        fetch.items([*photos(address, 10), *masks(address, range(4))])
        before = local_site.stats(address)["requests"]
        fetch.items([*photos(address, 15), *masks(address, range(8), bad=True)])
        after = local_site.stats(address)["requests"]
        latest = ledger.latest()
    new = {path for path in after if after[path] > before.get(path, 0)}
    assert new == {f"/@{n}/{n}.jpg" for n in range(10, 15)} | {"/masks-a.zip"}
    assert latest["archive:masks-a.zip"].attempt == 2
    assert latest["open_images:absent"].cause == "not_found"
    assert latest["open_images:bad"].cause == "bad_content"
    assert latest["open_images:bad"].permanent
    assert sorted(os.listdir(tmp_path / "open_images" / "masks")) == [f"a{n}.png" for n in range(8)]


def test_what_was_lost_from_the_folder_comes_back(site_root, tmp_path) -> None:
    with local_site.start(site_root) as address, Ledger(str(tmp_path)) as ledger:
        items = photos(address, 6)
        fetch = Fetch(str(tmp_path), options.parse(OPTIONS), ledger)
        fetch.items(items)
        whole = tree(tmp_path)
        (tmp_path / items[0].path).unlink()
        (tmp_path / items[1].path).write_bytes(b"")  # as a power failure may leave it
        fetch.items(items)
        assert tree(tmp_path) == whole


def test_a_file_without_a_row_is_checked_not_trusted(site_root, tmp_path) -> None:
    with local_site.start(site_root) as address, Ledger(str(tmp_path)) as ledger:
        items = photos(address, 3)
        os.makedirs(tmp_path / "lvis/images")
        (tmp_path / items[0].path).write_bytes(media.photo(0))
        (tmp_path / items[1].path).write_bytes(media.photo(1)[:-500])
        Fetch(str(tmp_path), options.parse(OPTIONS), ledger).items(items)
        assert set(local_site.stats(address)["requests"]) == {"/@1/1.jpg", "/@2/2.jpg"}
        assert ledger.latest()["lvis:0"].detail == "found in the folder and checked"
    assert (tmp_path / items[1].path).read_bytes() == media.photo(1)


def run_all(folder: str, address: str, count: int = 120) -> None:
    """What a killed process was doing, with `count` photos."""
    items = [*photos(address, count), *clips(address, 3), *masks(address, range(20))]
    settings = options.parse({**OPTIONS, "hosts": {"default": {"concurrency": 4}}})
    with Ledger(folder) as ledger, locked(ledger):
        fetch = Fetch(folder, settings, ledger)
        fetch.items(items)
        fetch.near_duplicates(items)


@pytest.fixture(scope="module")
def spawn():
    """Start `run_all` in a fresh process; the server that forks them has imported everything once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "yt_dlp.YoutubeDL", "imagehash", "scipy.fftpack"])

    def start(folder: Path, address: str) -> Any:
        process = context.Process(target=run_all, args=(str(folder), address))
        process.start()
        return process

    return start


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_kills_at_random_change_nothing(kills, site_root, tmp_path, spawn) -> None:
    rates = {"once_503": 0.1, "once_truncated": 0.1, "gone": 0.02}
    with local_site.start(site_root, rates=rates, latency_s=0.02) as address:
        spawn(tmp_path / "warm", address).join()  # the forking server imports on its first call
    with local_site.start(site_root, rates=rates, latency_s=0.02) as address:
        begin = time.monotonic()
        process = spawn(tmp_path / "whole", address)
        process.join()
        whole_s = time.monotonic() - begin
        assert process.exitcode == 0
    chance, died = random.Random(7), 0
    with local_site.start(site_root, rates=rates, latency_s=0.02) as address:
        for _ in range(kills):
            process = spawn(tmp_path / "killed", address)
            process.join(chance.uniform(0.05, 0.6) * whole_s)
            died += process.is_alive()
            process.kill()
            process.join()
        process = spawn(tmp_path / "killed", address)
        process.join()
        assert process.exitcode == 0
    assert died >= kills // 3
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")
    ends = []
    for name in ("whole", "killed"):
        with Ledger(str(tmp_path / name)) as ledger:
            rows, latest = ledger.rows(), ledger.latest()
        assert len({(row.item, row.attempt) for row in rows}) == len(rows)
        for item in {row.item for row in rows}:
            assert sorted(row.attempt for row in rows if row.item == item) == list(
                range(1, latest[item].attempt + 1)
            )
        ends.append({name: (row.cause, row.sha256) for name, row in latest.items()})
    whole, killed = ends
    # A kill between an archive's last mask and the archive's row leaves nothing to fetch it for: its masks are there.
    spared = whole.keys() - killed.keys()
    assert all(name.startswith("archive:") for name in spared)
    assert {name: end for name, end in whole.items() if name not in spared} == killed
    tables = [pq.read_table(tmp_path / name / "_fetch" / PHOTO_PAIRS) for name in ("whole", "killed")]
    assert tables[0].equals(tables[1])
    assert len(tables[0]) > 0


def test_a_photo_taken_undecoded_is_taken_out_when_it_does_not_decode(site_root, tmp_path) -> None:
    root = tmp_path / "spoiled"
    root.mkdir()
    content = media.photo(1)
    scan = content.index(b"\xff\xda")
    # the scan names tables that are not there
    content = content[: scan + 6] + b"\x77" * 4 + content[scan + 10 :]
    (root / "1.jpg").write_bytes(content)
    with local_site.start(root) as address, Ledger(str(tmp_path)) as ledger:
        items = [Item("lvis:1", Kind.PHOTO, f"{address}/1.jpg", "lvis/images/1.jpg")]
        fetch = Fetch(str(tmp_path), options.parse({"photos": {"decode": False}}), ledger)
        fetch.items(items)
        assert ledger.latest()["lvis:1"].ok
        assert fetch.near_duplicates(items) == (0, 0)
        assert ledger.latest()["lvis:1"].cause == "decode_error"
    assert not (tmp_path / items[0].path).exists()


def test_two_fetches_do_not_share_a_folder(tmp_path) -> None:
    with Ledger(str(tmp_path)) as one, Ledger(str(tmp_path)) as two, locked(one):
        other = locked(two)
        with pytest.raises(FetchError, match="another fetch works on"):
            other.__enter__()


def test_into_a_bucket_and_on_from_another_machine(site_root, tmp_path, monkeypatch) -> None:
    bucket = f"memory://{uuid.uuid4().hex}/corpora"
    rates = {"once_503": 0.2, "gone": 0.1}
    with local_site.start(site_root, rates=rates) as address:
        items = [*photos(address, 40), *clips(address, 2), *masks(address, range(3))]
        for machine, some in (("one", items[:25]), ("two", items)):
            monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / machine))
            with Ledger(bucket) as ledger:
                fetch = Fetch(bucket, options.parse(OPTIONS), ledger)
                fetch.items(some)
                fetch.near_duplicates(some)
                latest, rows = ledger.latest(), ledger.rows()
        requests = local_site.stats(address)["requests"]
    for item in items[:25]:
        path = item.url.removeprefix(address)
        assert requests[path] == (2 if local_site.fault_of(path, rates, 0) == "once_503" else 1)
    files = fsspec.filesystem("memory").find(bucket.removeprefix("memory:/"))
    stored = {path.partition("/corpora/")[2] for path in files if "/_fetch/" not in path}
    assert stored == {item.path for item in items if latest[item.name].ok}
    assert len({(row.item, row.attempt) for row in rows}) == len(rows)
    assert any(path.endswith(PHOTO_PAIRS) for path in files)


def test_a_full_disk_stops_loudly_and_names_the_item(site_root, tmp_path, monkeypatch) -> None:
    with local_site.start(site_root) as address, Ledger(str(tmp_path)) as ledger:
        fetch = Fetch(str(tmp_path), options.parse(OPTIONS), ledger)

        def full(path: str, content: bytes) -> str:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(fetch.store, "put", full)
        with pytest.raises(OSError, match=r"No space left on device \(lvis:"):
            fetch.items(photos(address, 5))
        assert not any(row.ok for row in ledger.rows())


def test_what_is_no_items_fault_stops_all(site_root, tmp_path, workers) -> None:
    with local_site.start(site_root) as address, Ledger(str(tmp_path)) as ledger:
        item = replace(photos(address, 1)[0], path=f"lvis/images/{'long' * 80}.jpg")
        with pytest.raises(StorageError, match="File name too long"):
            Fetch(str(tmp_path), options.parse(OPTIONS), ledger, workers=workers).items([item])
        assert not ledger.rows()


def test_a_process_that_was_killed_is_told_and_nothing_is_lost(site_root, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(downloads, "WORTH", 1)

    others = multiprocessing.active_children()  # of other tests

    def kill(*_: object) -> None:
        for process in [one for one in multiprocessing.active_children() if one not in others][:1]:
            process.kill()

    with local_site.start(site_root, latency_s=0.05) as address, Ledger(str(tmp_path)) as ledger:
        settings, items = options.parse(OPTIONS), photos(address, 200)
        with pytest.raises(processes.WorkerLost, match="fewer --workers"):
            Fetch(str(tmp_path), settings, ledger, workers=2, watch=kill).items(items)
        Fetch(str(tmp_path), settings, ledger, workers=2).items(items)
        latest = ledger.latest()
    assert all(latest[item.name].ok for item in items)
    assert tree(tmp_path) == {
        item.path: hashlib.sha256((site_root / item.url.rpartition("/")[2]).read_bytes()).hexdigest()
        for item in items
    }


def test_addresses_that_are_not_of_the_web_are_refused(tmp_path) -> None:
    items = [Item("lvis:1", Kind.PHOTO, "file:///etc/passwd", "lvis/images/1.jpg")]
    with Ledger(str(tmp_path)) as ledger:
        Fetch(str(tmp_path), options.parse({}), ledger).items(items)
        assert ledger.latest()["lvis:1"].cause == "unsafe"


def test_per_host_concurrency_is_kept(site_root, tmp_path, workers) -> None:
    with local_site.start(site_root, latency_s=0.02) as address, Ledger(str(tmp_path)) as ledger:
        settings = options.parse({"hosts": {"127.0.0.1": {"concurrency": 3}}})
        Fetch(str(tmp_path), settings, ledger, workers=workers).items(photos(address, 60))
        assert local_site.stats(address)["peak"] == 3


def test_survival_and_causes_of_a_ledger(site_root, tmp_path) -> None:
    with local_site.start(site_root, rates={"gone": 0.2}) as address, Ledger(str(tmp_path)) as ledger:
        items = photos(address, 50)
        Fetch(str(tmp_path), options.parse(OPTIONS), ledger).items(items)
        latest, rows = ledger.latest(), ledger.rows()
    gone = [item for item in items if not latest[item.name].ok]
    assert len(gone) > 3
    survival = {one.category: one for one in report.survival(latest, items)}
    for category in ("dog", "cat"):
        needed = [item for item in items if category in item.categories]
        lost = sum(item in gone for item in needed)
        one = survival[category]
        assert (one.needed, one.there, one.lost) == (len(needed), len(needed) - lost, lost)
    counts = {one.cause: one for one in report.causes(rows, latest, items)}
    assert counts["not_found"].permanent == counts["not_found"].items == len(gone)
    assert report.parse_causes("throttled, bot-check") == {Cause.THROTTLED, Cause.BOT_CHECK}
    with pytest.raises(ValueError, match="tired is no cause"):
        report.parse_causes("tired,timeout")


def test_large_files_are_told_by_their_bytes(site_root, tmp_path) -> None:
    """Those of this run: what an earlier one left is not counted, neither as done nor as left to do."""
    seen = []
    archive = (site_root / "masks-a.zip").stat().st_size
    with (
        local_site.start(site_root, rates={"once_truncated": 1.0}) as address,
        Ledger(str(tmp_path)) as ledger,
    ):
        fetch = Fetch(
            str(tmp_path), options.parse(OPTIONS), ledger,
            watch=lambda stage, totals, tally: seen.append(tally.received("archive", totals["archive"])),
        )  # fmt: skip
        fetch.items(masks(address, range(5)))
    assert seen[-1] == (archive, archive)
    assert all(done <= archive and total in (None, archive) for done, total in seen)
    tally = Tally()
    told = tally.download(Item("open_images:a", Kind.ARCHIVE, "", ""))
    for done in (600, 700):
        told(done, 1_000)
    assert tally.received("archive", 1) == (100, 400)
    assert tally.received("archive", 2) == (100, None)  # the other has not said yet how large it is
