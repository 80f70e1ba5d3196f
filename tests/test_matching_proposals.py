"""`proposals.csv` and `avs-data match`, from generated label files to the file on disk."""

import csv
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from label_maps import Link
from label_maps.label_map import write
from pipelines.cli import main
from pipelines.corpora.lvis import lvis_labels
from pipelines.corpora.open_images_classes import open_images_labels
from pipelines.matching import proposals
from pipelines.matching.matcher import Matcher
from pipelines.matching.proposals import Proposal
from pipelines.matching.vocabularies import AudioLabel
from pipelines.review.intake import IntakeOptions, import_proposals
from pipelines.review.queue import Queue
from pipelines.review.records import Answer

HEADER = "audio_source,audio_label,source,visual_label,visual_id,score,method,decision,reason"
CATEGORIES = [
    {"id": 3, "name": "cow", "synonyms": ["cow"], "def": "cattle/cow"},
    {
        "id": 1,
        "name": "turkey_(food)",
        "synonyms": ["turkey_(food)"],
        "def": "flesh of large domesticated fowl",
    },
    {"id": 2, "name": "truck", "synonyms": ["truck"], "def": "an automotive vehicle"},
]
CLASSES = {"/m/1": "Cattle", "/m/2": "Turkey", "/m/3": "Truck", "/m/4": "Ice cream"}
STAT = """turkey gobbling,5,animals
cattle mooing,7,animals
"ice cream truck, ice cream van",9,vehicle
thunder,1,nature
"""


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    (tmp_path / "vggsound_stat.csv").write_text(STAT)
    (tmp_path / "lvis_v1_categories.json").write_text(json.dumps(CATEGORIES))
    (tmp_path / "openimages_class-descriptions-boxable.csv").write_text(
        "".join(f"{mid},{name}\n" for mid, name in CLASSES.items())
    )
    (tmp_path / "audioset_class_labels_indices.csv").write_text(
        'index,mid,display_name\n0,/m/1,"Cattle, bovinae"\n'
    )
    (tmp_path / "fsd50k_vocabulary.csv").write_text("0,Moo,/t/moo\n")
    return tmp_path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["match", *arguments])
    return result.exit_code, result.output


def test_the_command_writes_the_columns_in_order(labels: Path) -> None:
    out = labels / "proposals.csv"
    code, output = run("--labels", str(labels), "--out", str(out))
    assert code == 0, output
    lines = out.read_text().splitlines()
    assert lines[0] == HEADER
    rows = list(csv.DictReader(lines))
    accepted = {
        (row["audio_label"], row["source"], row["visual_label"], row["visual_id"])
        for row in rows
        if row["decision"] == "accept"
    }
    assert accepted == {
        ("cattle mooing", "lvis", "cow", "3"),
        ("cattle mooing", "open_images", "Cattle", "/m/1"),
        ("ice cream truck, ice cream van", "lvis", "truck", "2"),
        ("ice cream truck, ice cream van", "open_images", "Truck", "/m/3"),
        ("turkey gobbling", "open_images", "Turkey", "/m/2"),
    }
    refused = {(row["audio_label"], row["visual_label"]) for row in rows if row["decision"] == "reject"}
    assert {("turkey gobbling", "turkey_(food)"), ("ice cream truck, ice cream van", "Ice cream")} <= refused
    assert f"{len(rows)} rows in" in output


def test_rows_are_sorted_and_best_first(labels: Path) -> None:
    out = labels / "proposals.csv"
    run("--labels", str(labels), "--out", str(out))
    rows = proposals.read(str(out))
    assert [row.audio_label for row in rows] == sorted(row.audio_label for row in rows)
    for label in {row.audio_label for row in rows}:
        scores = [row.score for row in rows if row.audio_label == label]
        assert scores == sorted(scores, reverse=True)
    pairs = [(row.audio_label, row.source, row.visual_id) for row in rows]
    assert len(pairs) == len(set(pairs))


def test_order_of_files_and_hash_seed_do_not_change_the_bytes(labels: Path) -> None:
    written = []
    for seed in ("1", "2"):
        lines = STAT.splitlines(keepends=True)
        random.Random(seed).shuffle(lines)
        (labels / "vggsound_stat.csv").write_text("".join(lines))
        shuffled = random.Random(seed).sample(CATEGORIES, len(CATEGORIES))
        (labels / "lvis_v1_categories.json").write_text(json.dumps(shuffled))
        out = labels / f"{seed}.csv"
        command = "from pipelines.cli import main; main()"
        subprocess.run(
            [sys.executable, "-c", command, "match", "--labels", str(labels), "--out", str(out)],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            check=True,
            capture_output=True,
        )
        written.append(out.read_bytes())
    assert written[0] == written[1]


def test_a_file_reads_back_as_it_was(labels: Path) -> None:
    matcher = Matcher((*lvis_labels(CATEGORIES), *open_images_labels(CLASSES, None)))
    rows = list(
        proposals.rows(matcher, [AudioLabel("cattle mooing", "vggsound"), AudioLabel("a, b", "vggsound")])
    )
    proposals.write(str(labels / "again.csv"), rows)
    assert proposals.read(str(labels / "again.csv")) == rows


def test_other_columns_are_refused(labels: Path) -> None:
    (labels / "other.csv").write_text("label,score\n")
    with pytest.raises(ValueError, match=r"other\.csv: the header is.*starts with audio_source,audio_label"):
        proposals.read(str(labels / "other.csv"))


def test_further_audio_sources_are_named(labels: Path) -> None:
    out = labels / "more.csv"
    code, output = run("--labels", str(labels), "--out", str(out), "--audio", "audioset,fsd50k")
    assert code == 0, output
    rows = proposals.read(str(out))
    assert (rows[0].visual_label, rows[0].method, rows[0].score) == ("Cattle", "mid", 1.0)
    accepted = {
        (row.audio_source, row.audio_label, row.visual_label) for row in rows if row.decision == "accept"
    }
    assert {("audioset", "Cattle, bovinae", "cow"), ("fsd50k", "Moo", "cow")} <= accepted


def own(folder: Path, name: str, text: str) -> str:
    (folder / f"{name}.csv").write_text(text)
    return f"{name}={folder / name}.csv"


def test_vocabularies_of_ones_own_need_no_folder(tmp_path: Path) -> None:
    out = tmp_path / "proposals.csv"
    heard = own(tmp_path, "farm", "label,group,parent\nMoo,Animals,Cow\nrumble,,Truck\nbarking,odd sounds,\n")
    seen = own(
        tmp_path, "photos", "label,id,parent,synonyms\ncow,7,animal,cattle; ox\nLorry,,,truck\ndog,,animal,\n"
    )
    code, output = run("--audio", heard, "--visual", seen, "--out", str(out))
    assert code == 0, output
    rows = proposals.read(str(out))
    assert {(*row.key, row.decision) for row in rows} == {
        ("farm", "Moo", "photos", "7", "accept"),
        ("farm", "rumble", "photos", "Lorry", "accept"),
        ("farm", "barking", "photos", "dog", "accept"),
    }
    assert "Groups of sounds that say nothing, being unknown: odd sounds" in " ".join(output.split())


def test_equal_labels_of_two_sources_have_rows_each(labels: Path) -> None:
    out = labels / "proposals.csv"
    mine = own(labels, "mine", "label\ncattle mooing\n")
    code, output = run("--labels", str(labels), "--audio", "vggsound", "--audio", mine, "--out", str(out))
    assert code == 0, output
    sources = {row.audio_source for row in proposals.read(str(out)) if row.audio_label == "cattle mooing"}
    assert sources == {"vggsound", "mine"}


def test_explain_prints_and_writes_nothing(labels: Path) -> None:
    out = labels / "proposals.csv"
    code, output = run("--labels", str(labels), "--out", str(out), "--explain", "TURKEY gobbling")
    assert code == 0, output
    assert "'turkey gobbling' of vggsound" in output
    assert "open_images Turkey (/m/2), by name: 'turkey'; it sounds" in output
    assert "a homonym" in output
    assert not out.exists()
    assert "'zebra' of no vocabulary" in run("--labels", str(labels), "--explain", "zebra")[1]


def test_decisions_of_a_label_map_and_of_a_queue(labels: Path) -> None:
    (labels / "small.toml").write_text(
        'name = "small"\nversion = "1.0.0"\nlicence = "CC0-1.0"\ndescription = "for a test"\n'
    )
    about = ("anna", "2026-01-02", "")
    links = [
        Link("cow", "lvis", "3", "cow", "cow.n.01", "same", *about),
        Link("cow", "vggsound", "zorp wailing", "zorp wailing", "", "same", *about),
    ]
    write(labels / "small.csv", links)
    asked = ("--labels", str(labels), "--explain", "zorp at night")
    assert "accepted: none" in run(*asked)[1]
    assert "accepted for 'zorp wailing'" in run(*asked, "--decisions", str(labels / "small.csv"))[1]
    with Queue(str(labels / "review.sqlite"), create=True) as queue:
        row = Proposal("mine", "zorp wailing", "lvis", "cow", "3", 0.5, "name", "review", "")
        import_proposals(queue, [row], IntakeOptions())
        queue.decide(1, "anna", Answer("accept"))
    assert "accepted for 'zorp wailing'" in run(*asked, "--decisions", str(labels / "review.sqlite"))[1]
    with Queue(str(labels / "review.sqlite")) as queue:
        queue.undo("anna")
        queue.decide(1, "anna", Answer("reject"))
    assert "refused for 'zorp wailing'" in run(*asked, "--decisions", str(labels / "review.sqlite"))[1]
    code, output = run(*asked, "--decisions", "none.sqlite")
    assert (code, "there is no review queue" in " ".join(output.split())) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "give --labels, a folder of label files, or --corpora"),
        (["--labels", "a", "--corpora", "b"], "both --labels and --corpora are given"),
        (
            ["--labels", "a", "--audio", "urbansound"],
            "'urbansound' is no known vocabulary: give vggsound,audioset,fsd50k,esc50,folder_sounds, or",
        ),
        (["--labels", "a", "--audio", ","], "no vocabulary is named"),
        (["--labels", "a", "--audio", "Mine=a.csv"], "write NAME=FILE.csv with a NAME of a-z"),
        (["--labels", "a", "--audio", "mine="], "write NAME=FILE.csv"),
        (["--audio", "m=a.csv", "--audio", "m=b.csv"], "'m' is given twice, with different files"),
        (["--audio", "m=none.csv", "--visual", "v=none.csv"], "none.csv is not there"),
    ],
)
def test_bad_options_are_explained(arguments: list[str], text: str) -> None:
    code, output = run(*arguments)
    assert code in (1, 2)
    assert text in " ".join(output.replace("│", " ").split())


def test_a_missing_folder_is_explained_and_nothing_is_written(tmp_path: Path) -> None:
    out = tmp_path / "proposals.csv"
    code, output = run("--labels", str(tmp_path / "none"), "--out", str(out))
    assert code == 1
    assert "vggsound_stat.csv is not there" in " ".join(output.split())
    assert not out.exists()


def test_matching_without_semantics_imports_no_model() -> None:
    heavy = "{'torch', 'wordllama', 'apache_beam'}"
    command = f"import sys, pipelines.commands.match; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", command], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
