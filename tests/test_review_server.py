"""The page's server: who may reach it, what it gives out, what it refuses."""

import json
import socket
import sqlite3

import pytest
from review_page import BASE, browser
from review_world import HOSTILE, PROPOSALS, make_world
from starlette.testclient import TestClient

from pipelines.matching import gold
from pipelines.pages.errors import PageError
from pipelines.pages.security import HEADERS, MAX_BODY_BYTES, is_loopback
from pipelines.review import application, intake
from pipelines.review.queue import Queue
from pipelines.review.records import Answer
from pipelines.review.server.app import REVIEWER_COOKIE
from pipelines.review.server.leases import LEASE_S, Leases
from pipelines.review.server.run import serve


def decide(client, link, verdict="accept", **more):
    body = {"verdict": verdict, "revision": link["revision"], **more}
    return client.post(f"/api/link/{link['id']}/decision", json=body)


def next_link(client, tab="t"):
    return client.get(f"/api/next?tab={tab}").json()["link"]


# Who may reach it


@pytest.mark.parametrize("host", ["127.0.0.1:8710", "localhost:8710", "[::1]:8710", "LOCALHOST"])
def test_own_names_are_answered(world, host):
    assert browser(world).get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8710", "127.0.0.1.evil.example", "", "192.0.2.7:8710"]
)
def test_other_names_are_not(world, host):
    """DNS rebinding: the browser believes that the page is evil.example."""
    refused = browser(world).get("/", headers={"host": host})
    assert refused.status_code == 421
    assert "--allow-host" in refused.text


@pytest.mark.parametrize(
    "origin", [None, "http://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:8710"]
)
def test_changes_come_from_the_page_alone(fresh, origin):
    link = next_link(browser(fresh))
    client = browser(fresh, origin=origin)
    for path in (
        f"/api/link/{link['id']}/decision",
        "/api/undo",
        "/api/reviewer",
        f"/api/link/{link['id']}/target",
    ):
        assert client.post(path, json={"verdict": "accept", "revision": 1, "name": "x"}).status_code == 403
    with fresh.open() as queue:
        assert [d for d in queue.decisions() if d.origin == "person"] == []


def test_changes_are_never_made_by_get(world):
    for path in ("/api/link/1/decision", "/api/undo", "/api/reviewer"):
        assert browser(world).get(path).status_code == 405


def test_a_large_body_is_refused(world):
    client = browser(world)
    assert client.post("/api/undo", content=b"x" * (MAX_BODY_BYTES + 1)).status_code == 413
    assert (
        client.post("/api/undo", content=(chunk for chunk in [b"{}"])).status_code == 413
    )  # of unknown length


def test_with_a_token_nothing_is_shown_without_it(world):
    client = browser(world, reviewer=None, token="secret")
    for path in ("/", "/map", "/api/next", "/media/photo/1", "/static/review.js"):
        assert client.get(path).status_code == 401
    assert client.get("/?token=wrong").status_code == 401
    welcome = client.get("/?token=secret")
    cookie = welcome.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert welcome.status_code == 200
    assert client.get("/").status_code == 200
    assert "secret" not in client.get("/").text


def test_with_a_token_addresses_in_digits_are_answered_but_no_other_names(world):
    client = browser(world, token="secret", base="http://192.0.2.7:8710")
    client.get("/?token=secret")
    assert client.get("/map").status_code == 200
    assert client.get("/map", headers={"host": "evil.example"}).status_code == 421


@pytest.mark.parametrize(
    "other", ["a[b]=c", "x=1; =; ;;", 'y="open', "avs_token=old", "ü=ü", "a=b=c", "," * 200]
)
def test_other_cookies_of_the_host_break_no_token(world, other):
    """Browsers send a host's cookies to all of its ports: whatever another program has set there comes along."""
    client = browser(world, token="secret")
    name, value = client.get("/?token=secret").headers["set-cookie"].partition(";")[0].split("=")
    assert name.endswith("_8710")
    for cookie in (f"{other}; {name}={value}", f"{name}={value}; {other}", f"{name}=stale; {name}={value}"):
        assert (
            browser(world, token="secret").get("/map", headers={"cookie": cookie.encode()}).status_code == 200
        )
    refused = browser(world, token="secret").get(
        "/map", headers={"cookie": f"{other}; {name}=wrong".encode()}
    )
    assert refused.status_code == 401


def test_what_loopback_is():
    assert all(map(is_loopback, ["localhost", "127.0.0.1", "127.9.9.9", "::1"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "192.0.2.7", "example.org", ""]))


def test_a_taken_port_is_said_so(world):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(PageError, match="try another --port"):
            serve(world.queue_path, world.map_path, world.corpora, "127.0.0.1", taken.getsockname()[1])


def test_every_answer_forbids_inline_scripts_and_other_sites(world):
    client = browser(world)
    for path in ("/", "/map", "/progress", "/api/next", "/media/photo/1", "/static/style.css", "/nowhere"):
        headers = client.get(path).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert headers["x-content-type-options"] == "nosniff"
    for path in ("/", "/map", "/progress"):
        page = client.get(path).text
        assert "<style" not in page
        assert " style=" not in page
        assert page.count("<script") == page.count('<script src="/static/')
        assert "http://" not in page.replace("http://www.w3.org", "")
        assert "https://" not in page


HUGE = "9" * 30
HOSTILE_GETS = [
    f"/link/{HUGE}", f"/api/link/{HUGE}", "/api/link/-1", f"/media/photo/{HUGE}", f"/media/clip/{HUGE}",
    "/link/²", "/api/link/٣", "/media/mask/1e9", "/api/search?q=" + "a" * 5000, "/api/nothing", "/%00", "/%ff%fe",
]  # fmt: skip
HOSTILE_BODIES = [
    b"[" * 16000, b'{"a":' * 3000, b"1" * 5000, b"NaN", b'"text"', b"{}", b'{"verdict": "accept", "revision": true}',
    b'{"verdict": "accept", "revision": ' + b"9" * 40 + b"}", b'{"verdict": "accept", "revision": 1e400}',
    *(b'{"verdict": "reject", "revision": 1, "%s": "\\ud800"}' % name for name in (b"note", b"request_id")),
    b'{"verdict": "accept", "revision": 1, "category": "\\udfff"}', b'{"verdict": "\\ud800", "revision": 1}',
    b'{"verdict": "reject", "revision": 1, "note": "a\\u2028b"}', b'{"verdict": ["accept"], "revision": 1}',
]  # fmt: skip


def check_refused(answer):
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:200])
    for name, value in HEADERS.items():
        assert answer.headers[name] == value


def test_hostile_requests_are_refused_with_all_headers(fresh):
    client = browser(fresh)
    for path in HOSTILE_GETS:
        check_refused(client.get(path))
    for body in HOSTILE_BODIES:
        check_refused(client.post("/api/link/1/decision", content=body))
    for name in (b'{"name": "\\ud800"}', b'{"name": "anna "}'[:-3] + b'\\ud83d"}', b"[" * 9000):
        check_refused(client.post("/api/reviewer", content=name))
    check_refused(client.post("/api/link/1/target", content=b'{"source": "\\ud800", "source_id": "80"}'))
    for body in (b'{"request_id": "\\ud800"}', b'{"decision": true}', b'{"decision": %s}' % HUGE.encode()):
        check_refused(client.post("/api/undo", content=body))
    for length in ("²", "9" * 5000, "-1", "1_0"):
        answer = client.post("/api/undo", content=b"{}", headers={"content-length": length.encode()})
        check_refused(answer)
    for path in ("/api/next?skip=²,٣,x,-1," + HUGE, "/api/next?on=²&tab=" + "t" * 5000, "/map?q=%ed%a0%80"):
        assert client.get(path).status_code == 200  # what is no id is none
    client.cookies.set(REVIEWER_COOKIE, "%ED%A0%80%00")
    check_refused(client.get("/api/next"))
    with fresh.open() as queue:
        assert [d for d in queue.decisions() if d.origin == "person"] == []


def test_a_queue_that_cannot_be_written_is_said_so(fresh, monkeypatch):
    """The page sends such a decision again, until it is written."""
    link = next_link(browser(fresh))

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Queue, "decide", full)
    answer = decide(browser(fresh), link)
    assert (answer.status_code, "disk is full" in answer.json()["error"]) == (503, True)


def test_a_fault_of_the_server_has_the_headers_too(fresh, monkeypatch):
    monkeypatch.setattr(Leases, "of_others", lambda *_: 1 / 0)
    app = browser(fresh).app
    client = TestClient(app, base_url=BASE, cookies={REVIEWER_COOKIE: "anna"}, raise_server_exceptions=False)
    answer = client.get("/api/next")
    assert answer.status_code == 500
    assert answer.headers["content-security-policy"] == HEADERS["content-security-policy"]


# What it shows


def test_labels_cannot_inject_markup(fresh):
    client = browser(fresh)
    with fresh.open() as queue:
        item = next(item for item in queue.items() if HOSTILE in item.proposal.audio_label)
        queue.decide(item.id, "anna", Answer("accept", "owl", note=HOSTILE))
    pages = [
        client.get(f"/api/link/{item.id}").json()["link"]["html"],
        client.get("/map").text,
        client.get("/progress").text,
    ]
    for page in pages:
        assert "&lt;script&gt;" in page
        assert "<script>" not in page
        assert 'alert("x")' not in page


def test_a_link_shows_everything_a_decision_needs(world):
    client = browser(world)
    with world.open() as queue:
        item = queue.find(PROPOSALS[0].key)
    html = client.get(f"/api/link/{item.id}").json()["link"]["html"]
    for part in (
        "cattle mooing",
        "2 clips",
        "cow",
        "3 photos",
        "what cow means",
        "moo cow",
        "Animal",
        "0.62",
        "head",
    ):
        assert part in html
    assert "+3 <small>triplets in</small>" in html
    assert html.count('class="play"') == 2
    assert html.count("<figure>") == 3


def test_search_finds_names_and_synonyms(world):
    client = browser(world)
    assert client.get("/api/search?q=cow").json()[0]["name"] == "cow"
    assert len(client.get("/api/search?q=moo+cow").json()) == 12
    assert client.get("/api/search?q=zebra").json() == []
    assert client.get("/api/search?q=").json() == []


def test_another_target_becomes_a_link_of_its_own(fresh):
    client = browser(fresh)
    link = next_link(client)
    address = f"/api/link/{link['id']}/target"
    made, again = (
        client.post(address, json={"source": "lvis", "source_id": "378"}).json()["link"] for _ in "ab"
    )
    assert made["id"] == again["id"] == len(PROPOSALS) + 1
    assert "proposed by anna" in made["html"]
    assert decide(client, again).status_code == 200
    assert client.post(address, json={"source": "lvis", "source_id": "0"}).status_code == 400


def test_the_map_shows_what_is_in_it_what_will_be_and_what_was_refused(fresh):
    client = browser(fresh)
    with fresh.open() as queue:
        queue.decide(queue.find(PROPOSALS[0].key).id, "anna", Answer("accept"))
        queue.decide(queue.find(PROPOSALS[1].key).id, "anna", Answer("reject"))
        application.apply(application.plan(queue, fresh.map_path, {"80": "cow.n.01"}))
        queue.decide(queue.find(PROPOSALS[2].key).id, "anna", Answer("accept"))
    page = client.get("/map").text
    for part in ("dog barking", "in the map", "Cattle", "accepted", "cattle mooing ≠ cowbell", "rejected"):
        assert part in page


# Deciding


def test_two_browsers_are_shown_different_links_and_cannot_both_decide_one(fresh):
    anna, ben = browser(fresh), browser(fresh, "ben")
    # one server for both, as in life: leases are its memory
    ben = TestClient(anna.app, base_url=BASE, headers={"origin": BASE}, cookies={REVIEWER_COOKIE: "ben"})
    first, second = next_link(anna, "a"), next_link(ben, "b")
    assert first["id"] != second["id"]
    assert next_link(anna, "a")["id"] == first["id"]
    assert decide(anna, first).status_code == 200
    late = decide(ben, first, "reject")
    assert late.status_code == 409
    assert "anna decided" in late.json()["error"]


def test_what_is_passed_over_is_free_again_and_the_end_serves_nothing_that_others_decide(tmp_path):
    world = make_world(tmp_path, PROPOSALS[:2], media=False)
    anna = browser(world)
    ben = TestClient(anna.app, base_url=BASE, headers={"origin": BASE}, cookies={REVIEWER_COOKIE: "ben"})

    def following(client, tab, on="", skip=""):
        return client.get(f"/api/next?tab={tab}&on={on}&skip={skip}").json()

    first = following(anna, "a")["link"]
    second = following(anna, "a", on=first["id"])["link"]  # fetched ahead
    assert following(ben, "b") | {"progress": 0} == {"link": None, "held": True, "progress": 0}
    assert following(anna, "later")["link"]["id"] == first["id"]
    following(anna, "a", on=first["id"])
    assert (
        following(anna, "a", on=second["id"], skip=first["id"])["link"] is None
    )  # she passed the first one over
    given = following(ben, "b")["link"]
    assert given["id"] == first["id"]
    decide(ben, given)
    decide(anna, second)
    assert following(ben, "b") | {"progress": 0} == {"link": None, "held": False, "progress": 0}


def test_the_page_takes_back_the_answer_it_shows_and_nobody_elses(fresh):
    anna, ben = browser(fresh), browser(fresh, "ben")
    first = next_link(anna)
    made = decide(anna, first, "reject").json()["decision"]
    decide(anna, next_link(anna), "accept")
    assert anna.get(f"/api/link/{first['id']}").json()["link"]["mine"] == made
    assert ben.get(f"/api/link/{first['id']}").json()["link"]["mine"] is None
    assert "somebody else's" in ben.post("/api/undo", json={"decision": made}).json()["error"]
    assert anna.post("/api/undo", json={"decision": made}).json()["link"]["id"] == first["id"]
    assert anna.post("/api/undo", json={"decision": made}).status_code == 400


def test_a_lease_ends_with_its_time_or_when_the_holder_goes_on():
    now = [0.0]
    leases = Leases(lambda: now[0])
    anna, ben = ("anna", "1"), ("ben", "1")
    leases.hold(anna, {7, 8})
    assert (leases.of_others(anna), leases.of_others(ben)) == ({}, {7: anna, 8: anna})
    leases.hold(anna, {8, 9})
    assert leases.of_others(ben) == {8: anna, 9: anna}
    now[0] = LEASE_S + 1
    assert leases.of_others(ben) == {}


def test_the_first_vote_of_two_stays_hidden(tmp_path):
    world = make_world(tmp_path, reviewers=2)
    anna, ben = browser(world), browser(world, "ben")
    link = next_link(anna)
    decide(anna, link, "reject", note="not at all")
    shown = ben.get(f"/api/link/{link['id']}").json()["link"]
    assert shown["state"] == "open"
    assert "anna" not in shown["html"]
    assert "not at all" not in ben.get("/progress").text
    decide(ben, shown, "accept")
    third = browser(world, "cleo").get(f"/api/link/{link['id']}").json()["link"]
    assert third["state"] == "third"
    assert "not at all" in third["html"]


def test_gold_looks_like_any_other_link(tmp_path):
    world = make_world(tmp_path)
    (tmp_path / "gold.csv").write_text(
        "vggsound_label,source,visual_label,relation\ncattle mooing,lvis,cow,same\n"
    )
    with world.open() as queue:
        truth = gold.read(str(tmp_path / "gold.csv"))
        intake.import_proposals(queue, PROPOSALS, intake.IntakeOptions(gold_rate=0.01), None, [], truth)
        item = next(item for item in queue.items() if item.gold)
        queue.decide(item.id, "anna", Answer(item.gold, note="I know"))
    client = browser(world, "ben")
    shown = client.get(f"/api/link/{item.id}").json()["link"]
    assert shown["state"] == "open"
    assert "gold" not in json.dumps(shown).lower()
    assert "I know" not in shown["html"] + client.get("/progress").text
    assert decide(client, shown).status_code == 200


def test_a_body_that_does_not_fit_is_explained(world):
    client = browser(world)
    link = next_link(client)
    for body in (b"[]", b"{", b"\xff"):
        assert client.post("/api/undo", content=body).status_code == 400
    assert (
        "revision"
        in client.post(f"/api/link/{link['id']}/decision", json={"verdict": "accept"}).json()["error"]
    )
    for more in ({"verdict": 3}, {"relation": "like"}, {"note": "x" * 501}, {"category": 7}):
        assert (
            client.post(
                f"/api/link/{link['id']}/decision", json={"verdict": "accept", "revision": 1} | more
            ).status_code
            == 400
        )
    assert client.get("/api/link/99999").status_code == 400
    assert "name" in browser(world, reviewer=None).get("/api/next").json()["error"]
    assert client.post("/api/reviewer", json={"name": "a\nb"}).status_code == 400


def test_a_name_is_kept_in_a_cookie_that_scripts_cannot_read(world):
    answer = browser(world, reviewer=None).post("/api/reviewer", json={"name": " Zoë K. "})
    assert answer.json()["reviewer"] == "Zoë K."
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=strict" in answer.headers["set-cookie"]


def test_without_an_index_the_page_does_not_say_that_nothing_is_there(tmp_path):
    shown = browser(make_world(tmp_path, media=False)).get("/api/next").json()["link"]["html"]
    assert shown.count("review import --index") == 2
    assert "lies below the corpora folder" not in shown
