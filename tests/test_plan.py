"""Plans against plain loops, properties that any plan has, and made cases whose limit is known."""

import csv
import json
import re
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import label_maps
from pipelines import cli
from pipelines.build.categorize import label_map_of
from pipelines.build.index import index
from pipelines.planning import forecast, workload
from pipelines.planning.forecast import Place
from pipelines.recipes import recipe

MAP = label_maps.load("avs")
RECIPE = recipe.load("avs_synthetic")
UNCAPPED = replace(RECIPE, select=replace(RECIPE.select, per_class_cap=0))
RATES = forecast.load_rates()
FULL = workload.published(MAP)
WORKERS = st.integers(1, 5_000)


def run(*arguments, ok=True):
    result = CliRunner().invoke(cli.main, ["plan", *map(str, arguments)], catch_exceptions=False)
    assert (result.exit_code == 0) == ok, result.output
    return result.stdout if ok else result.output


def seconds(made):
    return {step.name: seconds for step, seconds, _ in made.steps}


@given(st.floats(0.001, 300), WORKERS, WORKERS, st.booleans())
def test_more_workers_are_never_slower_nor_faster_than_in_line(factor, some, more, local):
    few, many = sorted((some, more))
    place = Place if local else Place.object_store
    slow, fast = (
        seconds(forecast.forecast(FULL.scaled(factor), RECIPE, RATES, place(count))) for count in (few, many)
    )
    for name in slow:
        assert fast[name] <= slow[name] * (1 + 1e-9), name
        assert fast[name] * many >= slow[name] * few * (1 - 1e-9), name


@given(st.floats(0.01, 300))
def test_twice_the_data_is_twice_the_work(factor):
    once, twice = (
        forecast.forecast(FULL.scaled(times), UNCAPPED, RATES, Place(1)) for times in (factor, 2 * factor)
    )
    assert twice.samples == pytest.approx(2 * once.samples)
    assert twice.dataset_bytes == pytest.approx(2 * once.dataset_bytes)
    for (one, _, _), (other, _, _) in zip(once.steps, twice.steps, strict=True):
        assert other.bytes == pytest.approx(2 * one.bytes)
        if one.name not in ("start", "finish"):  # a build starts once; shards are whole numbers
            assert other.cpu_s == pytest.approx(2 * one.cpu_s)


def test_work_is_what_a_loop_over_items_adds_up():
    small = workload.Workload(
        listed={"lvis": 7, "open_images": 5, "vggsound": 6}, masks=12, clips=6,
        annotation_bytes=1_000, categorized_masks=8, mask_files=3, photos_of={"lvis": 3, "open_images": 1},
        candidates={"dog": 4, "cat": 1}, clips_in={"vggsound": {"dog": 4}}, photo_bytes=100, clip_bytes=50,
    )  # fmt: skip
    one = forecast.Rates(
        forecast.Seconds(
            **{f.name: 2.0**-i for i, f in enumerate(fields(forecast.Seconds))}
            | {"index": {"lvis": 0.3, "vggsound": 0.7, "other": 0.11}}
        ),
        forecast.Bytes(**{f.name: 10.0 * i for i, f in enumerate(fields(forecast.Bytes), 1)}),
        forecast.Kept(1.0, 0.75, 0.75),
    )
    s, b = one.seconds, one.bytes
    cpu = dict.fromkeys(("index", "measure", "convert", "shard"), 0.0)
    moved = dict.fromkeys(("measure", "convert", "shard"), 0.0)
    for _ in range(7):
        cpu["index"] += s.index["lvis"]
    for _ in range(5):
        cpu["index"] += s.index["other"]
    for _ in range(6):
        cpu["index"] += s.index["vggsound"]
    for number in range(8):
        cpu["measure"] += s.measure
        moved["measure"] += (100 if number < 4 else 0) + (b.mask_png if number < 3 else 0)
    for number in range(4):
        cpu["convert"] += s.convert
        moved["convert"] += 50 + (b.flac if number < 3 else 0)
    for _ in range(3):  # four candidates under a cap of three dogs, three of them paired
        cpu["shard"] += s.shard
        moved["shard"] += 100 + b.flac + 100 + b.flac + b.mask_png + b.record
    capped = replace(RECIPE, select=replace(RECIPE.select, per_class_cap=3))
    made = forecast.forecast(small, capped, one, Place(1))
    steps = {step.name: step for step, _, _ in made.steps}
    assert made.samples == 3
    assert {name: steps[name].cpu_s for name in cpu} == pytest.approx(cpu)
    assert {name: steps[name].bytes for name in moved} == pytest.approx(moved)
    assert made.dataset_bytes == 3 * (100 + b.flac + b.mask_png + b.record) + 3 * b.flac


def quick(**slow):
    """Rates of a machine that does everything in a nanosecond, but for `slow`."""
    costs: dict = {f.name: slow.get(f.name, 1e-9) for f in fields(forecast.Seconds)}
    costs["index"] = {"other": 1e-9, **slow.get("index", {})}
    return replace(RATES, seconds=forecast.Seconds(**costs))


@pytest.mark.parametrize(
    ("slow", "place", "step", "bound"),
    [
        ({"convert": 10.0}, Place(4), "convert", "processor"),
        ({"index": {"open_images": 1.0}}, Place(500), "index", "one process"),
        ({"finish_sample": 1.0}, Place(500), "finish", "one process"),
        ({"convert": 10.0}, Place(500), "convert", "tasks"),
        ({}, Place(2, latency_s=60.0), "measure", "network"),
        ({}, Place(2, worker_mbit=1.0), "shard", "network"),
        ({}, Place(200, requests_per_s=1.0), "measure", "store"),
    ],
)
def test_the_limit_is_found_where_it_was_put(slow, place, step, bound):
    limit, _, found = forecast.forecast(FULL, UNCAPPED, quick(**slow), place).limit
    assert (limit.name, found) == (step, bound)


def test_published_sizes_are_the_lists_own():
    with open(workload.HERE / "published.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    usual = MAP.of_sources({"lvis", "open_images", "vggsound"})
    linked = {(link.source, link.source_id) for link in usual.links if usual.is_used(link)}
    assert ("vggsound", "baby crying") not in linked
    pairs = clips = 0
    for row in rows:
        if (row["source"], row["source_id"]) in linked:
            pairs += int(row["count"]) if row["source"] == "lvis" else 0
            clips += int(row["count"]) if row["source"] == "vggsound" else 0
    assert sum(int(row["count"]) for row in rows if row["source"] == "vggsound") == FULL.clips == 199_176
    assert FULL.categorized_clips == clips
    assert sum(FULL.candidates.values()) > pairs > 50_000
    dog = workload.published(MAP.restricted(("dog",)))
    assert dog.masks == FULL.masks  # all annotations are read for one category too
    assert dog.candidates == {"dog": FULL.candidates["dog"]}


def test_counted_corpora_are_what_was_put_there(tmp_path):
    """Three photos, two of them there; five masks, four of linked categories; three clips, two of linked sounds."""
    lvis = [link for link in MAP.links if link.source == "lvis"]
    first, other = lvis[0], next(link for link in lvis if link.category != lvis[0].category)
    heard = next(link for link in MAP.links if link.source == "vggsound" and MAP.is_used(link))
    sound, category = heard.source_id, heard.category
    square = [[10.0, 10.0, 50.0, 10.0, 50.0, 50.0, 10.0, 50.0]]
    shown = [(1, first), (1, first), (1, other), (2, first), (3, None)]
    record = {
        "images": [
            {"id": i, "width": 640, "height": 480, "license": 1, "flickr_url": "",
             "coco_url": f"http://images.cocodataset.org/train2017/{i:012d}.jpg"}
            for i in (1, 2, 3)
        ],
        "annotations": [
            {"id": n, "image_id": image, "category_id": int(link.source_id) if link else 1203, "segmentation": square,
             "area": 1600.0, "bbox": [10, 10, 40, 40]}
            for n, (image, link) in enumerate(shown, 1)
        ],
        "categories": [{"id": i, "name": f"c{i}", "synset": f"c{i}.n.01"} for i in range(1, 1204)],
        "licenses": [{"id": 1, "url": "", "name": ""}],
    }  # fmt: skip
    assert ("lvis", "1203") not in {(link.source, link.source_id) for link in MAP.links}
    photos, clips = tmp_path / "lvis" / "images" / "train2017", tmp_path / "vggsound" / "clips"
    for folder in (photos, clips):
        folder.mkdir(parents=True)
    (tmp_path / "lvis" / "lvis_v1_train.json").write_text(json.dumps(record))
    for number, size in ((1, 1_000), (2, 3_000)):
        (photos / f"{number:012d}.jpg").write_bytes(bytes(size))
    (clips / "abcdefghijk_000010.wav").write_bytes(bytes(500))
    with open(tmp_path / "vggsound" / "vggsound.csv", "w", newline="") as file:
        csv.writer(file).writerows(
            [
                ["abcdefghijk", 10, sound, "train"],
                ["lmnopqrstuv", 20, sound, "test"],
                ["ABCDEFGHIJK", 0, "silence", "train"],
            ]
        )
    size = sum(
        path.stat().st_size for path in (*tmp_path.glob("lvis/*.json"), *tmp_path.glob("vggsound/*.csv"))
    )
    assert workload.counted(str(tmp_path), MAP) == workload.Workload(
        listed={"lvis": 5, "vggsound": 3}, masks=5, clips=3,
        annotation_bytes=size, categorized_masks=4, mask_files=0, photos_of={"lvis": 2},
        candidates={first.category: 2, other.category: 1}, clips_in={"vggsound": {category: 2}},
        photo_bytes=2_000, clip_bytes=500,
    )  # fmt: skip


def test_photos_that_corpora_share_count_once(every_corpus, tmp_path):
    """Against the tables of the index in a plain loop, and in the published sizes."""
    label_map = MAP.of_sources({"lvis", "coco", "vggsound"})
    work = workload.counted(every_corpus, label_map, names=("lvis", "coco", "vggsound"))
    tables = index(every_corpus, str(tmp_path), names=("lvis", "coco", "vggsound"))
    seen, both = set(), set()
    for row in pq.read_table(tables.masks).to_pylist():
        if link := label_map.link(row["corpus"], row["label_id"]):
            number = row["image_id"].partition(":")[2]
            seen.add((number, link.category))
            both.add((row["corpus"], number))
    photos = {number for number, _ in seen}
    assert len(both) > len(photos) == work.photos  # some are of both corpora
    assert work.candidates == Counter(category for _, category in seen)

    alone = {name: workload.published(MAP, [name, "vggsound"]) for name in ("lvis", "coco")}
    together = workload.published(MAP, ["lvis", "coco", "vggsound"])
    for category, count in together.candidates.items():
        assert count == max(each.candidates.get(category, 0) for each in alone.values())
    assert together.photos == max(each.photos for each in alone.values())


def test_categories_are_told_with_the_clips_of_each_corpus():
    """What AudioSet and the others bring: clips before and after."""
    made = json.loads(run("avs_wide", "--json"))["categories"]
    before = json.loads(run("avs_synthetic", "--json"))["categories"]
    assert set(before) < set(made)
    for category, has in before.items():
        assert made[category]["clips"]["vggsound"] == has["clips"]["vggsound"]
        assert set(has["clips"]) == {"vggsound"}
    page = (Path(label_maps.__file__).parent / "README.md").read_text()
    all_clips = {category: sum(has["clips"].values()) for category, has in made.items()}
    of_vggsound = {category: has["clips"].get("vggsound", 0) for category, has in made.items()}
    for clips, of in ((of_vggsound, "clips of VGGSound"), (all_clips, "clips of\nsome corpus")):
        half = sorted(clips.values())[len(clips) // 2]
        least = sum(count >= 500 for count in clips.values())
        some = sum(count > 0 for count in clips.values())
        assert f"{some} have {of}, half of them more than {half:,} and {least} at least 500" in page.replace(
            " categories have", " have"
        )
    told = run("avs_wide", "--categories")
    assert re.search(rf"dog .* {sum(made['dog']['clips'].values()):,} ", told)


def test_the_command_counts_the_corpora_that_are_there(corpora):
    made = json.loads(run("demo", "--corpora", corpora, "--json"))
    work = workload.counted(corpora, label_map_of(recipe.load("demo").labels))
    again = forecast.forecast(work, recipe.load("demo"), RATES, Place(1))
    assert made.pop("categories") == work.by_category()
    assert made == json.loads(json.dumps(again.plain()))
    assert made["hours"] == pytest.approx(sum(step["hours"] for step in made["steps"]))
    assert made["limit"] == max(made["steps"], key=lambda step: step["hours"])["name"]


def test_scenes_are_counted_as_a_loop_over_photos_does():
    """Photos whose numbers of sources are drawn by chance, as the plan takes them to be."""
    shares = recipe.Shares(single=0.5, mixture_of_2=0.25, mixture_of_3=1.0, silence=0.1)
    scene = recipe.Scene(shares=shares, evaluation=recipe.Shares(single=1.0, noise=1.0))
    scenes = replace(RECIPE, split=recipe.Split(60, 20, 20), scene=scene)
    sources = np.random.default_rng(0).poisson(1.3, 200_000)
    pairs, triples = (sources * (sources - 1) / 2).sum(), (sources * (sources - 1) * (sources - 2) / 6).sum()
    train = 0.5 * sources.sum() + 0.25 * pairs + triples + 0.1 * len(sources)
    expected = 0.6 * train + 0.4 * (sources.sum() + len(sources))
    assert forecast._scenes(scenes, float(sources.sum()), len(sources)) == pytest.approx(expected, rel=0.02)
    few = replace(scenes, scene=replace(scene, most_per_photo=1))
    assert forecast._scenes(few, float(sources.sum()), len(sources)) == len(sources)


def test_the_command_says_what_limits():
    one, many = run("avs_synthetic"), run("avs_synthetic", "--workers", 64)
    assert "with 1 worker(s)" in one
    assert "measure limits" in many
    assert "limited by store" in many


def test_a_recipe_without_anything_to_build_is_told(tmp_path, corpora):
    (tmp_path / "empty.toml").write_text('name = "empty"\n[labels]\ncategories = ["zebra"]\n')
    told = run(tmp_path / "empty.toml", "--corpora", corpora, ok=False)
    assert "no label of" in told or "has no category 'zebra'" in told
    assert "no corpus here" in run("demo", "--corpora", tmp_path, ok=False)
