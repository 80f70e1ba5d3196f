"""Kinds from corpora to shards: who is marked, what is heard, and that planning and fetching agree with the build."""

import json
import tomllib
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import Image

from pipelines.build import finish, index, run
from pipelines.build.categorize import label_map_of
from pipelines.fetch import options as fetch_options
from pipelines.fetch import plan as fetch_plan
from pipelines.planning import workload
from pipelines.publish.diff import diff
from pipelines.recipes import recipe
from shards.reader import Dataset
from shards.verify import verify

MIDS = {
    "Person": "/m/01g317",
    "Man": "/m/04yx4",
    "Woman": "/m/03bt1vf",
    "Boy": "/m/01bl7v",
    "Girl": "/m/05r655",
}
CATEGORY = {"Person": "person", "Man": "man", "Woman": "woman", "Boy": "child", "Girl": "child"}
PHOTOS = {  # image -> the labels of its masks, side by side
    "a": ["Person", "Man", "Man", "Girl"],
    "b": ["Man"],
    "c": ["Woman", "Boy", "Girl"],
    "d": ["Person"],
}
SOUNDS = [
    "male speech, man speaking", "female singing", "child singing", "baby crying", "people clapping",
    "people screaming", "motorboat, speedboat acceleration", "raining",
]  # fmt: skip
ANY, PERSON = {"person", "man", "woman", "child"}, {"person"}
HEARD = {
    "male speech, man speaking": {"man"},
    "female singing": {"woman"},
    "child singing": {"child"},
    "people clapping": ANY,
    "people screaming": PERSON,
}
WIDE = {
    **{sound: over | PERSON for sound, over in HEARD.items()},
    "baby crying": {"child", "person"},
    "motorboat, speedboat acceleration": {"boat"},
}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("people")
    for folder in ("open_images/masks", "open_images/images", "vggsound/clips", "lvis/images/train2017"):
        (root / folder).mkdir(parents=True)
    rows = ["MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks"]
    for image, labels in PHOTOS.items():
        Image.new("RGB", (200, 150), (90, 120, 40)).save(root / "open_images/images" / f"{image}.jpg")
        for number, label in enumerate(labels):
            pixels = np.zeros((150, 200), np.uint8)
            pixels[20:60, 5 + 45 * number : 45 + 45 * number] = 255
            name = f"{image}_{number}.png"
            Image.fromarray(pixels).save(root / "open_images/masks" / name)
            left, right = (5 + 45 * number) / 200, (45 + 45 * number) / 200
            rows.append(f"{name},{image},{MIDS[label]},b{number},{left},{right},{20 / 150},{60 / 150},0.9,")
    (root / "open_images" / "train-annotations-object-segmentation.csv").write_text("\n".join(rows) + "\n")
    names = "".join(f"{mid},{name.lower() if name == 'Boy' else name}\n" for name, mid in MIDS.items())
    (root / "open_images" / "class-descriptions-boxable.csv").write_text(names)
    Image.new("RGB", (200, 150)).save(root / "lvis/images/train2017/000000000001.jpg")
    square = [[10, 10, 60, 10, 60, 60, 10, 60]]
    lvis = {
        "licenses": [],
        "categories": [{"id": 118, "name": "boat", "synset": "boat.n.01"}],
        "images": [{"id": 1, "width": 200, "height": 150, "coco_url": "http://x/train2017/000000000001.jpg"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 118, "segmentation": square}],
    }
    (root / "lvis" / "lvis_v1_train.json").write_text(json.dumps(lvis))
    clips = []
    for number, label in enumerate(SOUNDS):
        for take in range(2):
            video = f"v{number}{take}"
            clips.append(f'{video},{take},"{label}",train')
            tone = 0.3 * np.sin(np.arange(16_000 * 2) * (0.05 + 0.01 * number + 0.003 * take))
            soundfile.write(root / "vggsound/clips" / f"{video}_{take:06d}.wav", tone, 16_000)
    (root / "vggsound" / "vggsound.csv").write_text("\n".join(clips) + "\n")
    return str(root)


def made(labels: str = "", select: str = "") -> recipe.Recipe:
    text = f'name = "people"\n[labels]\n{labels}\n[select]\n{select}\n[split]\ntrain = 1\nval = 0\ntest = 0\n'
    return recipe.parse(tomllib.loads(text), text, "the test's recipe")


@pytest.fixture(scope="module")
def build(corpora: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Dataset]:
    """A dataset of these people by a recipe's [labels] and [select]; each is built once."""

    @cache
    def built(labels: str = "", select: str = "") -> Dataset:
        out = str(tmp_path_factory.mktemp("dataset") / "out")
        run.build(made(labels, select), run.BuildOptions(corpora, out))
        assert verify(out) == []
        return Dataset(out)

    return built


def expected_masks(extra: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Sample id -> masks, of the policy union, by a plain loop."""
    found = {name: ["lvis:1_1"] for name in extra}
    for image, labels in PHOTOS.items():
        for category in {CATEGORY[label] for label in labels}:
            found[f"open_images:{image}|{category}"] = [
                f"open_images:{image}_{number}"
                for number, label in enumerate(labels)
                if category in (CATEGORY[label], "person")
            ]
    return found


@pytest.mark.parametrize(("switch", "heard"), [("false", HEARD), ("true", WIDE)])
def test_who_is_marked_and_what_is_heard(
    build: Callable[..., Dataset], switch: str, heard: dict[str, set[str]]
) -> None:
    dataset = build(f"narrower_sounds = {switch}")
    rows = dataset.table().to_pylist()
    masks = expected_masks(("lvis:1|boat",) if switch == "true" else ())
    assert {row["sample_id"]: row["mask_ids"] for row in rows} == masks
    pool = dataset.table("pool.parquet").to_pylist()
    assert {row["label"]: set(row["categories"]) for row in pool} == heard
    assert len(pool) == 2 * len(heard)
    for sample in dataset.samples("train"):
        category = sample.record["category"]
        assert category in heard[sample.record["audio"]["label"]["label"]]
        assert (
            sample.record["mask"]["area_px"] == 1600 * len(sample.record["mask"]["ids"]) or category == "boat"
        )
        for link in sample.record["image"]["labels"]:
            assert link["label"] == ("boy" if link["name"] == "Boy" else link["name"])
            assert link["category"] == {**CATEGORY, "boat": "boat"}[link["name"]]
    drops = {row["item"]: row["reason"] for row in dataset.table("rejections.parquet").to_pylist()}
    narrow = {"baby crying": 3, "motorboat, speedboat acceleration": 6}
    wanted = {
        f"vggsound:v{number}{take}_{take:06d}": "narrower_sound"
        for sound, number in narrow.items()
        for take in range(2)
        if sound not in heard
    }
    wanted |= {f"vggsound:v7{take}_{take:06d}": "label_not_in_map" for take in range(2)}
    wanted |= {"lvis:1_1": "narrower_sound"} if switch == "false" else {}
    assert drops == wanted


def test_each_instance_alone_is_of_its_own_kind(build: Callable[..., Dataset]) -> None:
    found = {row["sample_id"] for row in build(select='instances = "instance"').table().to_pylist()}
    assert found == {
        f"open_images:{image}|{CATEGORY[label]}|open_images:{image}_{number}"
        for image, labels in PHOTOS.items()
        for number, label in enumerate(labels)
    }


@pytest.mark.parametrize("categories", ['["man"]', '["person"]', '["child", "woman"]'])
def test_named_categories_come_with_their_kinds_alone(build: Callable[..., Dataset], categories: str) -> None:
    dataset = build(f"categories = {categories}")
    names = set(json.loads(categories))
    names = ANY if names == PERSON else names
    found = {row["sample_id"]: row["mask_ids"] for row in dataset.table().to_pylist()}
    assert found == {
        sample: masks for sample, masks in expected_masks().items() if sample.split("|")[1] in names
    }
    pool = dataset.table("pool.parquet").to_pylist()
    assert {row["label"]: set(row["categories"]) for row in pool} == {
        sound: over & names for sound, over in HEARD.items() if over & names
    }


@pytest.mark.parametrize(
    "labels", ["narrower_sounds = false", "narrower_sounds = true", 'categories = ["man"]']
)
def test_plan_and_fetch_agree_with_the_build(
    build: Callable[..., Dataset], corpora: str, tmp_path: Path, labels: str
) -> None:
    loaded, dataset = made(labels), build(labels)
    rows, pool = dataset.table().to_pylist(), dataset.table("pool.parquet").to_pylist()
    label_map = label_map_of(loaded.labels, corpora)
    counted = workload.counted(corpora, label_map)
    assert sum(counted.candidates.values()) == len(rows)
    assert counted.categorized_clips == len(pool)
    assert counted.photos == len({row["image_id"] for row in rows})
    tables = index.index(corpora, str(tmp_path / "index"))
    for url in (tables.masks, tables.clips):  # as if no media were there: all is fetched
        table = pq.read_table(url)
        for name in {"image_path", "mask_path", "clip_path"} & set(table.column_names):
            nulls = pa.nulls(len(table), pa.string())
            table = table.set_column(table.schema.get_field_index(name), name, nulls)
        pq.write_table(table, url)
    found = fetch_plan.plan(
        tables.masks, tables.clips, label_map, fetch_options.parse({}), loaded.select, corpora
    )
    names = {item.name for item in found.items}
    masks = {mask for row in rows for mask in row["mask_ids"] if mask.startswith("open")}
    photos = {row["image_id"] for row in rows}
    assert names == masks | photos | {row["clip_id"] for row in pool}


def test_a_dry_run_counts_them_too(build: Callable[..., Dataset], corpora: str) -> None:
    report = run.build(made(), run.BuildOptions(corpora, "/nowhere", dry_run=True))
    assert report is not None
    rows = build("narrower_sounds = false").table().to_pylist()
    assert finish.samples_per_category(report) == Counter(row["category"] for row in rows)


def test_a_diff_says_that_the_switch_brought_the_boat(build: Callable[..., Dataset]) -> None:
    found = diff(build("narrower_sounds = false"), build("narrower_sounds = true"))
    (added,) = (change for change in found.changes if change.kind == "added")
    assert (added.sample_id, added.cause) == ("lvis:1|boat", "rule changed")
    assert "narrower_sound (boat: all sounds of boat are narrower than its masks" in added.detail
