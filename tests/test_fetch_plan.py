"""What a recipe's categories need, against a plain loop over the tables."""

import csv
import datetime
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import label_maps
from label_maps import LabelMap, Link
from pipelines.cli import main
from pipelines.corpora.records import CLIPS, MASKS
from pipelines.fetch import annotations, estimate, options, plan, zips
from pipelines.fetch.items import Item, Kind, from_table, to_table
from pipelines.fetch.run import Due
from pipelines.planning import workload
from pipelines.recipes import recipe
from pipelines.recipes.recipe import Select


def link(category: str, source: str, source_id: str) -> Link:
    return Link(
        category, source, source_id, source_id, "", "same", "test", datetime.date(2026, 1, 1).isoformat(), ""
    )


MAP = LabelMap(
    "test",
    "1.0.0",
    (
        link("dog", "lvis", "1"),
        link("dog", "open_images", "/m/dog"),
        link("dog", "vggsound", "dog barking"),
        link("cat", "lvis", "2"),
        link("cat", "vggsound", "cat, meowing"),
    ),
)


def lvis_mask(number: int, image: int, label: str, **more: object) -> dict[str, object]:
    return {
        "mask_id": f"lvis:{image}_{number}",
        "corpus": "lvis",
        "image_id": f"lvis:{image}",
        "image_url": f"http://images.cocodataset.org/train2017/{image:012d}.jpg",
        "photo_keys": [f"coco:{image}", f"flickr:{image}0"],
        "label_id": label,
        "annotation_split": "train",
        "licence": "cc-by-2.0",
        **more,
    }


def open_mask(name: str, label: str, split: str = "train", **more: object) -> dict[str, object]:
    image = name.partition("_")[0]
    return {
        "mask_id": f"open_images:{name}",
        "corpus": "open_images",
        "image_id": f"open_images:{image}",
        "label_id": label,
        "annotation_split": split,
        "licence": "cc-by-2.0",
        **more,
    }


def clip(video: str, label: str, **more: object) -> dict[str, object]:
    return {
        "clip_id": f"vggsound:{video}_000030",
        "corpus": "vggsound",
        "video_id": video,
        "start_s": 30.0,
        "label_ids": [label],
        "labels": [label],
        **more,
    }


MASK_ROWS = [
    lvis_mask(1, 10, "1"),
    lvis_mask(2, 10, "1"),  # the same photo again
    lvis_mask(3, 10, "2"),  # and for another category
    lvis_mask(4, 11, "99"),  # not in the map
    lvis_mask(5, 12, "2", is_crowd=True),
    lvis_mask(6, 13, "2", licence="cc-by-nc-2.0"),
    open_mask("a1_m0dog_1", "/m/dog"),
    open_mask("a1_m0dog_2", "/m/dog", mask_path="open_images/masks/a1_m0dog_2.png"),
    open_mask(
        "b2_m0dog_1", "/m/dog", "validation", mask_path="open_images/masks/validation-b/b2_m0dog_1.png"
    ),
    open_mask("c3_m0dog_1", "/m/dog", "test", is_depiction=True),
    open_mask("d4_x_1", "1"),  # an LVIS id does not count for Open Images
]
CLIP_ROWS = [
    clip("-abc", "dog barking"),
    clip("still", "dog barking"),
    clip("seen", "dog barking"),
    clip("heard", "dog barking"),
    clip("own", "cat, meowing", clip_path="vggsound/clips/own_000030.wav"),
    clip("rain", "raining"),
]


def make(
    tmp_path, fetch: dict[str, object] | None = None, label_map: LabelMap = MAP, **select: object
) -> plan.FetchPlan:
    for name, rows, schema in (("masks", MASK_ROWS, MASKS), ("clips", CLIP_ROWS, CLIPS)):
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / f"{name}.parquet")
    return plan.plan(
        str(tmp_path / "masks.parquet"),
        str(tmp_path / "clips.parquet"),
        label_map,
        options.parse(fetch or {}),
        Select(**select),
        str(tmp_path),
    )


def test_exactly_what_the_categories_need(tmp_path) -> None:
    found = make(tmp_path, image_licences=("cc-by-2.0",))
    assert [(item.name, item.categories) for item in found.items] == [
        ("lvis:10", ("cat", "dog")),
        ("open_images:a1", ("dog",)),
        ("open_images:a1_m0dog_1", ("dog",)),
        ("open_images:a1_m0dog_2", ("dog",)),
        ("open_images:b2", ("dog",)),
        ("vggsound:-abc_000030", ("dog",)),
        ("vggsound:heard_000030", ("dog",)),
        ("vggsound:seen_000030", ("dog",)),
        ("vggsound:still_000030", ("dog",)),
    ]
    assert found.own == 2  # a mask in a folder of its own and a clip as WAV stay as they are
    items = {item.name: item for item in found.items}
    assert items["lvis:10"] == Item(
        "lvis:10",
        Kind.PHOTO,
        "http://images.cocodataset.org/train2017/000000000010.jpg",
        "lvis/images/train2017/000000000010.jpg",
        ("cat", "dog"),
        "coco:10",
    )
    assert items["open_images:a1_m0dog_1"].url == (
        "https://storage.googleapis.com/openimages/v5/train-masks/train-masks-a.zip"
    )
    assert items["open_images:b2"].url == "https://open-images-dataset.s3.amazonaws.com/validation/b2.jpg"
    assert items["vggsound:-abc_000030"].url == "https://www.youtube.com/watch?v=-abc"
    assert items["vggsound:-abc_000030"].path == "vggsound/clips/-abc_000030.flac"
    assert from_table(to_table(list(found.items))) == list(found.items)


def test_a_photo_that_lvis_and_coco_share_is_fetched_once(tmp_path, monkeypatch) -> None:
    """Where COCO looks for it, too, under LVIS's name, for what both say of it."""
    coco = link("dog", "coco", "18")
    monkeypatch.setattr(
        sys.modules[__name__], "MASK_ROWS",
        [*MASK_ROWS, *(lvis_mask(n, n, "18", corpus="coco", image_id=f"coco:{n}", photo_keys=[]) for n in (13, 77))],
    )  # fmt: skip
    found = make(tmp_path, {"corpora": ["lvis", "coco"]}, replace(MAP, links=(*MAP.links, coco)))
    photos = {item.name: item for item in found.items if item.kind is Kind.PHOTO}
    assert set(photos) == {"lvis:10", "lvis:13", "coco:77"}
    assert photos["lvis:13"].categories == ("cat", "dog")
    assert photos["coco:77"].path == "coco/train2017/000000000077.jpg"


def test_rules_on_labels_and_licences_follow_the_recipe(tmp_path) -> None:
    names = {item.name for item in make(tmp_path).items}
    assert "lvis:13" in names
    assert not names & {"lvis:12", "open_images:c3"}
    assert {"lvis:12", "open_images:c3"} <= {
        item.name for item in make(tmp_path, crowd=True, depiction=True).items
    }


def test_one_more_category_only_adds(tmp_path) -> None:
    dog = {item.name for item in make(tmp_path, label_map=MAP.restricted(["dog"])).items}
    both = {item.name for item in make(tmp_path).items}
    assert dog < both
    assert both - dog == {"lvis:13"}


def test_mirrors_and_buckets_take_the_place_of_sources(tmp_path) -> None:
    sources = {"coco": "http://mirror.test/coco/", "open_images_photos": "s3://open-images-dataset"}
    items = {item.name: item for item in make(tmp_path, {"sources": sources}).items}
    assert items["lvis:10"].url == "http://mirror.test/coco/train2017/000000000010.jpg"
    assert items["open_images:a1"].url == "s3://open-images-dataset/train/a1.jpg"


def test_lists_of_still_frames_and_of_modalities(tmp_path) -> None:
    (tmp_path / "still.csv").write_text("still_000030,frozen\nrain,x\n")
    (tmp_path / "modalities.csv").write_text(
        "video_id,label,modality,background_music,static_image,voice_over\n"
        "seen_000030,dog barking,V,False,False,False\n"
        "heard_000030,dog barking,V,False,False,False\n"
        "heard_000030,cat meowing,AV,False,False,False\n"
        "-abc_000030,dog barking,A,False,True,False\n"
    )
    found = make(tmp_path, {"clips": {"exclude": ["still.csv"], "modality_list": "modalities.csv"}})
    assert {item.name for item in found.items if item.kind is Kind.CLIP} == {"vggsound:heard_000030"}
    assert {item.name for item in found.listed_out} == {
        f"vggsound:{name}_000030" for name in ("still", "seen", "-abc")
    }
    with pytest.raises(ValueError, match=r"still\.csv has no column"):
        make(tmp_path, {"clips": {"modality_list": "still.csv"}})


def test_the_estimate_follows_the_budget(tmp_path) -> None:
    items = make(tmp_path).items
    clips = [item for item in items if item.kind is Kind.CLIP] * 1000
    todo = Due((), (), (), tuple((item, 1, 0.0) for item in clips))
    (line,) = estimate.estimate(
        clips, todo, options.parse({"youtube": {"videos_per_hour": 250}}), estimate.Machine(2, 1000.0)
    )
    assert (line.what, line.needed, line.to_fetch, line.seconds / 3600) == ("vggsound clips", 4000, 4000, 8.0)
    assert line.limited_by == "YouTube's budget"
    masks = [item for item in items if item.kind is Kind.MASK]
    todo = Due((), (), (), tuple((item, 1, 0.0) for item in masks))
    (line,) = estimate.estimate(masks, todo, options.parse({}), estimate.Machine(1, 8.0))
    assert len(masks) * 3_400 < line.bytes < line.archive_bytes / 20
    assert line.seconds == line.bytes / 1e6


def test_what_a_range_reads_follows_a_plain_count() -> None:
    """Against members drawn at random, with the rule as it is written: neighbours join over less than GAP."""
    members, mask = 20_000, 3_400
    rng = np.random.default_rng(0)
    for needed in (20, 600, 4_000, 20_000):
        chosen = np.sort(rng.permutation(members)[:needed])
        between = np.diff(chosen) - 1
        along = between[between * mask <= zips.GAP].sum()
        truth = (needed + along) * mask + members * 110
        assert estimate.by_range(needed, members * mask) == pytest.approx(truth, rel=0.05)


def test_a_plan_before_anything_is_fetched_follows_published_sizes() -> None:
    """Against counts by hand: published.csv and the facts beside it."""
    label_map = label_maps.load("avs").restricted(["dog"])
    settings = options.parse({"splits": ["train"], "youtube": {"videos_per_hour": 100}})
    made = estimate.published(label_map, settings, estimate.Machine(1, 8.0))
    with open(workload.HERE / "published.csv", newline="") as file:
        counts = {(row["source"], row["source_id"]): int(row["count"]) for row in csv.DictReader(file)}
    links = [link for link in label_map.links if label_map.is_used(link)]
    clips, photos = (
        sum(counts[link.source, link.source_id] for link in links if link.source == source)
        for source in ("vggsound", "lvis")
    )
    lines = {line.what: line for line in made.lines}
    assert set(lines) == {
        f"{corpus} {kind}"
        for corpus, kind in (
            ("lvis", "annotations"), ("lvis", "photos"), ("open_images", "annotations"), ("open_images", "masks"),
            ("open_images", "photos"), ("vggsound", "annotations"), ("vggsound", "clips"),
        )
    }  # fmt: skip
    assert lines["vggsound clips"].to_fetch == clips > 500
    assert lines["vggsound clips"].seconds == pytest.approx(clips * 36)
    assert lines["vggsound clips"].limited_by == "YouTube's budget"
    assert lines["lvis photos"].to_fetch == photos > 500
    assert lines["lvis photos"].seconds == pytest.approx(lines["lvis photos"].bytes / 1e6)
    assert made.kept_bytes > sum(lines[f"{one} photos"].bytes for one in ("lvis", "open_images"))
    assert not made.exact
    more = estimate.published(label_map, options.parse({}), estimate.Machine(1, 8.0), ["photos"])
    assert {line.what for line in more.lines} == {"lvis photos", "open_images photos"}
    assert more.lines[0].to_fetch == round(photos * 1.198)


def test_verified_labels_are_asked_for_by_recipes_that_need_them() -> None:
    asked = {}
    for name in ("avs_synthetic", "train_scenes", "avs_scenes"):
        settings = options.of_recipe(recipe.load(name))
        asked[name] = [one.split for one in annotations.files(settings) if one.role == "image_labels"]
    splits = ["train", "validation", "test"]
    assert asked == {"avs_synthetic": [], "train_scenes": [], "avs_scenes": splits}
    label_map = label_maps.load("avs").restricted(["dog"])
    bytes_of = {}
    for needed in (False, True):
        settings = options.parse({"image_labels": needed})
        lines = estimate.published(label_map, settings, estimate.Machine(1, 8.0), ["annotations"]).lines
        bytes_of[needed] = {line.what: line.bytes for line in lines}
    more = {what: bytes_of[True][what] - bytes_of[False][what] for what in bytes_of[True]}
    facts = workload.facts()["open_images"]["image_labels_bytes"]
    assert more == {"lvis annotations": 0, "open_images annotations": facts, "vggsound annotations": 0}


def test_a_plan_writes_nothing(tmp_path) -> None:
    for words in ((), ("--corpora", tmp_path / "corpora")):
        told = CliRunner().invoke(main, ["fetch", "plan", "avs_synthetic", *map(str, words)])
        assert told.exit_code == 0, told.output
        assert "From the published sizes of the corpora, for 117 categories" in told.stdout
        assert "Disk: " in told.stdout
    assert not list(tmp_path.iterdir())
