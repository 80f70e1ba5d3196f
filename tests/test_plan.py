"""Plans against plain loops, properties that any plan has, and made cases whose limit is known."""

import csv
import heapq
import json
from collections import Counter
from dataclasses import fields, replace

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import label_maps
from pipelines import cli
from pipelines.planning import measure, model, rates, workload
from pipelines.planning.model import Cluster, Step, duration, plan
from pipelines.recipes import recipe

MAP = label_maps.load("avs")
RECIPE = recipe.load("avs_synthetic")
RATES, PRICES = rates.load_rates(), rates.load_prices()
FULL = workload.published(MAP)
SAMPLE_BUILDS = st.floats(0.001, 300)
WORKERS = st.integers(1, 5_000)


def run(*arguments, ok=True):
    result = CliRunner().invoke(cli.main, ["plan", *map(str, arguments)], catch_exceptions=False)
    assert (result.exit_code == 0) == ok, result.output
    return result.output


def by_name(made):
    return {line.step.name: line for line in made.lines}


def listed(tasks, workers):
    """Seconds until all tasks are done, each taken by the worker that is free first."""
    free = [0.0] * workers
    for seconds in tasks:
        heapq.heappush(free, heapq.heappop(free) + seconds)
    return max(free)


@given(st.integers(1, 60), st.integers(1, 40), st.floats(1, 8), st.floats(0.1, 100), st.integers(0, 59))
def test_no_order_of_tasks_takes_longer_than_planned_nor_shorter_than_shared_out(
    tasks, workers, straggler, total, at
):
    mean = total / tasks
    longest = min(total, straggler * mean)
    sizes = [(total - longest) / max(1, tasks - 1)] * (tasks - 1)
    sizes.insert(min(at, tasks - 1), longest)
    planned, _ = duration(
        Step("made", tasks, "task", tasks, total), Cluster(workers, straggler=straggler, latency_s=0)
    )
    done = listed(sizes, workers)
    assert total / min(workers, tasks) * (1 - 1e-9) <= done <= planned * (1 + 1e-9)
    assert planned <= total * (1 + 1e-9)


@given(SAMPLE_BUILDS, WORKERS, WORKERS, st.floats(1, 10))
def test_more_workers_are_never_slower(factor, some, more, straggler):
    few, many = sorted((some, more))
    slow = plan(FULL.scaled(factor), RECIPE, RATES, Cluster(few, straggler=straggler), PRICES)
    fast = plan(FULL.scaled(factor), RECIPE, RATES, Cluster(many, straggler=straggler), PRICES)
    for one, other in zip(slow.lines, fast.lines, strict=True):
        assert other.seconds <= one.seconds * (1 + 1e-9), one.step.name
    assert fast.money >= slow.money * (1 - 1e-9)  # nor cheaper: nothing is superlinear


@given(SAMPLE_BUILDS)
def test_twice_the_data_is_twice_the_work_but_for_shuffles(factor):
    once = plan(FULL.scaled(factor), RECIPE, RATES, Cluster(1), PRICES)
    twice = by_name(plan(FULL.scaled(2 * factor), RECIPE, RATES, Cluster(1), PRICES))
    for line in once.lines:
        name, step, double = line.step.name, line.step, twice[line.step.name].step
        if name in ("group", "link", "reject", "gather clips", "plan pool", "plan shards"):
            few = 60 * RATES.seconds.slice  # tables and buckets are whole numbers
            assert 2 * step.cpu_s - few <= double.cpu_s <= 4 * step.cpu_s + few
            continue
        if name not in ("start", "finish"):
            assert double.cpu_s == pytest.approx(2 * step.cpu_s)
        assert double.read == pytest.approx(2 * step.read)
        assert double.written == pytest.approx(2 * step.written)
    assert twice["start"].seconds == by_name(once)["start"].seconds


def test_work_is_what_a_loop_over_items_adds_up():
    small = workload.Workload(
        lvis_masks=7, open_images_masks=5, clips=6, annotation_bytes=1_000, matched_masks=8, mask_files=3, photos=4,
        candidates=5, matched_clips=4, photo_bytes=100, clip_bytes=50,
    )  # fmt: skip
    one = rates.Rates(
        seconds=rates.Seconds(**{f.name: 2.0**-i for i, f in enumerate(fields(rates.Seconds))}),
        bytes=rates.Bytes(**{f.name: 10.0 * i for i, f in enumerate(fields(rates.Bytes), 1)}),
        kept=rates.Kept(1.0, 0.8, 0.75),
    )
    s, b = one.seconds, one.bytes
    cpu, read, written = dict.fromkeys(("index", "measure", "convert", "shard", "clips"), 0.0), {}, {}
    read |= {"measure": 0.0, "convert": 0.0, "shard": 0.0}
    written |= {"convert": 0.0, "shard": 0.0}
    for _ in range(7):
        cpu["index"] += s.index_lvis
    for _ in range(5):
        cpu["index"] += s.index_open_images
    for _ in range(6):
        cpu["index"] += s.index_vggsound
        cpu["clips"] += s.clips
    for number in range(8):
        cpu["measure"] += s.measure
        read["measure"] += (100 if number < 4 else 0) + (b.mask_png if number < 3 else 0)
    for number in range(4):
        cpu["convert"] += s.convert
        read["convert"] += 50
        written["convert"] += b.flac if number < 3 else 0
    for _ in range(4):  # five candidates, four paired
        cpu["shard"] += s.shard
        read["shard"] += 100 + b.flac
        written["shard"] += 100 + b.flac + b.mask_png + b.record
    made = by_name(plan(small, RECIPE, one, Cluster(1), PRICES))
    for name, seconds in cpu.items():
        assert made[name].step.cpu_s == pytest.approx(seconds), name
    assert {name: made[name].step.read for name in read} == pytest.approx(read)
    assert {name: made[name].step.written for name in written} == pytest.approx(written)


def quick(**slow):
    """Rates of a machine that does everything in a microsecond, but for `slow`."""
    return replace(
        RATES,
        start_s=0.0,
        seconds=rates.Seconds(**{f.name: slow.get(f.name, 1e-9) for f in fields(rates.Seconds)}),
    )


@pytest.mark.parametrize(
    ("slow", "cluster", "step", "bound"),
    [
        ({"convert": 10.0}, {"workers": 4, "latency_s": 0.0}, "convert", "processor"),
        ({"index_open_images": 1.0}, {"workers": 500, "latency_s": 0.0}, "index", "one process"),
        ({"finish_sample": 1.0}, {"workers": 500, "latency_s": 0.0}, "finish", "one process"),
        ({"load_pool": 1.0}, {"workers": 100, "latency_s": 0.0}, "pair", "side input"),
        ({"convert": 10.0}, {"workers": 500, "latency_s": 0.0}, "convert", "tasks"),
        ({}, {"workers": 2, "latency_s": 60.0, "requests_per_s": 1e9}, "measure", "network"),
        ({}, {"workers": 2, "latency_s": 0.0, "worker_mbit": 1.0, "storage_mbit": 1e9}, "shard", "network"),
        (
            {},
            {"workers": 300, "latency_s": 0.0, "worker_mbit": 1e6, "storage_mbit": 10.0},
            "shard",
            "storage",
        ),
        ({}, {"workers": 300, "latency_s": 0.0, "requests_per_s": 1.0}, "measure", "storage"),
    ],
)
def test_the_limit_is_found_where_it_was_put(slow, cluster, step, bound):
    limit = plan(FULL, RECIPE, quick(**slow), Cluster(**cluster), PRICES).limit
    assert (limit.step.name, limit.bound) == (step, bound)


def test_shards_money_and_memory_follow_from_the_samples():
    made = plan(FULL, RECIPE, RATES, Cluster(10), rates.Prices("EUR", 3.0, 0.5, 2.0))
    samples, clips = FULL.samples(RATES.kept), FULL.matched_clips * RATES.kept.clips
    assert made.shards == -(-samples // 1_000) + -(-clips // 2_000)
    assert made.money == pytest.approx(made.seconds / 3600 * 10 * 3.0)
    assert made.store_month == pytest.approx(made.dataset_bytes / 1e9 * 0.5)
    assert made.egress == pytest.approx(made.dataset_bytes / 1e9 * 2.0)
    assert made.pool_bytes == pytest.approx(clips * RATES.bytes.pool_row)


def test_published_sizes_are_the_lists_own():
    with open(workload.HERE / "published.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    linked = {(link.source, link.source_id) for link in MAP.links if MAP.is_used(link)}
    assert ("vggsound", "baby crying") not in linked
    pairs = clips = 0
    for row in rows:
        if (row["source"], row["source_id"]) in linked:
            pairs += int(row["count"]) if row["source"] == "lvis" else 0
            clips += int(row["count"]) if row["source"] == "vggsound" else 0
    assert sum(int(row["count"]) for row in rows if row["source"] == "vggsound") == FULL.clips == 199_176
    assert FULL.matched_clips == clips
    assert FULL.candidates > pairs > 50_000
    per_category = Counter()
    for link in filter(MAP.is_used, MAP.links):
        if link.source == "open_images":
            per_category[link.category] += 200  # the mean class has more
        if link.source == "lvis":
            per_category[link.category] += sum(
                int(row["count"])
                for row in rows
                if (row["source"], row["source_id"]) == ("lvis", link.source_id)
            )
    assert workload.published(MAP, 200).candidates == sum(min(200, n) for n in per_category.values())
    dog = workload.published(MAP.restricted(("dog",)))
    assert dog.masks == FULL.masks  # all annotations are read for one category too
    assert 0 < dog.candidates < FULL.candidates / 20


def test_counted_corpora_are_what_was_put_there(tmp_path):
    """Three photos, two of them there; five masks, four of linked categories; three clips, two of linked sounds."""
    lvis = [link for link in MAP.links if link.source == "lvis"]
    first, other = lvis[0], next(link for link in lvis if link.category != lvis[0].category)
    sound = next(link for link in MAP.links if link.source == "vggsound" and MAP.is_used(link)).source_id
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
        lvis_masks=5, open_images_masks=0, clips=3, annotation_bytes=size, matched_masks=4, mask_files=0, photos=2,
        candidates=3, matched_clips=2, photo_bytes=2_000, clip_bytes=500,
    )  # fmt: skip
    assert workload.counted(str(tmp_path), MAP, per_class_cap=1).candidates == 2


def test_a_plan_for_so_many_samples_has_so_many():
    made = json.loads(run("avs_synthetic", "--samples", 5_000_000, "--workers", 64, "--json"))
    assert made["samples"] == pytest.approx(5_000_000)
    assert made["seconds"] == pytest.approx(sum(step["seconds"] for step in made["steps"]))
    slowest = max(made["steps"], key=lambda step: step["seconds"])
    assert made["limit"] == slowest["name"]


def test_rates_are_measured_written_and_given_back(corpora, tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "_start", lambda rates: 1.25)  # a whole build: seconds
    made = run("demo", "--corpora", corpora, "--measure", tmp_path / "mine.toml", "--workers", 2)
    assert "limits:" in made
    mine = rates.load_rates(tmp_path / "mine.toml")
    assert mine.start_s == 1.25
    for name in ("match", "measure", "select", "convert", "pair", "shard", "finish_shard", "slice"):
        assert getattr(mine.seconds, name) > 0, name
    for f in fields(rates.Bytes):
        assert getattr(mine.bytes, f.name) > 0, f.name
    assert mine.seconds.index_lvis == RATES.seconds.index_lvis  # too few rows to tell
    assert rates.dump(mine) == (tmp_path / "mine.toml").read_text()
    again = json.loads(run("demo", "--rates", tmp_path / "mine.toml", "--json"))
    assert again["rates"]["command"].startswith("avs-data plan demo")


def test_faults_are_told_together_with_their_rule(tmp_path):
    text = rates.dump(replace(RATES, start_s=6.5)).replace("convert =", "konvert =")
    text = text.replace("start_s = 6.5", "start_s = -1.0")
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(rates.RatesError) as caught:
        rates.load_rates(tmp_path / "bad.toml")
    for words in (
        "3 fault(s)",
        "seconds.convert is missing",
        "konvert is unknown",
        "start_s = -1.0: must be at least 0",
    ):
        assert words in str(caught.value)
    assert "bad.toml" in run("demo", "--rates", tmp_path / "bad.toml", ok=False)
    assert "nowhere.toml: No such file" in run("demo", "--prices", tmp_path / "nowhere.toml", ok=False)
    assert "--measure needs --corpora" in run("demo", "--measure", tmp_path / "x.toml", ok=False)
    assert "no corpus here" in run("demo", "--corpora", tmp_path, ok=False)


def test_the_tasks_are_those_of_the_build():
    """What the model takes for the number of tasks is what the build's own constants say."""
    from pipelines.build import graph, index

    assert (model.MASKS_PER_GROUP, model.CLIPS_PER_GROUP) == (index.MASKS_PER_GROUP, index.CLIPS_PER_GROUP)
    tasks = {line.step.name: line.step.tasks for line in plan(FULL, RECIPE, RATES, Cluster(1), PRICES).lines}
    assert tasks["select"] == 1 + int(FULL.masks) // graph.MASKS_PER_BUCKET
