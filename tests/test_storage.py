"""Nothing half is ever seen; one of many gets a name; what the dead left goes, what the living write stays."""

import errno
import hashlib
import multiprocessing
import os
import subprocess
import sys
import threading
from multiprocessing.synchronize import Barrier
from pathlib import Path

import fsspec
import pytest
import s3_server

from shards import claims, owner, storage, unfinished


@pytest.fixture(params=["local", "memory"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path)
    fsspec.filesystem("memory").store.clear()
    return "memory://bucket"


def test_round_trip(base: str) -> None:
    url = storage.join(base, "a", "b.bin")
    assert not storage.exists(url)
    assert storage.names(storage.join(base, "a")) == []
    storage.write_atomic(url, b"0123456789")
    assert storage.read_bytes(url) == b"0123456789"
    assert storage.read_range(url, 3, 4) == b"3456"
    assert storage.read_range(url, 8, 10) == b"89"
    assert storage.size(url) == 10
    assert storage.names(storage.join(base, "a")) == ["b.bin"]
    before = storage.stamp(url)
    storage.write_atomic(url, b"01234")
    assert storage.stamp(url) != before
    storage.remove(storage.join(base, "a"))
    assert not storage.exists(url)
    storage.remove(url)


def test_an_error_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    url = str(tmp_path / "a")
    storage.write_atomic(url, b"old")

    def stopped() -> None:
        with storage.open_atomic(url) as file:
            file.write(b"new")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stopped()
    assert os.listdir(tmp_path) == ["a"]
    assert storage.read_bytes(url) == b"old"


@pytest.mark.parametrize("part", ["../x", "a/../../x", "/etc/passwd", "a\\b"])
def test_names_that_leave_their_folder(part: str) -> None:
    with pytest.raises(ValueError, match="leaves its folder"):
        storage.join("base", part)


@pytest.mark.parametrize("url", ["memory://store", "/a/disk"])
def test_together_is_map_and_never_far_ahead(url: str) -> None:
    begun: list[int] = []

    def double(number: int) -> int:
        begun.append(number)
        return 2 * number

    found = []
    for result in storage.together(url, double, iter(range(100))):
        found.append(result)
        assert len(begun) <= len(found) + storage.REQUESTS
    assert found == [2 * number for number in range(100)]
    assert sorted(begun) == list(range(100))


def test_together_waits_for_many_answers_of_a_store_at_once() -> None:
    everybody = threading.Barrier(storage.REQUESTS, timeout=20)  # passed only when all are there
    assert len(list(storage.together("memory://store", lambda _: everybody.wait(), range(storage.REQUESTS))))


def test_together_tells_the_error_of_an_item() -> None:
    def fail(number: int) -> int:
        if number == 5:
            raise OSError("store gone")
        return number

    with pytest.raises(OSError, match="store gone"):
        list(storage.together("memory://store", fail, range(50)))


def test_the_hash_of_a_file(base: str) -> None:
    data = os.urandom(3_000_001)
    storage.write_atomic(storage.join(base, "a"), data)
    assert storage.sha256(storage.join(base, "a")) == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("mode", [0o600, 0o666, 0o755])
def test_a_file_that_is_replaced_keeps_its_mode(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "cookies"
    path.touch()
    path.chmod(mode)
    storage.write_atomic(str(path), b"new")
    assert path.stat().st_mode & 0o777 == mode
    with storage.open_atomic(str(path)) as file:
        file.write(b"newer")
    assert path.stat().st_mode & 0o777 == mode


def test_a_link_is_the_same_file_or_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "a", tmp_path / "below" / "b"
    source.write_bytes(b"content")
    for _ in range(2):  # also over itself
        storage.link(str(source), str(target))
        assert target.samefile(source)
        assert os.listdir(target.parent) == ["b"]
    monkeypatch.setattr(os, "link", refused)
    storage.link(str(source), str(target))
    assert target.read_bytes() == b"content"
    assert not target.samefile(source)
    assert os.listdir(target.parent) == ["b"]


def refused(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, "this disk knows no hard links")


# Exclusive creation


def test_create_writes_once(base: str) -> None:
    url = storage.join(base, "below", "a")
    assert storage.create(url, b"first")
    assert not storage.create(url, b"second")
    assert storage.read_bytes(url) == b"first"
    assert storage.names(storage.join(base, "below")) == ["a"]


def test_create_without_hard_links_is_exclusive_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", refused)
    test_create_writes_once(str(tmp_path))


def race(folder: str, me: int, rounds: int, together: Barrier, linked: bool) -> None:
    if not linked:
        os.link = refused  # type: ignore[assignment]  # this process ends with the race
    won = []
    for number in range(rounds):
        together.wait()
        if storage.create(storage.join(folder, f"round-{number:04d}"), f"{me}".encode() * 2000):
            won.append(number)
    storage.write_atomic(storage.join(folder, f"won-{me}"), ",".join(map(str, won)).encode())


def run_race(folder: str, racers: int, rounds: int, linked: bool = True) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(racers)
    processes = [
        context.Process(target=race, args=(folder, me, rounds, together, linked)) for me in range(racers)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    winners: dict[int, int] = {}
    for me in range(racers):
        for number in filter(None, storage.read_bytes(storage.join(folder, f"won-{me}")).decode().split(",")):
            assert winners.setdefault(int(number), me) == me, f"round {number} has two winners"
    assert len(winners) == rounds
    for number, me in winners.items():
        content = storage.read_bytes(storage.join(folder, f"round-{number:04d}"))
        assert content == f"{me}".encode() * 2000
    assert not [name for name in storage.names(folder) if name.endswith(".tmp")]


@pytest.mark.parametrize("linked", [True, False], ids=["links", "no links"])
def test_of_many_racers_one_creates(tmp_path: Path, linked: bool) -> None:
    run_race(str(tmp_path), racers=4, rounds=100, linked=linked)


@s3_server.needed
def test_of_many_racers_one_creates_on_s3(s3: s3_server.S3Server) -> None:
    run_race(f"s3://{s3_server.BUCKET}/race", racers=4, rounds=30)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["disk", pytest.param("s3", marks=s3_server.needed)])
def test_of_a_thousand_races_each_has_one_winner(
    place: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if place == "s3":
        request.getfixturevalue("s3")
    url = str(tmp_path) if place == "disk" else f"s3://{s3_server.BUCKET}/races"
    run_race(url, racers=4, rounds=1_000)


@s3_server.needed
def test_create_on_s3(s3: s3_server.S3Server) -> None:
    test_create_writes_once(f"s3://{s3_server.BUCKET}/create")


# What killed processes leave


def dead() -> owner.Owner:
    """A process of this machine that has ended."""
    command = [sys.executable, "-c", "from shards import owner; print(owner.mine())"]
    found = owner.parse(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    assert found is not None
    return found


def left(folder: Path, whose: owner.Owner, name: str = "a.tar") -> Path:
    path = folder / f"{name}.{whose}-0.tmp"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    return path


def test_owners_are_told_apart() -> None:
    me, gone = owner.mine(), dead()
    assert owner.parse(str(me)) == me
    assert me.is_gone() is False
    assert gone.is_gone() is True
    reused = owner.Owner(me.host, me.machine, me.process, me.started + 1)  # the id alone would look alive
    assert reused.is_gone() is True
    assert owner.Owner(me.host, "0" * 8, me.process, me.started).is_gone() is None
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and its parent has not looked yet
    assert owner.Owner(me.host, me.machine, child.pid, 1).is_gone() is True
    child.wait()
    for text in ("a-0-1-1", "host-0123abcd-0-1", "host-0123abcd--1-1", "", "host-0123abcd-1-1\n"):
        assert owner.parse(text) is None


def test_litter_of_the_dead_goes_when_somebody_writes(tmp_path: Path) -> None:
    gone = left(tmp_path, dead())
    folder = tmp_path / f".step.{dead()}-1.tmp"
    folder.mkdir()
    mine, foreign = left(tmp_path, owner.mine()), left(tmp_path, owner.Owner("far", "0" * 8, 1, 1))
    stranger = tmp_path / "thesis.tmp"
    stranger.touch()
    storage.write_atomic(str(tmp_path / "b"), b"")
    assert not gone.exists()
    assert not folder.exists()
    assert mine.exists()
    assert foreign.exists()
    assert stranger.exists()
    old = foreign.stat().st_mtime - unfinished.SILENT_S - 60
    os.utime(foreign, (old, old))  # nothing was written to it for long, by the clock of the disk
    unfinished.sweep(str(tmp_path))
    assert not foreign.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["b", mine.name, "thesis.tmp"])


def test_litter_that_cannot_be_removed_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = left(tmp_path, dead())
    monkeypatch.setattr(os, "remove", refused)
    unfinished.sweep(str(tmp_path))
    monkeypatch.undo()
    assert gone.exists()


def test_a_process_killed_while_it_writes_leaves_nothing_for_long(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from shards import storage\n"
        "with storage.open_atomic(sys.argv[1]) as file:\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "a")], check=False)
    assert [unfinished.litter(path.name) is not None for path in tmp_path.iterdir()] == [True]
    unfinished.sweep(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


# Claims


def test_a_claim_is_for_one_purpose(base: str) -> None:
    folder, purpose = storage.join(base, "out"), {"command": "build", "recipe": "a" * 64}
    claims.claim(folder, purpose)
    claims.claim(folder, purpose)
    with pytest.raises(
        claims.ClaimError, match=r"holds something else \(another recipe\): give another --out"
    ):
        claims.claim(folder, {**purpose, "recipe": "b" * 64})
    with pytest.raises(claims.ClaimError, match=r"\(what `build` writes, and this is `import`\)"):
        claims.claim(folder, {"command": "import", "dataset": "s4"})
    other = storage.join(base, "other")
    storage.write_atomic(storage.join(other, "thesis.tex"), b"")
    with pytest.raises(claims.ClaimError, match=r"is not empty \(thesis\.tex\)"):
        claims.claim(other, purpose, "--to")
    assert storage.names(other) == ["thesis.tex"]


@pytest.mark.parametrize(
    "content", [b"", b'{"command": "bu', b"[]", b"[" * 100_000], ids=["empty", "cut", "list", "deep"]
)
def test_a_cut_claim_does_not_block_an_empty_folder(base: str, content: bytes) -> None:
    url = storage.join(base, claims.WORK, claims.CLAIM)
    storage.write_atomic(url, content)
    claims.claim(base, {"command": "build"})
    assert storage.read_bytes(url) == b'{"command":"build"}'
    storage.write_atomic(url, content)
    storage.write_atomic(storage.join(base, "a"), b"")
    with pytest.raises(claims.ClaimError, match="is not empty"):
        claims.claim(base, {"command": "build"})


def test_a_folder_that_cannot_be_claimed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(
            claims.ClaimError, match=rf"^cannot write to --out {out}: [^/]+; give a folder that can be made"
        ):
            claims.claim(str(out), {"command": "build"})


def test_killed_while_it_claims_a_command_takes_its_folder_the_next_time(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from shards import claims\n"
        "def kill(*_): os.kill(os.getpid(), signal.SIGKILL)\n"
        "setattr(os, sys.argv[2], kill)\n"
        "claims.claim(sys.argv[1], {'command': 'build'})"
    )
    for call in ("fsync", "link", "remove"):  # before, at and after the moment that the claim gets its name
        out = tmp_path / call
        subprocess.run([sys.executable, "-c", script, str(out), call], check=False)
        assert [name for name in os.listdir(out / claims.WORK) if unfinished.litter(name)], call
        claims.claim(str(out), {"command": "build"})
        assert os.listdir(out / claims.WORK) == [claims.CLAIM]


def test_a_claim_removes_litter_anywhere_below(tmp_path: Path) -> None:
    claims.claim(str(tmp_path), {})
    gone = left(tmp_path / "train", dead())
    claims.claim(str(tmp_path), {})
    assert not gone.exists()
