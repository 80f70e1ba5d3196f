"""Applying decisions: a clean diff, twice is once, taken-back decisions leave no trace, clashes are named."""

import csv
import errno
import io
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from review_world import BASE_LINKS, PROPOSALS, make_world, vocabulary

import label_maps
from label_maps import Link, load
from label_maps.label_map import write
from pipelines.commands.review import command
from pipelines.matching.vocabularies import AudioLabel
from pipelines.review import application, intake, labels, log_csv, rejected, spreadsheet
from pipelines.review.errors import ReviewError
from pipelines.review.queue import Queue
from pipelines.review.records import Answer
from shards import storage

COW, COWBELL, CATTLE = (PROPOSALS[n].key for n in range(3))


@pytest.fixture
def world(tmp_path):
    return make_world(tmp_path, media=False)


def decide(world, key, answer, reviewer="anna"):
    with world.open() as queue:
        item = queue.find(key)
        queue.decide(item.id, reviewer, Answer(answer) if isinstance(answer, str) else answer)
        return item.id


def apply(world):
    with world.open() as queue:
        planned = application.plan(queue, world.map_path, labels.synsets(queue))
    application.apply(planned)
    return planned


def test_accepts_join_the_map_with_reviewer_date_and_evidence(world):
    decide(world, COW, Answer("accept", relation="same", note="herd of cows"))
    apply(world)
    rows = {(link.source, link.source_id): link for link in load(world.map_path).links}
    assert set(BASE_LINKS) < set(rows.values())
    sound, sight = rows[("vggsound", "cattle mooing")], rows[("lvis", "80")]
    assert (sound.category, sight.category, sight.synset) == ("cow", "cow", "cow.n.01")
    assert sight.decided_by == "anna"
    note = '[vggsound:cattle mooing = lvis:80] score 0.620; head; a "cow" is one of cattle; reviewer: herd of cows'
    assert sight.note == sound.note == note


def test_the_diff_holds_the_new_rows_and_nothing_else(world):
    """git's own diff, on a map with a neighbour on each side."""
    before = world.map_path.read_bytes()
    decide(world, COW, "accept")
    with world.open() as queue:
        planned = application.plan(queue, world.map_path, labels.synsets(queue))
    assert world.map_path.read_bytes() == before  # a plan writes nothing
    application.apply(planned)
    old = world.root / "old.csv"
    old.write_bytes(before)
    shown = subprocess.run(
        ["git", "diff", "--no-index", "--numstat", str(old), str(world.map_path)],
        capture_output=True,
        text=True,
    ).stdout
    assert shown.split("\t")[:2] == ["2", "0"]
    assert [
        line for line in planned.diff().splitlines() if line.startswith("-") and not line.startswith("---")
    ] == []


def test_applying_twice_changes_nothing(world):
    decide(world, COW, "accept")
    decide(world, COWBELL, "reject")
    apply(world)
    files = [world.map_path.read_bytes(), rejected.path_for(world.map_path).read_bytes()]
    assert apply(world).diff() == ""
    assert [world.map_path.read_bytes(), rejected.path_for(world.map_path).read_bytes()] == files


def test_a_decision_taken_back_takes_its_rows_along(world):
    before = world.map_path.read_bytes()
    decide(world, COW, "accept")
    decide(world, COWBELL, "reject")
    apply(world)
    with world.open() as queue:
        queue.undo("anna")
        queue.undo("anna")
    apply(world)
    assert world.map_path.read_bytes() == before
    assert rejected.read(rejected.path_for(world.map_path)) == []


def test_an_accept_in_another_category_moves_the_rows(world):
    item_id = decide(world, COW, "accept")
    apply(world)
    with world.open() as queue:
        queue.undo("anna")
        queue.decide(item_id, "anna", Answer("accept", "cattle"))
    apply(world)
    assert load(world.map_path).link("lvis", "80").category == "cattle"


def test_two_links_of_one_sound_share_its_category_and_one_row(world):
    decide(world, COW, "accept")
    decide(world, CATTLE, "accept", "ben")
    apply(world)
    held = [link for link in load(world.map_path).links if link.category == "cow"]
    assert [(link.source, link.source_id) for link in held] == [
        ("lvis", "80"),
        ("open_images", "/m/01xq0k1"),
        ("vggsound", "cattle mooing"),
    ]
    assert held[1].decided_by == "ben"


def test_two_reviewers_stand_side_by_side(tmp_path):
    world = make_world(tmp_path, media=False, reviewers=2)
    decide(world, COW, "accept", "ben")
    apply(world)
    assert load(world.map_path).link("lvis", "80") is None  # one of two votes
    decide(world, COW, "accept", "anna")
    apply(world)
    assert load(world.map_path).link("lvis", "80").decided_by == "ben + anna"


def test_rejected_links_are_kept_beside_the_map(world):
    decide(world, COWBELL, Answer("reject", note="a bell"))
    apply(world)
    with open(rejected.path_for(world.map_path), newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["audio_source"], row["audio_label"], row["source"], row["visual_id"]) == COWBELL
    assert row["decided_by"] == "anna"
    assert row["note"].endswith("reviewer: a bell")


def test_links_that_another_queue_applied_stay(world, tmp_path):
    """A fresh queue knows nothing of the old one's decisions, and so takes nothing out."""
    decide(world, COW, "accept")
    decide(world, COWBELL, "reject")
    apply(world)
    files = [world.map_path.read_bytes(), rejected.path_for(world.map_path).read_bytes()]
    fresh = str(tmp_path / "fresh.sqlite")
    run = ["import", world.proposals_path, "--queue", fresh, "--map", str(world.map_path)]
    assert CliRunner().invoke(command, run).exit_code == 0
    with Queue(fresh) as queue:
        assert {queue.find(COW).state, queue.find(COWBELL).state} == {"accept", "reject"}
        planned = application.plan(queue, world.map_path, {})
    assert planned.diff() == ""
    application.apply(planned)
    assert [world.map_path.read_bytes(), rejected.path_for(world.map_path).read_bytes()] == files


def test_clashes_stop_apply_and_name_both_sides(world):
    bell = Link("bell", "lvis", "82", "cowbell", "cowbell.n.01", "same", "maintainers", "2026-01-02", "")
    ring = Link(
        "bell", "vggsound", "bell ringing", "bell ringing", "", "same", "maintainers", "2026-01-02", ""
    )
    moo = Link(
        "cow", "vggsound", "cattle mooing", "cattle mooing", "", "same", "maintainers", "2026-01-02", ""
    )
    cow = Link("cow", "lvis", "81", "calf", "calf.n.01", "same", "maintainers", "2026-01-02", "")
    write(world.map_path, [*BASE_LINKS, bell, ring, moo, cow])
    decide(world, COWBELL, "accept")
    decide(world, PROPOSALS[-1].key, "accept")
    before = world.map_path.read_bytes()
    options = ["--queue", world.queue_path, "--map", str(world.map_path)]
    stopped = CliRunner().invoke(command, ["apply", *options])
    assert stopped.exit_code == 1
    assert "'bell' and 'cow' would be joined" in stopped.output
    assert "1 clashes: nothing was written" in stopped.output
    assert world.map_path.read_bytes() == before
    rest = CliRunner().invoke(command, ["apply", *options, "--skip-clashes"])
    assert rest.exit_code == 0, rest.output
    assert load(world.map_path).link("lvis", PROPOSALS[-1].visual_id) is not None
    assert load(world.map_path).link("lvis", "82").category == "bell"


def test_an_lvis_label_without_synset_is_asked_for(world):
    decide(world, COW, "accept")
    with world.open() as queue, pytest.raises(ReviewError, match=r"LVIS label 80 .cow. has no synset"):
        application.plan(queue, world.map_path, {})


def test_the_commands_tell_the_whole_story(world, monkeypatch):
    """list, show, accept, reject, defer, undo, apply --dry-run, apply, export, agreement as a person runs them."""
    monkeypatch.setenv("AVS_REVIEWER", "anna")
    options = ["--queue", world.queue_path]
    named = [*options, "--map", str(world.map_path)]

    def run(*arguments, fails=False):
        result = CliRunner().invoke(command, [str(a) for a in arguments])
        assert (result.exit_code != 0) == fails, result.output
        return result.output

    with world.open() as queue:
        cow, bell, cattle = (queue.find(key).id for key in (COW, COWBELL, CATTLE))
    assert "cattle mooing" in run("list", *named, "--label", "cow")
    assert "a kind of Animal" in run("show", cow, *named)
    run("accept", cow, cattle, *options, "--category", "cow", "--note", "yes")
    run("reject", bell, *options)
    assert "anna decided" in run("reject", cow, *options, "--reviewer", "ben", fails=True)
    run("undo", *options)
    run("defer", bell, *options)
    assert "decision" in run("show", bell, *named)
    before = world.map_path.read_bytes()
    assert "+cow,lvis,80" in run("apply", *named, "--dry-run")
    assert world.map_path.read_bytes() == before
    assert "3 rows added" in run("apply", *named)
    rows = list(csv.DictReader(run("export", *options).splitlines()))
    mine = [row["decision"] for row in rows if row["origin"] == "person"]
    assert mine == ["accept", "accept", "reject", "undo", "defer"]
    assert [row["undone"] for row in rows if row["decision"] == "reject"] == ["1"]
    assert "nothing to compare yet" in run("agreement", *options)
    assert "is not in" in run("show", 999, *named, fails=True)
    assert "review import" in run("list", "--queue", world.root / "none.sqlite", fails=True)


def test_equal_labels_of_two_sources_keep_apart(tmp_path):
    heard = [PROPOSALS[0], replace(PROPOSALS[0], audio_source="audioset")]
    world = make_world(tmp_path, heard, media=False)
    with world.open() as queue:
        labels.load_sounds(
            queue, [AudioLabel("cattle mooing", "audioset", "/m/01h8n0"), AudioLabel("x", "fsd50k", "/m/0")]
        )
        assert {item.sound for item in queue.items()} == {
            ("vggsound", "cattle mooing"),
            ("audioset", "/m/01h8n0"),
        }
    decide(world, heard[1].key, "accept")
    apply(world)
    link = load(world.map_path).link("audioset", "/m/01h8n0")
    assert (link.label, link.category) == ("cattle mooing", "cow")
    assert load(world.map_path).link("vggsound", "cattle mooing") is None
    decide(world, heard[0].key, "reject")
    apply(world)
    assert load(world.map_path).link("audioset", "/m/01h8n0") == link


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_label_that_no_map_can_hold_stops_apply_before_anything_is_written(tmp_path):
    """A queue that was filled before labels were read without the spaces at their ends."""
    spaced = replace(PROPOSALS[0], audio_label="cattle mooing ")
    world = make_world(tmp_path, [PROPOSALS[1], PROPOSALS[2]], media=False)
    with world.open() as queue:
        intake.import_proposals(queue, [spaced], intake.IntakeOptions(), load(world.map_path))
        labels.load_labels(queue, vocabulary([*PROPOSALS[:3]]))
    decide(world, spaced.key, "accept")
    decide(world, COWBELL, "reject")
    before = files_of(world.map_path.parent)
    stopped = CliRunner().invoke(
        command, ["apply", "--queue", world.queue_path, "--map", str(world.map_path)]
    )
    assert stopped.exit_code == 1
    assert "'cattle mooing '" in stopped.output
    assert "nothing was written" in stopped.output
    assert files_of(world.map_path.parent) == before


@pytest.mark.parametrize("failing", [1, 2])
def test_apply_writes_all_or_nothing(world, monkeypatch, failing):
    """The disk is full at the first or at the second of the two files."""
    decide(world, COW, "accept")
    decide(world, COWBELL, "reject")
    before, real, opened = files_of(world.map_path.parent), storage.open_atomic, []

    class Full:
        def __init__(self, file):
            self.file = file

        def write(self, content):
            raise OSError(errno.ENOSPC, "No space left on device")

    @contextmanager
    def filling(url, durable=True):
        opened.append(url)
        with real(url, durable) as file:
            yield Full(file) if len(opened) == failing else file

    monkeypatch.setattr(storage, "open_atomic", filling)
    with pytest.raises(OSError, match="No space"):
        apply(world)
    assert files_of(world.map_path.parent) == before
    monkeypatch.undo()
    apply(world)
    assert load(world.map_path).link("lvis", "80")
    assert [link.key for link in rejected.read(rejected.path_for(world.map_path))] == [COWBELL]


def test_the_map_that_ships_is_changed_only_when_that_is_said(world, tmp_path):
    shipped = Path(label_maps.__file__).parent
    before = files_of(shipped)
    queue = str(tmp_path / "fresh.sqlite")
    rows = [replace(PROPOSALS[-1], audio_label="a new thing ringing", visual_label="zebra", visual_id="1202")]
    with Queue(queue, create=True) as opened:
        intake.import_proposals(opened, rows, intake.IntakeOptions(), load("avs"))
        opened.decide(1, "anna", Answer("reject", note="=1+1"))

    def run(*arguments):
        return CliRunner().invoke(command, ["apply", "--queue", queue, *arguments])

    for arguments in ((), ("--map", "avs")):
        refused = run(*arguments)
        assert refused.exit_code == 1
        assert "--to DIR" in refused.output
        assert "+vggsound,a new thing ringing" in refused.output
    assert run("--dry-run").exit_code == 0
    assert files_of(shipped) == before
    copied = run("--to", str(tmp_path / "maps"))
    assert copied.exit_code == 0, copied.output
    copy = tmp_path / "maps" / "avs.csv"
    assert load(copy).sha256 == load("avs").sha256
    here, there = (rejected.read(rejected.path_for(path)) for path in (copy, shipped / "avs.csv"))
    (added,) = set(here) - set(there)
    assert added.note.endswith("reviewer: =1+1")
    again = run()
    assert (again.exit_code, again.stdout) == (0, "")  # the queue's map is the copy from now on
    assert "is there already" in run("--to", str(tmp_path / "maps"), "--map", "avs").output
    assert files_of(shipped) == before


def test_no_cell_of_an_export_is_a_formula_and_reading_gives_back_what_was_said(world):
    """The cells that spreadsheets run, and those that look as if they had been made safe before."""
    cells = [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "＝1",
        "'=1",
        "''+1",
        "'tis",
        "'",
        "",
        "a=1",
        'ü\n,"',
    ]
    text = spreadsheet.to_csv([cells])
    (shown,) = csv.reader(io.StringIO(text, newline=""))
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝")) for cell in shown)
    assert spreadsheet.from_csv(text) == [cells]
    decide(world, COWBELL, Answer("reject", note="-cmd|' /C calc'!A0"))
    with world.open() as queue:
        exported = log_csv.to_csv(queue)
    header, row = spreadsheet.from_csv(exported)[0], spreadsheet.from_csv(exported)[-1]
    assert dict(zip(header, row, strict=True))["note"] == "-cmd|' /C calc'!A0"
    assert ",'-cmd" in exported
