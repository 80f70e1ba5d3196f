"""Ids of labels against their names: every use of a label map with corpora refuses files that mean other things."""

import csv
import json
import random
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner
from real_data import LABELS

import label_maps
from label_maps import LabelMap, Link
from pipelines.cli import main
from pipelines.corpora import labels
from pipelines.corpora.labels import NamedLabel
from pipelines.corpora.source import CorpusError

AVS = label_maps.load()
RECIPE = 'name = "t"\n[labels]\ncategories = ["dog"]\n[split]\ntrain = 1\nval = 0\ntest = 0\n'


def link(source: str, source_id: str, label: str, synset: str = "") -> Link:
    return Link("thing", source, source_id, label, synset, "same", "maintainers", "2026-01-01", "")


SMALL = LabelMap(
    "small",
    "1.0.0",
    (
        link("lvis", "3", "airplane", "airplane.n.01"),
        link("lvis", "207", "car_(automobile)", "car.n.01"),
        link("lvis", "378", "dog", "dog.n.01"),
        link("lvis", "964", "ski", "ski.n.01"),
        link("open_images", "/m/0bt9lr", "Dog"),
        link("open_images", "/m/01m2v", "Computer keyboard"),
        link("open_images", "/m/012n7d", "Ambulance"),
        link("audioset", "/m/0bt9lr", "Dog"),
    ),
)


def lvis(number: int, name: str, synset: str = "", file: str = "lvis.json") -> NamedLabel:
    return NamedLabel(file, "lvis", str(number), name, synset)


def classes(mid: str, name: str) -> NamedLabel:
    return NamedLabel("classes.csv", "open_images", mid, name)


@pytest.mark.parametrize(
    "named",
    [
        [lvis(3, "airplane", "airplane.n.01")],
        [lvis(3, "Aeroplanes"), lvis(207, "Car (automobile)"), lvis(964, "skis", "ski.n.01")],
        [lvis(207, "car-automobile")],
        [lvis(3, "", "airplane.n.01")],  # the synset says enough
        [lvis(3, "airplane"), lvis(378, "")],
        [lvis(4, "car"), lvis(5, "dog")],  # of ids that the map does not know
        [classes("/m/0bt9lr", "dog"), classes("/m/01m2v", "Computer-Keyboards"), classes("/m/012n7d", "")],
        [classes("/m/012n7d", "")],
        [classes("/m/0k4j", "Dog"), classes("/m/0bt9lr", "DOG")],
        [lvis(378, "dog", file="a"), lvis(378, "dogs", file="b")],
        [],
    ],
)
def test_names_that_agree_but_for_their_spelling(named: list[NamedLabel]) -> None:
    labels.check(named, SMALL)


@pytest.mark.parametrize(
    ("named", "words"),
    [
        (
            [lvis(3, "car"), lvis(378, "dog")],
            r"lvis.json, lvis label 3: here it is 'car', in label map small 1.0.0 'airplane'; 1 of the 2 labels that "
            r"both know disagree. Likely COCO 2017's own category ids. Give the official lvis_v1_train.json",
        ),
        ([lvis(1, "acorn"), lvis(378, "potato")], r"'potato'.*'dog'; 1 of the 1 .*Likely LVIS v0.5"),
        (
            [lvis(3, "dog"), lvis(378, "ski")],
            r"2 of the 2 .*Likely another version, or a subset .* numbered anew",
        ),
        ([lvis(378, "Hund")], r"'Hund'.*Likely the ids of another vocabulary, or names that were changed"),
        ([lvis(378, "dog", "cad.n.01")], r"here it is 'cad.n.01', in label map small 1.0.0 'dog.n.01'"),
        ([lvis(378, "", "cad.n.01")], r"here it is 'cad.n.01'"),
        ([lvis(207, "car")], r"'car'.*'car_\(automobile\)'"),  # what stands in brackets tells senses apart
        ([lvis(207, "car_(train)")], r"'car_\(train\)'"),
        ([lvis(378, "dog"), lvis(378, "potato")], r"'potato'"),  # one id twice
        ([lvis(378, "dog", file="a"), lvis(378, "cat", file="b")], r"^b, lvis label 378: here it is 'cat'"),
        (
            [classes("/m/0bt9lr", "Computer keyboard"), classes("/m/01m2v", "Dog")],
            r"open_images label /m/0bt9lr.*Likely rows were shifted or swapped. Give the official class-desc",
        ),
        ([classes("/m/0bt9lr", "狗")], "Likely a translated or edited list"),
        ([lvis(3, ""), lvis(378, "")], "none of its 2 labels that label map small knows has a name"),
        ([NamedLabel("p.csv", "audioset", "/m/0bt9lr", "Bark")], r"p.csv, audioset label /m/0bt9lr.*'Bark'"),
    ],
)
def test_a_file_that_means_other_things_is_refused(named: list[NamedLabel], words: str) -> None:
    with pytest.raises(CorpusError, match=words):
        labels.check(named, SMALL)


@pytest.mark.skipif(not LABELS.is_dir(), reason=f"the sources' label lists are not at {LABELS}")
def test_the_sources_own_lists_agree_and_any_shift_does_not() -> None:
    categories = json.loads((LABELS / "lvis_v1_categories.json").read_bytes())
    labels.check((lvis(each["id"], each["name"], each["synset"]) for each in categories), AVS)
    for shift in (-1, 1, 7):
        with pytest.raises(CorpusError, match="numbered anew"):
            labels.check((lvis(each["id"] + shift, each["name"]) for each in categories), AVS)
    for name in ("openimages_class-descriptions-boxable.csv", "openimages_challenge2019_segmentable300.csv"):
        rows = list(csv.reader((LABELS / name).open(encoding="utf-8")))
        labels.check((classes(*row) for row in rows), AVS)
        shifted = zip([row[0] for row in rows], [row[1] for row in rows[1:] + rows[:1]], strict=True)
        with pytest.raises(CorpusError, match="shifted or swapped"):
            labels.check((classes(*row) for row in shifted), AVS)


@pytest.mark.parametrize("seed", range(5))
def test_which_files_are_refused_against_a_plain_loop(seed: int) -> None:
    rng = random.Random(seed)
    names = [f"thing{letter}" for letter in "abcdef"]
    held = {str(number): rng.choice(names) for number in rng.sample(range(1, 30), 12)}
    small = LabelMap("m", "1", tuple(link("lvis", number, name) for number, name in held.items()))
    for _ in range(50):
        file = [lvis(number, rng.choice(names)) for number in rng.sample(range(1, 30), rng.randrange(1, 6))]
        wrong = [each for each in file if each.source_id in held and each.name != held[each.source_id]]
        if not wrong:
            labels.check(file, small)
            continue
        first = f"label {wrong[0].source_id}: here it is '{wrong[0].name}'"
        with pytest.raises(CorpusError, match=f"{first}.* {len(wrong)} of the"):
            labels.check(file, small)


@pytest.fixture
def coco(tmp_path: Path) -> str:
    """COCO's numbers in LVIS's place: the car would be an airplane; the recipe asks for dogs alone."""
    root = tmp_path / "corpora"
    image = {
        "id": 1,
        "width": 64,
        "height": 64,
        "license": 1,
        "coco_url": "http://x/train2017/000000000001.jpg",
    }
    square = [[0, 0, 40, 0, 40, 40, 0, 40]]
    text = {
        "images": [image],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "segmentation": square}],
        "licenses": [],
        "categories": [{"id": 3, "name": "car"}, {"id": 378, "name": "dog"}],
    }
    for folder in ("lvis", "vggsound"):
        (root / folder).mkdir(parents=True)
    (root / "lvis" / "lvis_v1_train.json").write_text(json.dumps(text))
    (root / "vggsound" / "vggsound.csv").write_text("abc,1,airplane,train\n")
    (tmp_path / "r.toml").write_text(RECIPE)
    return str(root)


SAYS = "lvis label 3: here it is 'car', in label map avs"


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_build_refuses_before_it_writes(coco: str, tmp_path: Path, more: tuple[str, ...]) -> None:
    out = tmp_path / "out"
    arguments = ["build", str(tmp_path / "r.toml"), "--corpora", coco, "--out", str(out), *more]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert SAYS in result.output
    assert not out.exists()


def test_plan_refuses(coco: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["plan", str(tmp_path / "r.toml"), "--corpora", coco])
    assert result.exit_code == 1
    assert SAYS in result.output


def test_fetch_refuses(coco: str, tmp_path: Path) -> None:
    fetch = '[fetch]\ncorpora = ["lvis", "vggsound"]\nsplits = ["train"]\n'
    (tmp_path / "r.toml").write_text(RECIPE + fetch)
    result = CliRunner().invoke(main, ["fetch", "plan", str(tmp_path / "r.toml"), "--corpora", coco])
    assert result.exit_code == 1
    assert SAYS in result.output


def test_review_refuses_an_index_proposals_and_vocabularies(coco: str, tmp_path: Path) -> None:
    index, proposals = str(tmp_path / "index"), tmp_path / "proposals.csv"
    assert CliRunner().invoke(main, ["index", "--corpora", coco, "--out", index]).exit_code == 0
    header = "audio_source,audio_label,source,visual_label,visual_id,score,method,decision,reason\n"
    bad, queue = tmp_path / "bad.csv", str(tmp_path / "q.sqlite")
    proposals.write_text(header)
    bad.write_text(f"{header}vggsound,airplane,lvis,car,3,0.9,head,review,because\n")
    for arguments in ((str(proposals), "--index", index), (str(proposals), "--corpora", coco), (str(bad),)):
        result = CliRunner().invoke(main, ["review", "import", *arguments, "--queue", queue])
        assert result.exit_code == 1, arguments
        assert SAYS in result.output
        assert not Path(queue).exists()


def test_a_queue_is_held_against_the_map_that_it_is_used_with(tmp_path: Path) -> None:
    from review_world import make_world

    world = make_world(tmp_path)
    with sqlite3.connect(world.queue_path) as connection:
        connection.execute("UPDATE labels SET name = 'potato' WHERE source_id = '378'")
    options = ["--queue", world.queue_path, "--map", str(world.map_path)]
    for command in (["apply", "--dry-run"], ["list", "--impact"]):
        result = CliRunner().invoke(main, ["review", *command, *options])
        assert result.exit_code == 1
        assert "lvis label 378: here it is 'potato', in label map small 1.0.0 'dog'" in result.output
