"""From labels to data: match, review, apply, build; the manifest shows the category that a reviewer added."""

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
    shutil.copy(Path(label_maps.__file__).with_name("avs.toml"), tmp_path)
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
