"""The queue: what is asked, in which order; decisions that are kept, never doubled, and taken back by a row."""

import random
import sqlite3
from dataclasses import replace

import pytest
from review_world import PROPOSALS, make_world, write_proposals

from label_maps import Kinds, LabelMap, Link, load
from pipelines.matching import proposals
from pipelines.matching.proposals import Proposal, ProposalsError
from pipelines.review import intake, order, rejected, schema
from pipelines.review.errors import ReviewError
from pipelines.review.queue import Queue
from pipelines.review.records import Answer, Conflict

ACCEPT, REJECT, DEFER = Answer("accept"), Answer("reject"), Answer("defer")


@pytest.fixture
def world(tmp_path):
    return make_world(tmp_path, media=False)


@pytest.fixture
def queue(world):
    with world.open() as queue:
        yield queue


def reimport(queue, rows, world, **options):
    return intake.import_proposals(queue, rows, intake.IntakeOptions(**options), load(world.map_path))


def asked_in_order(queue, reviewer):
    seen = []
    while item := queue.next(reviewer, [i.id for i in seen]):
        seen.append(item)
    return seen


def test_asks_the_most_uncertain_first(queue):
    boundary = float(queue.meta("boundary"))
    assert boundary == pytest.approx(
        (0.12 + 0.95) / 2
    )  # halfway between the best reject and the worst accept
    plain = [p for p in PROPOSALS if p.decision != "reject" and p.audio_label != "dog barking"]
    plain.sort(key=lambda p: (p.decision == "accept", abs(p.score - boundary), p.key))
    assert [item.key for item in asked_in_order(queue, "anna")] == [p.key for p in plain]


def test_the_order_of_the_file_changes_nothing(tmp_path):
    rows = list(PROPOSALS)
    random.Random(4).shuffle(rows)
    orders = []
    for name, proposed in (("a", PROPOSALS), ("b", rows)):
        (tmp_path / name).mkdir()
        with make_world(tmp_path / name, proposed, media=False).open() as queue:
            orders.append([item.key for item in asked_in_order(queue, "anna")])
    assert orders[0] == orders[1]


def test_boundary_is_the_cut_with_the_fewest_errors():
    rng = random.Random(7)
    rows = [
        replace(PROPOSALS[0], score=round(rng.random(), 2), decision=rng.choice(["accept", "reject"]))
        for _ in range(60)
    ]

    def errors(cut):
        return sum((p.score >= cut) != (p.decision == "accept") for p in rows)

    found = order.find_boundary(rows)
    assert errors(found) == min(errors(cut / 1000) for cut in range(-1, 1002))


def test_nothing_decided_is_asked_again(queue, world):
    first, second = queue.next("anna"), queue.next("anna", [queue.next("anna").id])
    queue.decide(first.id, "anna", ACCEPT)
    queue.decide(second.id, "anna", REJECT)
    report = reimport(queue, PROPOSALS, world)
    assert (report.new, report.changed, report.unchanged) == (0, 0, len(PROPOSALS))
    assert {first.id, second.id}.isdisjoint(item.id for item in asked_in_order(queue, "anna"))


def test_a_changed_proposal_comes_back_with_both_sides(queue, world):
    item = queue.next("anna")
    queue.decide(item.id, "anna", REJECT)
    changed = replace(item.proposal, score=0.99, reason="now a synonym")
    report = reimport(queue, [changed if p.key == item.key else p for p in PROPOSALS], world)
    assert (report.changed, report.reopened) == (1, 1)
    again = queue.item(item.id)
    assert again.changed
    assert again.state == "open"
    assert again.outcome == "reject"  # stands until somebody decides anew
    assert (again.proposal, again.decided_proposal) == (changed, item.proposal)
    with pytest.raises(Conflict, match="changed while it was on your screen"):
        queue.decide(item.id, "ben", ACCEPT, revision=item.revision)
    queue.decide(item.id, "anna", ACCEPT, revision=again.revision)
    assert queue.item(item.id).outcome == "accept"


def test_a_score_that_differs_in_the_fourth_digit_is_the_same_proposal(queue, world):
    item = queue.next("anna")
    queue.decide(item.id, "anna", ACCEPT)
    near = replace(item.proposal, score=item.proposal.score + 0.0001)
    report = reimport(queue, [near if p.key == item.key else p for p in PROPOSALS], world)
    assert report.changed == 0


def test_undo_is_a_row_and_goes_back_step_by_step(queue):
    first = queue.next("anna")
    queue.decide(first.id, "anna", ACCEPT)
    second = queue.next("anna")
    queue.decide(second.id, "anna", DEFER)
    assert queue.next("anna").id not in (first.id, second.id)
    assert queue.undo("anna").verdict == "defer"
    assert queue.next("anna").id == second.id
    assert queue.undo("anna").item_id == first.id
    assert queue.next("anna").id == first.id
    assert [d.verdict for d in queue.decisions()][-4:] == ["accept", "defer", "undo", "undo"]
    with pytest.raises(ReviewError, match="no decision left to undo"):
        queue.undo("anna")


def test_undo_sent_twice_undoes_once(queue):
    for _ in range(2):
        queue.decide(queue.next("anna").id, "anna", ACCEPT)
    taken_back = [queue.undo("anna", request_id="u1") for _ in range(2)]
    assert taken_back[0] == taken_back[1]
    assert queue.progress("anna").mine == 1


def test_a_deferred_link_comes_last_for_its_reviewer_alone(queue):
    first = queue.next("anna")
    queue.decide(first.id, "anna", DEFER)
    assert asked_in_order(queue, "anna")[-1].id == first.id
    assert queue.next("ben").id == first.id


def test_the_second_decision_is_told_who_was_first(queue):
    item = queue.next("anna")
    queue.decide(item.id, "anna", ACCEPT, item.revision)
    with pytest.raises(Conflict, match=r"anna decided .* first: accept, \d{4}"):
        queue.decide(item.id, "ben", REJECT, item.revision)
    with pytest.raises(Conflict, match=r"you decided .* already"):
        queue.decide(item.id, "anna", REJECT, item.revision)
    assert len(queue.decisions(item.id)) == 1


def test_the_same_request_twice_is_one_decision(queue):
    item = queue.next("anna")
    first = queue.decide(item.id, "anna", ACCEPT, item.revision, "r1")
    assert queue.decide(item.id, "anna", ACCEPT, item.revision, "r1") == first
    with pytest.raises(ReviewError, match="request r1 was another decision"):
        queue.decide(item.id, "anna", REJECT, item.revision, "r1")
    assert len(queue.decisions(item.id)) == 1


@pytest.mark.parametrize(
    ("votes", "state", "waiting_for"),
    [
        ([("anna", ACCEPT)], "open", {"ben", "cleo"}),
        ([("anna", ACCEPT), ("ben", ACCEPT)], "accept", set()),
        ([("anna", REJECT), ("ben", REJECT)], "reject", set()),
        ([("anna", ACCEPT), ("ben", REJECT)], "third", {"cleo"}),
        ([("anna", Answer("accept", "cow")), ("ben", Answer("accept", "bull"))], "third", {"cleo"}),
        ([("anna", ACCEPT), ("ben", REJECT), ("cleo", REJECT)], "reject", set()),
        ([("anna", ACCEPT), ("ben", DEFER)], "open", {"ben", "cleo"}),
    ],
)
def test_two_reviewers_and_a_third_where_they_differ(tmp_path, votes, state, waiting_for):
    with make_world(tmp_path, media=False, reviewers=2).open() as queue:
        item = queue.next("anna")
        for reviewer, answer in votes:
            queue.decide(item.id, reviewer, answer, item.revision if reviewer == "ben" else None)
        assert queue.item(item.id).state == state
        asked = {
            name for name in ("anna", "ben", "cleo") if item.id in {i.id for i in asked_in_order(queue, name)}
        }
        assert asked == waiting_for


def test_the_state_of_a_link_follows_from_the_log_alone(tmp_path):
    """Random work by three people, against a plain replay of the log."""
    with make_world(tmp_path, media=False, reviewers=2).open() as queue:
        rng = random.Random(11)
        for _ in range(300):
            who = rng.choice(["anna", "ben", "cleo"])
            item = queue.next(who, rng.sample(range(1, 30), 12))
            if rng.random() < 0.25 and queue.progress(who).mine:
                queue.undo(who)
            elif item:
                queue.decide(item.id, who, rng.choice([ACCEPT, REJECT, REJECT, DEFER]))
        log = queue.decisions()
        undone = {d.undoes for d in log if d.verdict == "undo"}
        for item in queue.items():
            votes = [
                d.verdict for d in log if d.item_id == item.id and d.id not in undone and d.origin == "person"
            ]
            votes = [v for v in votes if v in ("accept", "reject")]
            if any(d.origin == "map" for d in log if d.item_id == item.id):
                continue
            expected = "open"
            if len(votes) >= 2:
                expected = votes[0] if votes[0] == votes[1] else votes[2] if len(votes) == 3 else "third"
            assert item.state == expected, (item.id, votes)


def test_the_log_cannot_be_rewritten(queue):
    queue.decide(queue.next("anna").id, "anna", ACCEPT)
    for statement in ("UPDATE decisions SET verdict = 'reject'", "DELETE FROM decisions"):
        with pytest.raises(sqlite3.IntegrityError, match="only appended"):
            queue.connection.execute(statement)


def test_an_import_that_fails_leaves_the_queue_as_it_was(queue, world, monkeypatch):
    before = [item.key for item in queue.items()]
    monkeypatch.setattr(order, "arrange", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        reimport(queue, [replace(PROPOSALS[0], audio_label="new sound")], world)
    assert [item.key for item in queue.items()] == before


def test_what_map_and_rejections_settle_is_not_asked_from_a_fresh_queue(tmp_path):
    world = make_world(tmp_path, media=False)
    refused = rejected.RejectedLink(
        "vggsound", "cattle mooing", "lvis", "82", "cowbell", "anna", "2026-02-03", "a bell"
    )
    with Queue(str(tmp_path / "fresh.sqlite"), create=True) as queue:
        report = intake.import_proposals(
            queue, PROPOSALS, intake.IntakeOptions(), load(world.map_path), [refused]
        )
        assert report.settled == 2  # and dog barking = dog, which the map holds
        assert {"cowbell", "dog"}.isdisjoint(i.proposal.visual_label for i in asked_in_order(queue, "ben"))


def test_what_the_map_says_of_kinds_is_settled(tmp_path):
    """Clapping comes from men, too; a man's singing not from any person, nor screams from a man of all people."""
    about = ("same", "maintainers", "2026-01-02", "")
    links = (
        Link("person", "lvis", "793", "person", "person.n.01", *about),
        Link("man", "open_images", "/m/04yx4", "Man", "", *about),
        Link("person", "vggsound", "clapping", "clapping", "", *about),
        Link("person", "vggsound", "screaming", "screaming", "", *about),
        Link("man", "vggsound", "male singing", "male singing", "", *about),
    )
    people = LabelMap("m", "1.0.0", links, Kinds({"man": "person"}, {"screaming": ()}))
    rows = [
        Proposal("vggsound", sound, source, name, number, 0.5, "head", "review", "")
        for sound in ("clapping", "screaming", "male singing", "rain")
        for source, name, number in (("lvis", "person", "793"), ("open_images", "Man", "/m/04yx4"))
    ]
    with Queue(str(tmp_path / "q.sqlite"), create=True) as queue:
        report = intake.import_proposals(queue, rows, intake.IntakeOptions(), people)
        settled = {(i.key[1], i.proposal.visual_label): i.outcome for i in queue.items() if not i.asked}
        answers = {d.item_id: d.category for d in queue.decisions() if d.verdict == "accept"}
        categories = {queue.item(number).proposal.visual_label: name for number, name in answers.items()}
    assert report.settled == 6
    assert settled == {
        ("clapping", "person"): "accept", ("clapping", "Man"): "accept",
        ("screaming", "person"): "accept", ("screaming", "Man"): "reject",
        ("male singing", "person"): "reject", ("male singing", "Man"): "accept",
    }  # fmt: skip
    assert categories == {"person": "person", "Man": "man"}


def test_trusted_accepts_are_decided_in_the_matchers_name(tmp_path):
    with make_world(tmp_path, media=False, trust_accepts=True).open() as queue:
        decided = [d for d in queue.decisions() if d.origin == "matcher"]
        assert [queue.item(d.item_id).proposal.visual_label for d in decided] == ["Cattle"]
        assert decided[0].reviewer == "matcher"


def test_an_answer_that_does_not_fit_is_refused(queue):
    item = queue.next("anna")
    for answer, reviewer, says in (
        (Answer("maybe"), "anna", "accept, reject or defer"),
        (Answer("accept", "Big Cow"), "anna", "not snake_case"),
        (Answer("accept", relation="like"), "anna", "one of same, kind_of, act_of"),
        (Answer("accept", note="a\nb"), "anna", "one line"),
        (ACCEPT, "", "a name has 1 to 40"),
    ):
        with pytest.raises(ReviewError, match=says):
            queue.decide(item.id, reviewer, answer)
    assert queue.decisions(item.id) == []


def test_people_are_called_as_they_are(queue):
    for name in ("Ana O'Neil", "Ana O\u2019Neil", "Łukasz", "李雷"):
        assert queue.decide(queue.next(name).id, name, DEFER).reviewer == name


def test_a_faulty_file_names_every_row(tmp_path):
    path = tmp_path / "p.csv"
    bad = [
        replace(PROPOSALS[0], score=1.5),
        replace(PROPOSALS[1], source="Co co"),
        replace(PROPOSALS[2], decision="perhaps"),
        replace(PROPOSALS[3], visual_id=""),
        PROPOSALS[5],
        PROPOSALS[5],
    ]
    write_proposals(str(path), bad)
    with pytest.raises(ProposalsError) as error:
        proposals.read(str(path))
    for part in (
        "5 rows",
        "p.csv:2: score is 1.5",
        ":3: source is 'Co co'",
        ":4: decision",
        ":5: ",
        ":7: ",
        "twice",
    ):
        assert part in str(error.value)
    path.write_text("a,b\n")
    with pytest.raises(ProposalsError, match="starts with audio_source,audio_label"):
        proposals.read(str(path))


def test_files_that_are_no_queue_are_refused(tmp_path):
    with pytest.raises(ReviewError, match="review import"):
        Queue(str(tmp_path / "none.sqlite"))
    text = tmp_path / "text.sqlite"
    text.write_text("not a database, but long enough to be read as one" * 10)
    with pytest.raises(ReviewError, match="cannot be used as a queue"):
        Queue(str(text))
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE t (x)")
    with pytest.raises(ReviewError, match="not a review queue"):
        Queue(str(other))
    newer = str(tmp_path / "newer.sqlite")
    Queue(newer, create=True).connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    older = str(tmp_path / "older.sqlite")
    Queue(older, create=True).connection.execute(f"PRAGMA user_version = {schema.VERSION - 1}")
    with pytest.raises(ReviewError, match="version 2; this program knows 3: apply its decisions"):
        Queue(older)
    with pytest.raises(ReviewError, match="newer program"):
        Queue(newer)
