"""What a queue asks first, and what it leaves out: against plain loops over the proposals and the drawn world."""

from dataclasses import replace

import pytest
from click.testing import CliRunner
from review_world import PROPOSALS, THINGS, make_world, write_proposals

from label_maps import Link, load
from pipelines.commands.review import command
from pipelines.review import intake
from pipelines.review.rejected import ANY, RejectedLink

WITH_PHOTOS = {str(1000 + n) for n in range(0, THINGS, 5)} | {"80", "/m/01xq0k1", "378"}
SOUNDS = {"cattle mooing", "dog barking", *(f"thing {n:02} ringing" for n in range(THINGS))}
ADDS = {"80": 3, "/m/01xq0k1": 1} | {
    str(1000 + n): 2 for n in range(0, THINGS, 5)
}  # photos of each in the world


def open_links(queue):
    return [item for item in queue.items() if item.asked and item.state == "open"]


def test_the_uncertain_and_the_useful_come_first_and_what_adds_nothing_not_at_all(tmp_path):
    with make_world(tmp_path, ask_all=False).open() as queue:
        asked, everything = open_links(queue), list(queue.items())
        boundary, progress = float(queue.meta("boundary")), queue.progress("anna")
    wanted = [p for p in PROPOSALS if p.decision != "reject" and p.audio_label != "dog barking"]
    useful = [p for p in wanted if p.audio_label in SOUNDS and p.visual_id in WITH_PHOTOS]
    assert {item.key for item in asked} == {p.key for p in useful}
    assert progress.left_out == len(wanted) - len(useful) == 26
    ordinary = [item.proposal for item in everything]
    adds = {item.key: item.adds or 0 for item in everything}
    assert {p.key: adds[p.key] for p in useful} == {p.key: ADDS[p.visual_id] for p in useful}

    def place(p):
        nearer = sum(abs(q.score - boundary) < abs(p.score - boundary) for q in ordinary)
        larger = sum(adds[q.key] > adds[p.key] for q in ordinary)
        return (p.decision == "accept", nearer + larger, p.key)

    assert [item.key for item in asked] == [p.key for p in sorted(useful, key=place)]


def test_ask_all_asks_what_adds_nothing_last_and_a_larger_index_asks_it_too(tmp_path):
    world = make_world(tmp_path, ask_all=False)
    with world.open() as queue:
        left_out = {item.key for item in queue.items() if item.adds == 0}
        label_map = load(world.map_path)
        report = intake.import_proposals(queue, PROPOSALS, intake.IntakeOptions(ask_all=True), label_map)
        assert (report.left_out, report.asked) == (0, 34)
        assert {item.key for item in open_links(queue)[-len(left_out) :]} == left_out
        assert intake.import_proposals(queue, PROPOSALS, intake.IntakeOptions(), label_map).left_out == 26
        found = next(item for item in queue.items() if item.adds == 0)
        made = intake.add_target(queue, found.key[:2], *found.key[2:], found.proposal.visual_label, "anna")
        assert made.asked  # somebody asked for it
        queue.connection.execute("UPDATE label_images SET source_id = '1001' WHERE source_id = '1000'")
        intake.import_proposals(queue, PROPOSALS, intake.IntakeOptions(), label_map)
        asked = {item.key[3] for item in open_links(queue)}
    assert "1001" in asked
    assert "1000" not in asked


def test_a_link_that_clashes_comes_after_those_that_fit(tmp_path):
    row = replace(PROPOSALS[0], visual_label="calf", visual_id="81", score=0.53)
    world = make_world(tmp_path, [*PROPOSALS[:2], row], ask_all=False)
    moo = Link("cow", "vggsound", "cattle mooing", "cattle mooing", "", "same", "m", "2026-01-02", "")
    calf = Link("calf", "lvis", "81", "calf", "calf.n.01", "same", "m", "2026-01-02", "")
    label_map = load(world.map_path)
    with world.open() as queue:
        intake.import_proposals(
            queue,
            [*PROPOSALS[:2], row],
            intake.IntakeOptions(),
            replace(label_map, links=(*label_map.links, moo)),
        )
        item = queue.find(row.key)
        queue.connection.execute("UPDATE items SET wanted = 1 WHERE id = ?", (item.id,))
        queue.decide(queue.find(PROPOSALS[0].key).id, "anna", intake.Answer("accept", "bovine"))
        report = intake.import_proposals(
            queue,
            [*PROPOSALS[:2], row],
            intake.IntakeOptions(),
            replace(label_map, links=(*label_map.links, calf)),
        )
        assert (report.settled, queue.find(row.key).adds, open_links(queue)[-1].key) == (0, None, row.key)


def test_what_the_map_decides_is_settled_in_an_old_queue_too(tmp_path):
    """Refused with all labels of a source, refused alone, and two labels that the map keeps apart; what somebody has
    answered stays theirs.
    """
    world = make_world(tmp_path, media=False)
    about = ("maintainers", "2026-11-28", "why")
    refused = [
        RejectedLink("vggsound", "thing 00 ringing", "lvis", ANY, ANY, *about),
        RejectedLink("vggsound", "thing 01 ringing", "lvis", "1001", "thing_01", *about),
        RejectedLink("vggsound", "cattle mooing", "lvis", ANY, ANY, *about),
    ]
    label_map = load(world.map_path)
    apart = (
        Link(
            "thing_2", "vggsound", "thing 02 ringing", "thing 02 ringing", "", "same", "m", "2026-01-02", ""
        ),
        Link("other", "lvis", "1002", "thing_02", "thing.n.01", "same", "m", "2026-01-03", ""),
    )
    with world.open() as queue:
        queue.decide(queue.find(PROPOSALS[0].key).id, "anna", intake.Answer("accept"))
        report = intake.import_proposals(
            queue,
            PROPOSALS,
            intake.IntakeOptions(),
            replace(label_map, links=(*label_map.links, *apart)),
            refused,
        )
        settled = {item.key[1:] for item in queue.items() if item.outcome == "reject"}
        assert report.settled == len(settled) == 4
        assert settled == {
            ("thing 00 ringing", "lvis", "1000"),
            ("thing 01 ringing", "lvis", "1001"),
            ("thing 02 ringing", "lvis", "1002"),
            ("cattle mooing", "lvis", "82"),  # cowbell; Cattle is a label of Open Images
        }
        assert queue.find(PROPOSALS[0].key).outcome == "accept"


@pytest.fixture
def run():
    def call(*arguments):
        return CliRunner().invoke(command, [str(argument) for argument in arguments])

    return call


def test_the_queue_remembers_its_map_and_its_corpora(tmp_path, run, monkeypatch):
    world = make_world(tmp_path / "world", media=True)
    queue = tmp_path / "own.sqlite"
    monkeypatch.chdir(tmp_path)
    named = ("--map", "world/maps/small.csv", "--corpora", "world/corpora", "--index", "world/index")
    # no vocabulary of LVIS lies in the drawn corpora
    imported = run("import", world.proposals_path, "--queue", queue, *named[:2], *named[4:])
    assert imported.exit_code == 0, imported.output
    assert "26 more are left out" in imported.output
    with world.open() as other:
        other.set_meta(corpora=tmp_path / "world/corpora")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run("import", world.proposals_path, "--queue", queue).exit_code == 0  # of the same map
    assert "triplets in `cow`" in run("list", "--queue", queue, "--impact", "--json").output
    link = run("list", "--queue", queue, "--label", "dog", "--state", "all").output
    assert "accept" in link  # dog barking = dog, as small.csv has it
    served = []
    monkeypatch.setattr("pipelines.review.server.run.serve", lambda *given: served.append(given))
    assert run("serve", "--queue", world.queue_path, "--map", world.map_path).exit_code == 0
    assert run("serve", "--queue", queue).exit_code == 0
    assert [given[1] for given in served] == [world.map_path, world.map_path]
    assert served[0][2] == world.corpora
    run("reject", 1, "--queue", queue, "--reviewer", "anna")
    assert run("apply", "--queue", queue).exit_code == 0
    assert (world.map_path.parent / "rejected/small.csv").is_file()
    world.map_path.unlink()
    assert "name it with --map" in run("apply", "--queue", queue).output


def test_labels_come_without_spaces_at_their_ends(tmp_path, run):
    world = make_world(tmp_path, PROPOSALS[:1], media=False)
    spaced = replace(PROPOSALS[1], audio_label="cattle mooing ", visual_label=" cowbell")
    write_proposals(world.proposals_path, [spaced])
    named = ("--queue", world.queue_path, "--map", world.map_path)
    assert run("import", world.proposals_path, *named).exit_code == 0
    with world.open() as queue:
        item = queue.find(PROPOSALS[1].key)
        queue.decide(item.id, "anna", intake.Answer("reject"))
    applied = run("apply", *named)
    assert applied.exit_code == 0, applied.output
    write_proposals(world.proposals_path, [replace(PROPOSALS[1], audio_label="cattle\u2028mooing")])
    assert "without control characters" in run("import", world.proposals_path, *named).output
