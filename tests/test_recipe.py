"""Recipes: defaults, and every fault named at once."""

import tomllib
from pathlib import Path

import pytest

import avs_train
from pipelines.build.categorize import label_map_of
from pipelines.planning import forecast, workload
from pipelines.recipes import recipe
from shards.text import TextError


def test_the_recipes_that_ship_load() -> None:
    for path in recipe.RECIPES.glob("*.toml"):
        loaded = recipe.load(path.stem)
        assert loaded.text == path.read_text()
        assert recipe.load(str(path)) == loaded
    assert recipe.load("avs_synthetic").split.train == 52_609


def test_the_paper_s_recipe_has_its_policy_its_sizes_and_46_categories() -> None:
    paper = recipe.load("paper")
    assert (paper.select.instances, paper.split.exact) == ("instance", True)
    assert (paper.split.train, paper.split.val, paper.split.test) == (52_609, 5_000, 5_000)
    tables = tomllib.loads((Path(avs_train.__file__).parent / "published.toml").read_text())
    named = {
        "ambulance",
        "cat",
        "dog",
        "bus",
        "horse",
        "lion",
        "bird",
        "guitar",
        "piano",
        "computer_keyboard",
    }
    assert named <= set(paper.labels.categories)
    assert all(name in str(tables) for name in named)
    work = workload.published(label_map_of(paper.labels))
    assert len([name for name, count in work.candidates.items() if count]) == 46
    made = forecast.forecast(work, paper, forecast.load_rates(), forecast.Place(1))
    assert made.samples == 62_609
    for name in ("paper", "avs_synthetic"):
        assert recipe.load(name).about


def test_all_faults_are_reported_together() -> None:
    table = {
        "sed": 1,
        "select": {"instances": "all", "min_area_fraction": 3, "crowd": 1, "image_licences": "cc0"},
        "split": {"train": -1, "held_out": [1]},
        "shards": 3,
    }
    with pytest.raises(recipe.RecipeError) as caught:
        recipe.parse(table, "", "bad.toml")
    text = str(caught.value)
    for part in (
        "bad.toml has 10 fault(s)",
        "sed is unknown; known here: name, seed",
        "name is missing",
        "select.instances = 'all': one of union, instance, single",
        "select.min_area_fraction = 3.0: must be at least 0 and at most 1",
        "select.crowd = 1: takes true or false",
        "select.image_licences = 'cc0': takes a list of texts",
        "split.train = -1: must be at least 0",
        "split.held_out = [1]: takes a list of texts",
        "shards = 3: write it as a table",
        "select.min_area_fraction = 3.0 is above max_area_fraction",
    ):
        assert part in text


def test_rules_between_fields() -> None:
    table = {"name": "x", "select": {"min_area_fraction": 0.5, "max_area_fraction": 0.1}}
    with pytest.raises(recipe.RecipeError, match="nothing would be kept"):
        recipe.parse(table, "", "r")
    with pytest.raises(recipe.RecipeError, match="all 0"):
        recipe.parse({"name": "x", "split": {"train": 0, "val": 0, "test": 0}}, "", "r")


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(recipe.RecipeError, match=r"one of: .*\bavs_synthetic\b"):
        recipe.load("nothing_here")
    for content, error, said in (
        (b"name = ", recipe.RecipeError, "is not TOML"),
        (b"name = 'caf\xe9'", TextError, "line 1, byte 11: 0xe9 is not UTF-8"),
    ):
        (tmp_path / "r.toml").write_bytes(content)
        with pytest.raises(error, match=said):
            recipe.load(str(tmp_path / "r.toml"))


def test_a_name_that_is_no_text_is_a_fault_among_others() -> None:
    with pytest.raises(
        recipe.RecipeError, match=r"(?s)has 2 fault\(s\).*foo is unknown.*name = 5: takes a text"
    ):
        recipe.parse({"name": 5, "foo": 1}, "", "r.toml")
