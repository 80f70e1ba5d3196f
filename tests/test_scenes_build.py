"""Datasets of scenes, built: the same bytes however they came about, and nothing in them that is not so."""

import io
import json
import math
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from pycocotools import mask as coco
from test_build import hashes

import label_maps
from pipelines.build import run
from pipelines.build.absence import Families
from pipelines.recipes import recipe
from shards import format, records
from shards.hashing import pair, pool_hashes
from shards.reader import Dataset
from shards.verify import verify


def test_it_is_as_the_format_asks_and_has_every_kind(scenes: str) -> None:
    assert verify(scenes) == []
    dataset = Dataset(scenes)
    rows = dataset.table().to_pylist()
    kinds = Counter((row["kind"], row["split"]) for row in rows)
    assert {kind for kind, _ in kinds} == {"single", "mixture", *records.NEGATIVES}
    assert {split for kind, split in kinds if kind in records.NEGATIVES[1:]} == {"train"}
    photos = {split: {row["image_id"] for row in rows if row["split"] == split} for split in format.SPLITS}
    assert kinds["silence", "test"] == len(photos["test"])
    for step in dataset.manifest.funnel:
        assert step["in"] == step["kept"] + sum(step["rejected"].values())


def test_two_processes_and_a_kill_make_the_same_bytes(
    scenes: str, scenes_recipe: str, corpora: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", "from pipelines.cli import main; main()", "build", scenes_recipe]
    child = subprocess.Popen(
        [*command, "--corpora", corpora, "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while child.poll() is None and not list((out / ".work" / "parts" / "train").glob("*.parquet")):
        time.sleep(0.02)
    child.kill()
    child.wait()
    assert not (out / "manifest.json").exists()
    run.build(recipe.load(scenes_recipe), run.BuildOptions(corpora, str(out), workers=2))
    assert hashes(out) == hashes(scenes)


def test_singles_are_those_of_a_recipe_without_scenes(scenes: str, dataset: str) -> None:
    """The same keys, splits, clips and masks, whatever else is made of their photos."""
    names = ("key", "sample_id", "split", "category", "clip_id", "mask_png_sha256", "jpg_sha256", "component")
    one, other = (
        {
            row["key"]: tuple(row[name] for name in names)
            for row in Dataset(url).table().to_pylist()
            if row.get("kind", "single") == "single"
        }
        for url in (scenes, dataset)
    )
    assert one == other
    told = json.loads((Path(dataset) / "manifest.json").read_bytes())
    assert not {"targets", "classes"} & set(told)
    assert "scenes" not in told["code"]
    first = next(iter(Dataset(dataset).samples()))
    assert not {"kind", "sources", "sound"} & set(first.record)


def test_every_source_hears_what_the_hash_of_its_photo_and_category_draws(scenes: str) -> None:
    dataset = Dataset(scenes)
    pools: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in dataset.table(format.POOL_TABLE).sort_by("clip_id").to_pylist():
        for name in row["categories"]:
            pools[row["split"], name].append(row["clip_id"])
    for sample in dataset.samples():
        record = sample.record
        for source in record["sources"]:
            if record["kind"] in ("single", "mixture"):
                ids = pools[record["split"], source["category"]]
                drawn = pair(0, 0, f"{record['image']['id']}|{source['category']}", pool_hashes(ids))
                assert source["audio"]["id"] == ids[drawn]


def test_sound_is_what_the_record_says(scenes: str) -> None:
    """Rendered again in floating point, from the clips of the pool and the numbers of the record."""
    dataset = Dataset(scenes)
    clips = {row["clip_id"]: row for row in dataset.table(format.POOL_TABLE).to_pylist()}
    levels = set()
    for sample in dataset.samples():
        record = sample.record
        heard, _ = soundfile.read(io.BytesIO(sample.flac))
        total, mono, loud = np.zeros((40_000, 2)), np.zeros(40_000), []
        for source in record["sources"]:
            x, _, width, _ = source["bbox"]
            if source["mask_ids"]:
                assert abs(source["pan"] - (x + width / 2) / record["image"]["width"]) <= 0.00051
            if source["audio"] is None:
                continue
            clip, _ = soundfile.read(io.BytesIO(dataset.read_member(clips[source["audio"]["id"]], "flac")))
            start = round(source["crop_start_s"] * 16_000)
            energies = [
                np.sum(clip[at : at + 40_000] ** 2) for at in range(0, len(clip) - 40_000 + 1, 1_600)
            ] or [0.0]
            assert start == 1_600 * int(np.argmax(energies))
            part = np.resize(clip[start:], 40_000) if len(clip) > 40_000 else np.resize(clip, 40_000)
            level_db = 10 * math.log10(np.mean(part**2)) + source["gain_db"]
            loud.append(level_db)
            mono += part * 10 ** (source["gain_db"] / 20)
            late = round(11 * (2 * source["pan"] - 1))
            assert source["delay"] == late
            for ear, share in ((0, 1 - source["pan"]), (1, source["pan"])):
                wait = max(0, late if ear == 0 else -late)
                total[wait:, ear] += part[: 40_000 - wait] * share * 10 ** (source["gain_db"] / 20)
        if loud:
            assert abs(10 * math.log10(np.mean(mono**2)) + 25) < 0.06
            assert all(max(loud) - level < 10.101 for level in loud)
            levels |= {round(max(loud) - level) for level in loud}
        if record["kind"] != "noise":
            assert np.abs(heard - total * record["sound"]["scale"]).max() < 3e-4
        assert record["kind"] != "silence" or not heard.any()
    assert len(levels) > 4


def test_targets_are_all_objects_of_what_sounds(scenes: str) -> None:
    dataset = Dataset(scenes)
    for sample in dataset.samples():
        mask, classes = (
            np.asarray(Image.open(io.BytesIO(png))) for png in (sample.mask_png, sample.classes_png)
        )
        drawn = np.zeros(mask.shape, int)
        number = np.zeros(mask.shape, int)
        for source in sample.record["sources"]:
            pixels = np.zeros(mask.shape, bool)
            for one in source["instances"]:
                pixels |= coco.decode({"size": list(mask.shape), "counts": one["counts"].encode()}) > 0
            assert pixels.sum() == source["area_px"]
            drawn += pixels
            number[pixels] = (
                dataset.manifest.classes.index(source["category"]) + 1 if source["mask_ids"] else 0
            )
        assert ((mask > 0) == (drawn > 0)).all()
        assert (classes == np.where(drawn > 1, 255, number)).all()


def test_nothing_heard_off_the_screen_is_annotated_in_the_photo(scenes: str, corpora: str) -> None:
    """Against the annotation files themselves."""
    avs = label_maps.load()
    families = Families(avs)
    shown: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for path in Path(corpora).glob("lvis/*.json"):
        for one in json.loads(path.read_bytes())["annotations"]:
            shown[f"lvis:{one['image_id']}"].add(("lvis", str(one["category_id"])))
    for path in Path(corpora).glob("open_images/*segmentation.csv"):
        for line in path.read_text().splitlines()[1:]:
            _, image_id, mid = line.split(",")[:3]
            shown[f"open_images:{image_id}"].add(("open_images", mid))
    heard = [sample.record for sample in Dataset(scenes).samples() if sample.record["kind"] == "off_screen"]
    assert len(heard) > 10
    for record in heard:
        links = [avs.link(*label) for label in shown[record["image"]["id"]]]
        for source in record["sources"]:
            for link in filter(None, links):
                assert families.of(link.category) != families.of(source["category"])
                assert avs.groups[link.category] != avs.groups[source["category"]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["avs_scenes", "avs_robust", "interactive", "vpo_ss", "vpo_ms", "vpo_msmi"])
def test_every_recipe_of_scenes_builds(name: str, corpora: str, mini: str, tmp_path: Path) -> None:
    loaded = recipe.load(name)
    for where, folder in (("demo", corpora), ("mini", mini)):
        out = str(tmp_path / where)
        run.build(loaded, run.BuildOptions(folder, out))
        assert verify(out) == []
        assert Dataset(out).table().num_rows
