"""From labels to data: match, review, apply, build; the manifest shows the category that a reviewer added."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

import label_maps
from label_maps.label_map import write
from pipelines.cli import main
from pipelines.review.queue import Queue

NEW = "lion"
# Twenty labels as people write them: the generated clips get fourteen of them in place of VGGSound's.
FREE = """label,group,parent,synonyms,definition
my alarm clock,,,,
ambulance passing by,street,,,
songbirds at dawn,animals,,,
an old bus,,,,
kitty mewing,animals,,,
two cats fighting,animals,,,
typing,,,keyboard typing,
the neighbour's dog,animals,,,
Woof-woof!,,the neighbour's dog,,
GUITAR strumming,music,,,
chopper,,,helicopter,
horses trotting,animals,,,
big cat roar (lion),animals,,,
upright piano,music,,,
rain on a roof,,,,
mains hum,,,,
distant thunder,nature,,,
zorp,,,,The noise of a vase.
synthetic choir,music,,,
ship,,,,
"""
HEARD = {
    "alarm clock ringing": "my alarm clock",
    "ambulance siren": "ambulance passing by",
    "bird chirping, tweeting": "songbirds at dawn",
    "driving buses": "an old bus",
    "cat meowing": "kitty mewing",
    "cat caterwauling": "two cats fighting",
    "typing on computer keyboard": "typing",
    "dog barking": "the neighbour's dog",
    "dog bow-wow": "Woof-woof!",
    "tapping guitar": "GUITAR strumming",
    "helicopter": "chopper",
    "horse neighing": "horses trotting",
    "lions roaring": "big cat roar (lion)",
    "playing piano": "upright piano",
}


def avs_data(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def build(corpora: str, folder: Path, name: str) -> dict:
    labels = f'name = "{name}"\n[labels]\nmap = "{folder / "avs.csv"}"\n'
    recipe = labels + "[split]\ntrain = 70\nval = 15\ntest = 15\n"
    (folder / f"{name}.toml").write_text(recipe)
    avs_data("build", folder / f"{name}.toml", "--corpora", corpora, "--out", folder / name)
    return json.loads((folder / name / "manifest.json").read_text())


@pytest.mark.slow
def test_a_reviewed_category_reaches_the_dataset(corpora, tmp_path):
    queue, map_path = tmp_path / "review.sqlite", tmp_path / "avs.csv"
    about = Path(label_maps.__file__).with_name("avs.toml").read_text()
    (tmp_path / "avs.toml").write_text(about.replace(f'"{NEW}", ', ""))  # it is in a group there
    write(map_path, [link for link in label_maps.load("avs").links if link.category != NEW])
    before = build(corpora, tmp_path, "before")

    avs_data("index", "--corpora", corpora, "--out", tmp_path / "index")
    avs_data("match", "--corpora", corpora, "--out", tmp_path / "proposals.csv")
    named = ("--queue", queue, "--map", map_path)
    avs_data(
        "review",
        "import",
        tmp_path / "proposals.csv",
        *named,
        "--corpora",
        corpora,
        "--index",
        tmp_path / "index",
    )
    with Queue(str(queue)) as opened:
        links = [i.id for i in opened.items() if i.proposal.audio_label == "lions roaring" and i.asked]
    assert len(links) == 2  # of LVIS and of Open Images
    assert "triplets in `lion`" in avs_data("review", "show", links[0], *named)
    avs_data("review", "accept", *links, "--queue", queue, "--reviewer", "a reader")
    assert f"+{NEW},vggsound,lions roaring" in avs_data("review", "apply", *named)

    after = build(corpora, tmp_path, "after")
    had, has = ({c for split in m["counts"].values() for c in split["categories"]} for m in (before, after))
    assert has - had == {NEW}
    assert had <= has
    assert before["label_map"]["sha256"] != after["label_map"]["sha256"] == label_maps.load(map_path).sha256


@pytest.mark.slow
def test_free_labels_of_ones_own_reach_the_dataset(corpora, tmp_path):
    mine = tmp_path / "corpora"
    shutil.copytree(corpora, mine)
    listed = mine / "vggsound" / "vggsound.csv"
    with listed.open(newline="") as file:
        clips = [[*row[:2], HEARD.get(row[2], row[2]), *row[3:]] for row in csv.reader(file)]
    with listed.open("w", newline="") as file:
        csv.writer(file).writerows(clips)
    (tmp_path / "free.csv").write_text(FREE)
    map_path, queue = tmp_path / "avs.csv", tmp_path / "review.sqlite"
    about = ("same", "maintainers", "2026-01-02", "")
    base = [
        label_maps.Link("dog", "lvis", "378", "dog", "dog.n.01", *about),
        label_maps.Link("dog", "vggsound", "dog barking", "dog barking", "", *about),
    ]
    (tmp_path / "avs.toml").write_text(
        'name = "avs"\nversion = "1.0.0"\nlicence = "CC0-1.0"\ndescription = "for a test"\n'
    )
    write(map_path, base)

    own = ("--corpora", mine, "--audio", f"vggsound={tmp_path / 'free.csv'}")
    avs_data("match", *own, "--out", tmp_path / "proposals.csv")
    named = ("--queue", queue, "--map", map_path)
    avs_data("review", "import", tmp_path / "proposals.csv", *named, *own, "--trust-accepts")
    with Queue(str(queue)) as opened:
        asked = [item.proposal for item in opened.items() if item.state == "open" and item.asked]
    assert ("zorp", "vase") in {(one.audio_label, one.visual_label) for one in asked}
    avs_data("review", "apply", *named)

    linked = {link.label for link in label_maps.load(map_path).links if link.source == "vggsound"}
    assert linked == {"dog barking", *HEARD.values()}
    built = build(mine, tmp_path, "free")
    categories = {name for split in built["counts"].values() for name in split["categories"]}
    assert len(label_maps.load(map_path).categories) == 12
    assert {"dog", "lion", "helicopter", "computer_keyboard"} <= categories
