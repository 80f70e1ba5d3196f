"""What the judging page's server says no to, and what it never tells."""

import re

import pytest
from browse_page import BASE, PICTURES
from generated_shards import write_scenes
from judged import queue_of
from starlette.testclient import TestClient
from test_review_server import HOSTILE_BODIES, check_refused

from pipelines.judge import intake, results
from pipelines.judge.errors import JudgeError
from pipelines.judge.intake import Asked
from pipelines.judge.queue import Queue
from pipelines.judge.server.app import build_app
from pipelines.pages.security import Guard
from shards.reader import Dataset


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    url, path = queue_of(tmp_path_factory.mktemp("server"), samples=30, sample=6, gold=1, active=2)
    return path, TestClient(build_app(path, Dataset(url), PICTURES))


@pytest.fixture
def client(world):
    _, client = world
    client.cookies.clear()
    assert client.post("/api/judge", json={"name": "ana"}).status_code == 200
    return client


def test_refusals_say_why(world, client):
    for method, address, body, status, said in [
        ("get", "/api/next?order=other", None, 400, "order 'other': there are random, active"),
        ("get", "/api/sample/999", None, 400, "sample 999 is not in"),
        ("get", "/media/999/photo", None, 400, "sample 999 is not in"),
        ("post", "/api/sample/1/judgement", {"verdict": "fine"}, 400, "it is one of right, wrong_sound"),
        ("post", "/api/sample/1/judgement", {"verdict": 3}, 400, "verdict is 3; it is text"),
        (
            "post",
            "/api/sample/1/judgement",
            {"verdict": "right", "note": "a\u0007"},
            400,
            "a note is one line",
        ),
        ("post", "/api/undo", {"decision": -1}, 400, "no number of a row"),
        ("post", "/api/undo", {"decision": 7}, 400, "ana has no judgement 7 to undo"),
        ("post", "/api/undo", {}, 400, "ana has no judgement left to undo"),
        ("post", "/api/judge", {"name": "\n"}, 400, "a name has 1 to 40 letters"),
        ("post", "/api/undo", [1], 400, "the body is one JSON object"),
    ]:
        answer = client.get(address) if method == "get" else client.post(address, json=body)
        assert (answer.status_code, said in answer.json()["error"]) == (status, True), answer.text
    client.cookies.clear()
    assert client.get("/api/next").json()["error"].startswith("who are you?")


def test_an_answer_counts_once_and_the_second_judge_is_told(world, client):
    path, _ = world
    shown = client.get("/api/next?tab=a").json()["sample"]
    body = {"verdict": "bad_mask", "request_id": "r1"}
    first, again = (client.post(f"/api/sample/{shown['id']}/judgement", json=body).json() for _ in range(2))
    assert first == again
    client.post("/api/judge", json={"name": "ben"})
    assert client.get(f"/api/sample/{shown['id']}").json()["sample"]["state"] == "answered"
    late = client.post(f"/api/sample/{shown['id']}/judgement", json={"verdict": "right"})
    assert late.status_code == 409
    assert late.json()["error"].startswith("ana judged this sample first")
    assert client.get("/api/next?tab=b").json()["sample"]["id"] != shown["id"]
    with Queue(path) as queue:
        assert len(queue.judgements()) == 1


def test_gold_sounds_like_its_clip_and_looks_like_any_sample(world, client):
    path, _ = world
    with Queue(path) as queue:
        items = {bool(item.gold): item for item in queue.items() if item.order != "active"}
    golden, other = (client.get(f"/api/sample/{items[gold].id}").json()["sample"] for gold in (True, False))
    assert golden.keys() == other.keys()

    def plain(shown):
        text = re.sub(r"v=[0-9a-f]+", "v=", shown["html"]).replace(shown["name"], "X")
        return text.replace(f"/{shown['id']}/", "/N/").replace(f'"{shown["id"]}"', '"N"')

    assert plain(golden) == plain(other)
    heard = client.get(f"/media/{items[True].id}/sound").content
    assert heard == client.get(f"/samples/clip/{items[True].gold}").content
    assert client.get(f"/media/{items[False].id}/sound").content == (
        client.get(f"/samples/media/{items[False].key}/sound").content
    )


def test_another_version_of_the_dataset_is_refused(world, tmp_path):
    path, _ = world
    other, _ = queue_of(tmp_path, samples=9, sample=3, gold=0, active=0)
    with pytest.raises(JudgeError, match=r"is another version .* put that one back"):
        build_app(path, Dataset(other), PICTURES)


def test_scenes_are_asked_by_what_is_heard(tmp_path):
    url, path = write_scenes(tmp_path / "data", samples=12), str(tmp_path / "judge.sqlite")
    with Queue(path, create=True) as queue:
        filled = intake.fill(queue, Dataset(url), Asked(sample=12, gold=2))
        items = list(queue.items())
    assert filled.drawn == 12
    asked = TestClient(build_app(path, Dataset(url), PICTURES))
    asked.post("/api/judge", json={"name": "ana"})
    assert {item.kind for item in items} >= {"single", "mixture", "silence", "noise", "off_screen"}
    for item in items:
        shown = asked.get(f"/api/sample/{item.id}").json()["sample"]
        nothing = item.kind in ("silence", "noise", "off_screen")
        assert ("Nothing that is seen sounds" in shown["html"]) == nothing
        assert nothing or all(name in shown["html"] for name in item.category.split("+"))
        assert item.stratum == f"{item.kind} {item.category}".strip() or item.gold
        assert not item.gold or item.kind == "single"
        for part in ("photo", "mask", "sound"):
            assert asked.get(f"/media/{item.id}/{part}").status_code == 200


def test_samples_lead_back_to_judging(world, client):
    """And results of a dataset that others serve are written on this machine."""
    path, _ = world
    with Queue(path) as queue:
        key = queue.item(1).key
    for address in ("/samples/", f"/samples/sample/{key}", "/samples/dropped"):
        assert '<a href="/">Judge</a>' in client.get(address).text
    assert results.place("s3://bucket/avs/1.0.0", "a/judge.sqlite") == "a/judge.judgements.parquet"
    assert results.place("out/demo/", "a/judge.sqlite") == "out/demo.judgements.parquet"


def test_hostile_requests_are_refused_with_all_headers(world):
    path, unguarded = world
    client = TestClient(
        Guard(unguarded.app, ("127.0.0.1", "localhost"), None), base_url=BASE, headers={"origin": BASE}
    )
    assert client.post("/api/judge", json={"name": "ana"}).status_code == 200

    def count():
        with Queue(path) as queue:
            return queue.connection.execute("SELECT count(*) FROM judgements").fetchone()[0]

    before, huge = count(), "9" * 30
    for address in (
        f"/sample/{huge}",
        f"/api/sample/{huge}",
        "/api/sample/-1",
        f"/media/{huge}/photo",
        "/active/²",
    ):
        check_refused(client.get(address))
    for address in ("/media/1/other", "/api/nothing", "/%00", "/%ff%fe", "/api/next?order=%ed%a0%80"):
        check_refused(client.get(address))
    for body in HOSTILE_BODIES:
        check_refused(client.post("/api/sample/1/judgement", content=body))
    for body in (
        b'{"verdict": "right", "note": "\\ud800"}',
        b'{"verdict": "right", "request_id": "\\ud800"}',
    ):
        check_refused(client.post("/api/sample/1/judgement", content=body))
    for body in (b'{"decision": true}', b'{"decision": %s}' % huge.encode(), b'{"request_id": "\\ud800"}'):
        check_refused(client.post("/api/undo", content=body))
    for body in (b'{"name": "\\ud800"}', b"[" * 9000, b'{"name": 7}'):
        check_refused(client.post("/api/judge", content=body))
    for length in ("²", "9" * 5000, "-1", "1_0"):
        check_refused(client.post("/api/undo", content=b"{}", headers={"content-length": length.encode()}))
    assert count() == before
