"""One publisher at a time: whoever stops, however clocks stand, whatever a lock file holds; on a disk and on S3."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import s3_server

from pipelines.publish import edition, lock, upload
from pipelines.publish.edition import PublishError
from pipelines.publish.lock import Lock
from pipelines.publish.release import Options, Report, publish
from pipelines.publish.target import Target
from pipelines.publish.version import Version
from shards import owner
from shards.owner import Owner


@pytest.fixture(params=["disk", pytest.param("s3", marks=s3_server.needed)])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    if request.param == "disk":
        return Target(str(tmp_path / "to"))
    request.getfixturevalue("s3")
    return Target(f"s3://{s3_server.BUCKET}/locks")


def held(whose: Owner | str, token: str = "t") -> bytes:
    return json.dumps({"token": token, "version": "1.0.0", "owner": str(whose), "renewals": 0}).encode()


def file(number: int) -> str:
    return f"{lock.FOLDER}/lock-{number:06d}.json"


def of(target: Target, change: Callable[[int], None] = lambda watched: None) -> Lock:
    """A lock that watches without waiting; `change` happens at each look."""
    looks = iter(range(1_000))
    return Lock(target, "2.0.0", pause=lambda seconds: change(next(looks)))


FAR = Owner("far", "0" * 8, 1, 1)
ME = owner.mine()


def test_only_one_holds_a_target(target: Target) -> None:
    with of(target) as mine:
        mine.check()
        with pytest.raises(PublishError, match=rf"process {ME.process} on .*, version 2\.0\.0"), of(target):
            pass
        mine.check()
    assert target.sizes(lock.FOLDER) == {}
    with of(target):
        pass


def test_a_dead_process_of_this_machine_is_passed_over_at_once(target: Target) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    never = pytest.fail
    for whose in (
        Owner(ME.host, ME.machine, gone.pid, 1),
        Owner(ME.host, ME.machine, ME.process, ME.started + 1),
        ME,
    ):
        target.write(file(7), held(whose))  # the last: of this process, which holds no such lock
        with of(target, lambda _: never("it watched")):
            assert list(target.sizes(lock.FOLDER)) == [file(8)]
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = owner._started(child.pid)
    target.write(file(7), held(Owner(ME.host, ME.machine, child.pid, started)))
    with pytest.raises(PublishError, match=f"process {child.pid} on"), of(target):
        pass
    child.communicate(b"\n")
    with of(target):
        pass


@pytest.mark.parametrize(
    "content",
    [
        held(FAR),
        b"",
        b'{"token": "t", "ver',
        b"[" * 100_000,
        b"\xff",
        held("nobody"),
        held(f"far-{0:08d}-1-{10**25}"),
    ],
    ids=["far", "empty", "cut", "deep", "no text", "no owner", "no number"],
)
def test_a_lock_that_nobody_renews_blocks_for_the_time_it_is_watched(target: Target, content: bytes) -> None:
    """Whatever its clock said: only a change of the file is a sign of life."""
    target.write(file(3), content)
    looks: list[int] = []
    with of(target, looks.append):
        assert list(target.sizes(lock.FOLDER)) == [file(4)]
    assert len(looks) == lock.WATCH_S / lock.RENEW_S

    def renew(look: int) -> None:
        if look == 4:
            target.write(file(3), content + b" ")

    target.write(file(3), content)
    with pytest.raises(PublishError, match="is being published to by"), of(target, renew):
        pass
    assert target.read(file(3)) == content + b" "
    assert list(target.sizes(lock.FOLDER)) == [file(3)]


def test_whoever_was_taken_over_learns_it_and_does_not_come_back(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    with of(target) as mine:
        target.remove(file(1))
        target.write(file(2), held(FAR))
        with pytest.raises(PublishError, match="took over"):
            mine.check()
        turns = iter([False, True])
        monkeypatch.setattr(mine._stop, "wait", lambda _: next(turns))
        mine._renew()  # by this thread, once
        assert list(target.sizes(lock.FOLDER)) == [file(2)]
        target.write(file(1), mine._content())  # as if a renewal had been under way
        with pytest.raises(PublishError, match="took over"):
            mine.check()


def test_a_renewed_lock_is_seen_by_who_takes_over(target: Target) -> None:
    """It stirred between the last look and the new lock: the newcomer steps back."""
    target.write(file(1), held(FAR))
    create = target.create

    def late(path: str, content: bytes) -> bool:
        target.write(file(1), held(FAR, "renewed"))
        return create(path, content)

    target.create = late  # type: ignore[method-assign]
    with pytest.raises(PublishError, match="process 1 on far"), of(target):
        pass
    assert list(target.sizes(lock.FOLDER)) == [file(1)]


def test_the_seal_is_set_once(target: Target) -> None:
    one = edition.Publication("avs", "1.0.0", None, "a", edition.Profile(), ())
    other = edition.Publication("avs", "1.0.0", None, "b", edition.Profile(), ())
    upload.seal(target, one)
    upload.seal(target, one)
    with pytest.raises(PublishError, match="published by another process"):
        upload.seal(target, other)


def go(dataset: str, version: str, to: str, progress: upload.Progress = lambda *_: None) -> Report:
    return publish(dataset, Options(Version.parse(version), to), progress)


def nested(dataset: str, target: Target, at: str) -> Iterator[str]:
    """Publish 1.0.0, and while it is at `at` try 2.0.0: what each was told."""
    told: list[str] = []

    def other(what: str, done: int, total: int) -> None:
        if what == at and not told:
            told.append("")
            try:
                told[0] = go(dataset, "2.0.0", target.url).state
            except PublishError as error:
                told[0] = str(error)

    yield go(dataset, "1.0.0", target.url, other).state
    yield from told


def test_of_two_publishers_one_wins_and_the_other_is_told(dataset: str, target: Target) -> None:
    """The second comes while the first uploads: it holds the lock then."""
    first, second = nested(dataset, target, "Uploading")
    assert first == "published"
    assert f"is being published to by process {ME.process}" in second
    assert [str(version) for version in target.versions()] == ["1.0.0"]
    assert target.latest() == "1.0.0"
    assert target.sizes(lock.FOLDER) == {}


def test_who_is_overtaken_before_its_lock_is_told(dataset: str, target: Target) -> None:
    """The second comes and is done while the first still verifies."""
    with pytest.raises(PublishError, match="would go backwards"):
        list(nested(dataset, target, "Verifying"))
    assert [str(version) for version in target.versions()] == ["2.0.0"]


def test_a_folder_of_something_else_is_not_touched(dataset: str, target: Target) -> None:
    """A version's folder that no publication began may be anybody's."""
    target.write("1.0.0/thesis.tex", b"work of years")
    with pytest.raises(
        PublishError, match=r"holds 1 file\(s\) that no publication brought \(1\.0\.0/thesis\.tex\)"
    ):
        go(dataset, "1.0.0", target.url)
    assert target.sizes("") == {"1.0.0/thesis.tex": 13}


def test_a_damaged_publication_names_its_remedy(dataset: str, target: Target) -> None:
    target.write("1.0.0/publication.json", b"")
    for version in ("1.0.0", "1.1.0"):
        with pytest.raises(PublishError, match=r"put the file back from a copy; .*remove its folder"):
            go(dataset, version, target.url)
    target.remove("1.0.0/publication.json")
    target.write("latest.json", b"{")
    assert go(dataset, "1.1.0", target.url).state == "published"
    assert target.latest() == "1.1.0"
