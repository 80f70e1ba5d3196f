"""Twenty browsers at once, and a server that is killed: what was acknowledged is there, and there once."""

import contextlib
import csv
import http.client
import io
import json
import random
import threading
from collections import Counter
from dataclasses import replace
from urllib.parse import urlsplit

from review_page import served
from review_world import PROPOSALS, make_world

from pipelines.review import application, labels, log_csv
from pipelines.review.errors import ReviewError
from pipelines.review.records import Answer

CLIENTS = 20
LINKS = 120


def hammer(address, reviewer, links, acknowledged, enough, start):
    """Decide every link until the server is gone; note what it acknowledged."""
    where = urlsplit(address)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=20)
    headers = {
        "cookie": f"avs_reviewer={reviewer}",
        "origin": address,
        "content-type": "application/json",
        "connection": "keep-alive",
    }
    random.Random(reviewer).shuffle(links)
    connection.connect()
    start.wait()
    for link in links:
        try:
            body = json.dumps({"verdict": random.Random(link).choice(["accept", "reject"]), "revision": 1})
            connection.request("POST", f"/api/link/{link}/decision", body, headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            return
        assert response.status in (200, 409), answer
        if response.status == 200:
            acknowledged.append((link, reviewer, answer["decision"]))
            if len(acknowledged) >= enough:
                return


def storm(address, links, enough, then=lambda: None):
    acknowledged, start = [], threading.Barrier(CLIENTS)
    threads = [
        threading.Thread(target=hammer, args=(address, f"r{n}", list(links), acknowledged, enough, start))
        for n in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if len(acknowledged) >= enough // 2:
            then()
        threads[0].join(0.01)
        for thread in threads:
            thread.join(0.001)
    return acknowledged


def test_twenty_clients_and_kill_9(tmp_path):
    rows = [replace(PROPOSALS[-1], visual_id=str(n), visual_label=f"v{n}") for n in range(LINKS)]
    world = make_world(tmp_path, rows, media=False)
    with world.open() as queue:
        links = [item.id for item in queue.items()]
    with served(world) as (address, process):
        acknowledged = storm(address, links, 80, process.kill)
    assert 40 <= len(acknowledged) < LINKS
    assert len({reviewer for _, reviewer, _ in acknowledged}) > 2  # it was a crowd
    with world.open() as queue:
        assert queue.connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        log = {decision.id: (decision.item_id, decision.reviewer) for decision in queue.decisions()}
        for link, reviewer, decision in acknowledged:
            assert log[decision] == (link, reviewer)
    with served(world) as (address, _):
        acknowledged += storm(address, links, LINKS * CLIENTS)
    with world.open() as queue:
        decided = Counter(decision.item_id for decision in queue.decisions())
    assert decided == dict.fromkeys(links, 1)  # each link once, by one of twenty
    # an answer may be lost with the server, a decision never: at most one a client was on its way
    assert LINKS - CLIENTS <= len(acknowledged) <= LINKS


def test_reading_while_others_write_sees_one_state(tmp_path):
    """A link counts as accepted where a decision says so in the same state, and an undo never comes alone."""
    world = make_world(tmp_path, media=False)
    stop = threading.Event()
    written = []

    def write(reviewer):
        with world.open() as queue:
            while not stop.is_set():
                item = queue.next(reviewer, [i for i in range(60) if i % 3 != int(reviewer[1])])
                with contextlib.suppress(ReviewError):
                    if item:
                        queue.decide(item.id, reviewer, Answer("accept"))
                    written.append(queue.undo(reviewer).id)

    threads = [threading.Thread(target=write, args=(f"r{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    try:
        with world.open() as queue:
            while len(written) < 150 and any(thread.is_alive() for thread in threads):
                planned = application.plan(queue, world.map_path, labels.synsets(queue))
                added = set(planned.map_after) - set(planned.map_before)
                assert {link.decided_by for link in added} <= {"r0", "r1", "r2"}
                with queue.reading():
                    accepted = {link.item_id for link in application.accepted_links(queue)}
                    decided = [d for d in queue.decisions() if d.origin != "map" and not d.undone]
                standing = {d.item_id for d in decided if d.verdict == "accept"}
                assert accepted == standing
                log = list(csv.DictReader(io.StringIO(log_csv.to_csv(queue))))
                undone = {row["decision_id"] for row in log if row["undone"] == "1"}
                assert {row["undoes"] for row in log} - {""} == undone
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert len(written) >= 150
