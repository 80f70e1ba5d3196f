"""Publishing to the Hub through its own client, against a stand-in of its endpoints."""

import hub_server
import pytest

from pipelines.publish.edition import PublishError
from pipelines.publish.hub import Hub
from pipelines.publish.release import Options, Report, publish
from pipelines.publish.version import Version
from shards.reader import Dataset
from shards.verify import verify

URL = "hf://datasets/tester/avs"


def go(dataset: str, version: str, dry_run: bool = False) -> Report:
    options = Options(Version.parse(version), URL, dry_run=dry_run)
    return publish(dataset, options, lambda *_: None)


def commits(hub: hub_server.HubServer) -> int:
    return sum("/commit/" in path for _, path in hub.requests)


def test_a_version_is_one_commit_and_one_tag(dataset: str, hub: hub_server.HubServer) -> None:
    planned = go(dataset, "1.0.0", dry_run=True)
    assert (planned.state, planned.sent.uploaded) == ("planned", planned.publication.bytes)
    assert {method for method, _ in hub.requests} <= {"GET", "HEAD"}
    assert hub.repositories == {}

    assert go(dataset, "1.0.0").state == "published"
    repository = hub.repositories["tester/avs"]
    assert commits(hub) == 1
    assert set(repository.tags) == {"1.0.0"}
    assert repository.tags["1.0.0"] == repository.heads["main"]
    entries = Dataset(dataset).manifest.shards
    stored = repository.commits[repository.tags["1.0.0"]]
    assert {entry.path: entry.sha256 for entry in entries}.items() <= stored.items()
    assert list(Dataset(f"{URL}@1.0.0").samples()) == list(Dataset(dataset).samples())
    assert verify(f"{URL}@1.0.0") == []

    assert go(dataset, "1.0.0").state == "unchanged"
    assert commits(hub) == 1
    before = len(hub.uploaded)
    second = go(dataset, "1.1.0")
    assert set(repository.tags) == {"1.0.0", "1.1.0"}
    shards = {entry.sha256 for entry in entries}
    assert not shards & set(hub.uploaded[before:])
    assert second.sent.reused >= sum(entry.bytes for entry in entries)


def test_an_upload_that_failed_goes_on_where_it_was(dataset: str, hub: hub_server.HubServer) -> None:
    hub.fail["/commit/"] = 500
    with pytest.raises(PublishError, match="run the same command to resume"):
        go(dataset, "1.0.0")
    assert hub.repositories["tester/avs"].tags == {}
    first = sorted(hub.uploaded)
    assert go(dataset, "1.0.0").state == "published"
    assert sorted(hub.uploaded) == first  # nothing was sent twice

    hub.fail["/tag/"] = 500  # all is there but the tag
    with pytest.raises(PublishError):
        go(dataset, "1.0.1")
    told = commits(hub)
    assert go(dataset, "1.0.1").state == "published"
    assert commits(hub) == told


def test_of_two_publishers_one_wins(dataset: str, hub: hub_server.HubServer) -> None:
    """Somebody commits while the files are on their way: the parent is no longer the head."""

    def meanwhile(what: str, done: int, total: int) -> None:
        if what == "Uploading" and done == total:
            hub.repositories["tester/avs"].commit({})

    with pytest.raises(PublishError, match="another publisher changed"):
        publish(dataset, Options(Version.parse("1.0.0"), URL), meanwhile)
    assert hub.repositories["tester/avs"].tags == {}


def test_a_wrong_token_and_wrong_bytes_are_told(
    dataset: str, hub: hub_server.HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(PublishError, match="HF_TOKEN"):
        go(dataset, "1.0.0")
    monkeypatch.setenv("HF_TOKEN", hub.token)
    entry = Dataset(dataset).manifest.shards[0]

    def damage(what: str, done: int, total: int) -> None:
        if what == "Reading again":
            hub.objects[entry.sha256] = bytes(entry.bytes)

    with pytest.raises(PublishError, match="reads back other bytes"):
        publish(dataset, Options(Version.parse("1.0.0"), URL), damage)
    assert hub.repositories["tester/avs"].tags == {}


def test_a_repository_is_named_in_full() -> None:
    with pytest.raises(PublishError, match="hf://datasets/ORG/NAME"):
        Hub("hf://datasets/name")
