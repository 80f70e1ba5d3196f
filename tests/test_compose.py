"""Candidates of a photo to scenes, and what surely is not in it, against plain enumeration."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pycocotools import mask as coco

import label_maps
from pipelines.build import absence, compose, pair
from pipelines.build.absence import Families
from pipelines.recipes.recipe import Recipe, RecipeError, Scene, SceneSound, Shares, parse
from shards import format
from shards.hashing import unit
from shards.pools import Pools
from shards.rejections import Reason

AVS = label_maps.load()
FAMILIES = Families(AVS)
WIDTH, HEIGHT = 100, 40


def box(x: int, y: int = 10, width: int = 10, height: int = 10) -> bytes:
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    pixels[y : y + height, x : x + width] = 1
    return coco.encode(pixels)["counts"]


def candidate(image: str, category: str, *places: int, split: str = "train") -> dict[str, Any]:
    objects = [box(x) for x in places]
    pixels = np.logical_or.reduce([coco.decode({"size": [HEIGHT, WIDTH], "counts": one}) for one in objects])
    x, y, width, height = (
        coco.toBbox({"size": [HEIGHT, WIDTH], "counts": _counts(pixels)}).astype(int).tolist()
    )
    sample_id = format.sample_id(image, category)
    return {
        "corpus": "lvis", "image_id": image, "width": WIDTH, "height": HEIGHT, "photo_keys": [], "category": category,
        "sample_id": sample_id, "mask_ids": [f"{image}_{category}_{x}" for x in places], "instances": objects,
        "label_ids": ["1"], "labels": [category], "counts": _counts(pixels), "area_px": int(pixels.sum()),
        "exhaustive": True, "bbox_x": x, "bbox_y": y, "bbox_w": width, "bbox_h": height, "component": image,
        "split": split,
    }  # fmt: skip


def _counts(pixels: np.ndarray) -> bytes:
    return coco.encode(np.asfortranarray(pixels.astype(np.uint8)))["counts"]


def composed(rows: list[dict[str, Any]], scene: Scene, known: list[dict[str, Any]] | None = None) -> pa.Table:
    recipe = Recipe("x", seed=3, scene=scene)
    schema = compose.ROWS if known is not None else compose.SPLIT
    table = pa.Table.from_pylist([*rows, *(known or [])], schema=schema)
    return compose.scenes(table, recipe, FAMILIES, AVS.hearing)


def drawn(table: pa.Table) -> set[str]:
    return set(compose.certain(table).kept["sample_id"].to_pylist())


def test_each_possible_scene_is_drawn_by_its_own_hash() -> None:
    names = ["cat", "dog", "guitar", "bus"]
    rows = [candidate(f"lvis:{i}", name, 25 * place) for i in range(60) for place, name in enumerate(names)]
    shares = Shares(single=0.6, mixture_of_2=0.5, mixture_of_3=0.25, silence=0.2, noise=0.1)
    table = composed(rows, Scene(shares=shares))
    expected = set()
    for i in range(60):
        for number, share in ((1, 0.6), (2, 0.5), (3, 0.25)):
            ids = [
                format.sample_id(f"lvis:{i}", "+".join(sorted(chosen)))
                for chosen in combinations(names, number)
            ]
            expected |= {one for one in ids if unit(3, "scene", one) < share}
        ids = [
            (format.sample_id(f"lvis:{i}", "", kind), share)
            for kind, share in (("silence", 0.2), ("noise", 0.1))
        ]
        expected |= {one for one, share in ids if unit(3, "scene", one) < share}
    assert drawn(table) == expected
    lost = compose.certain(table).rejected.to_pylist()
    assert {row["reason"] for row in lost} == {Reason.NOT_DRAWN}
    assert len(table) == len(expected) + len(lost)
    fewer = composed([row for row in rows if row["category"] != "dog"], Scene(shares=shares))
    assert drawn(fewer) == {one for one in expected if "dog" not in one}  # a category more moves nothing
    for row in compose.certain(table).kept.to_pylist():
        assert row["key"] == format.key_of(row["sample_id"])
        assert [source["category"] for source in row["sources"]] == sorted(
            filter(None, row["category"].split("+"))
        )


def test_shares_of_evaluation_and_a_bound_for_a_photo() -> None:
    rows = [candidate(f"lvis:{i}", name, 30 * place, split=split) for i, split in enumerate(("train", "val", "test"))
            for place, name in enumerate(("cat", "bus", "piano"))]  # fmt: skip
    table = composed(rows, Scene(evaluation=Shares(single=0, silence=1), most_per_photo=2))
    kept = Counter((row["split"], row["kind"]) for row in compose.certain(table).kept.to_pylist())
    assert kept == {("train", "single"): 2, ("val", "silence"): 1, ("test", "silence"): 1}
    (over,) = [
        row for row in compose.certain(table).rejected.to_pylist() if row["reason"] == Reason.OVER_PHOTO_CAP
    ]
    singles = [format.sample_id("lvis:0", name) for name in ("cat", "bus", "piano")]
    assert over["item"] == max(singles, key=lambda one: unit(3, "scene", one))


def test_what_may_be_one_object_is_no_mixture() -> None:
    everything = Scene(shares=Shares(mixture_of_2=1, mixture_of_3=1))
    rows = [candidate("lvis:1", "cat", 10), candidate("lvis:1", "dog", 12), candidate("lvis:1", "bus", 60)]
    table = composed(rows, everything)
    assert drawn(table) == {f"lvis:1|{name}" for name in ("cat", "dog", "bus", "bus+cat", "bus+dog")}
    lost = {row["item"]: row["reason"] for row in compose.certain(table).rejected.to_pylist()}
    assert lost == {"lvis:1|cat+dog": "sources_overlap", "lvis:1|bus+cat+dog": "sources_overlap"}
    family = [
        candidate("lvis:1", "man", 10),
        candidate("lvis:1", "person", 10, 60),
        candidate("lvis:1", "bus", 80),
    ]
    assert "lvis:1|man+person" not in {row["sample_id"] for row in composed(family, everything).to_pylist()}


def test_objects_of_a_category_are_told_apart_by_their_place() -> None:
    stereo = Scene(sources="instance", shares=Shares(mixture_of_2=1), sound=SceneSound(stereo=True))
    rows = [
        candidate("lvis:1", "dog", 0, 50, 85),
        candidate("lvis:1", "cat", 52),
        candidate("lvis:2", "dog", 0, 15),
    ]
    table = composed(rows, stereo)
    assert drawn(table) == {
        *(f"lvis:1|dog|lvis:1_dog_{x}" for x in (0, 50, 85)), "lvis:1|cat|lvis:1_cat_52",
        *(f"lvis:1|dog|lvis:1_dog_{x}+lvis:1_dog_{y}" for x, y in ((0, 50), (0, 85), (50, 85))),
        *(f"lvis:1|cat+dog|lvis:1_cat_52+lvis:1_dog_{x}" for x in (0, 85)),
    }  # fmt: skip
    lost = {(row["item"], row["reason"]) for row in compose.certain(table).rejected.to_pylist()}
    assert ("lvis:2|dog|lvis:2_dog_0", "sources_too_close") in lost
    assert ("lvis:1|cat+dog|lvis:1_cat_52+lvis:1_dog_50", "sources_overlap") in lost
    for row in table.to_pylist():
        for source in row["sources"]:
            assert (
                coco.area({"size": [HEIGHT, WIDTH], "counts": source["counts"]}) == source["area_px"] == 100
            )
            assert source["bbox"] == [int(source["mask_ids"][0].rsplit("_", 1)[1]), 10, 10, 10]


def link_of(category: str, corpus: str = "lvis") -> tuple[str, str]:
    return next(
        (link.source_id, link.label)
        for link in AVS.links
        if (link.category, link.source) == (category, corpus)
    )


def known_of(image: str, shown: list[tuple[str, str]], absent: Sequence[str] = (), **more: Any) -> pa.Table:
    about = {"image_id": image, "corpus": "lvis", "unknown": False}
    rows = [{**about, "label_id": label_id, "label": name} for label_id, name in shown]
    rows.append({**about, "absent_label_ids": list(absent), **more})
    return absence.known(pa.Table.from_pylist(rows, schema=absence.LABELS), FAMILIES)


def absent_of(table: pa.Table, verified: bool = False) -> set[str]:
    (row,) = table.to_pylist()
    sets = {name: row[name] if name == "unknown" else frozenset(row[name]) for name in absence.KNOWN}
    return set(FAMILIES.absent(AVS.hearing, sets, verified))


def test_nothing_like_what_is_shown_is_heard_off_the_screen() -> None:
    """Neither the category, nor its family, nor its group; nor what shares a word with a label that nobody judged."""
    person = absent_of(known_of("lvis:1", [link_of("person")]))
    assert not person & {"person", "man", "woman", "child"}
    assert {"dog", "guitar", "bus"} <= person
    dog = absent_of(known_of("lvis:1", [link_of("dog")]))
    assert not dog & {"dog", "cat", "bird", "gull", "horse"}
    assert {"man", "piano", "train"} <= dog
    other = absent_of(known_of("lvis:1", [("9999", "Dog_collars"), ("9998", "toy_train_(model)")]))
    assert not other & {"dog", "train"}
    assert "cat" in other
    assert absent_of(known_of("lvis:1", [link_of("dog")], unknown=True)) == set()
    listed = known_of("lvis:1", [], not_exhaustive_label_ids=[link_of("dog")[0]])
    assert "cat" not in absent_of(listed)


def test_verified_is_what_the_corpus_has_looked_for() -> None:
    labels = {c: [link.source_id for link in AVS.links if link.source == "lvis" and FAMILIES.of(link.category) == c]
              for c in ("dog", "piano", "harpsichord")}  # fmt: skip
    assert len(labels["dog"]) > 1
    assert absent_of(known_of("lvis:1", [link_of("person")], labels["piano"] + labels["dog"]), True) >= {
        "dog",
        "piano",
    }
    assert absent_of(known_of("lvis:1", [link_of("person")], labels["dog"][:1]), True) == set()
    assert absent_of(known_of("lvis:1", [link_of("person")]), True) == set()


def test_coco_marks_all_that_it_has_a_name_for() -> None:
    cat, dog = (link_of(name, "coco") for name in ("cat", "dog"))
    rows = [{"image_id": "coco:1", "corpus": "coco", "label_id": cat[0], "label": cat[1], "unknown": False}]
    table = absence.known(pa.Table.from_pylist(rows, schema=absence.LABELS), FAMILIES)
    absent = absent_of(table, True)
    assert {"person", "bus", "train"} <= absent
    assert not absent & {"cat", "dog", "piano"}  # its group, and what COCO has no name for
    assert f"coco|{dog[0]}" in table["absent"][0].as_py()


def test_off_screen_scenes_know_every_name_of_the_photograph() -> None:
    """What Open Images shows in a photo is in the photo for LVIS, too; what one has looked for, it knows alone."""
    rows = [candidate("lvis:1", "dog", 10)]
    known = [
        {"image_id": "lvis:1", "shown": ["dog"], "words": [], "absent": [], "unknown": False, "component": "lvis:1"},
        {"image_id": "open_images:a", "shown": ["bus"], "words": [], "absent": ["lvis|1"], "unknown": False,
         "component": "lvis:1"},
    ]  # fmt: skip
    scene = Scene(off_screen="not_annotated", shares=Shares(single=0, off_screen=1))
    (row,) = compose.certain(composed(rows, scene, known)).kept.to_pylist()
    assert (row["kind"], row["category"], row["sources"]) == ("off_screen", "", [])
    groups = {AVS.groups[name] for name in row["absent"]}
    assert groups == {"human", "music", "handled"}
    verified = compose.certain(
        composed(rows, replace(scene, off_screen="verified"), known)
    ).rejected.to_pylist()
    assert {row["reason"] for row in verified} == {"not_surely_absent", "not_drawn"}


def pools_of(clips: dict[str, list[str]]) -> Pools:
    places = dict.fromkeys(("flac_offset", "flac_size", "json_offset", "json_size"), 0)
    names = [(f"{name}{i}", categories) for name, categories in clips.items() for i in range(5)]
    return Pools(
        pa.Table.from_pylist(
            [
                {
                    **places,
                    "clip_id": name,
                    "split": "train",
                    "categories": found,
                    "shard": "",
                    "json_sha256": name,
                }
                for name, found in names
            ]
        )
    )


def test_every_source_hears_what_it_hears_alone_unless_that_is_taken() -> None:
    pools = pools_of({"d": ["dog"], "c": ["cat"], "p": ["piano"]})
    rows = [
        candidate(f"lvis:{i}", name, 30 * place)
        for i in range(30)
        for place, name in enumerate(("cat", "dog"))
    ]
    everything = Scene(
        off_screen="not_annotated", shares=Shares(mixture_of_2=1, off_screen=1, silence=1, noise=1)
    )
    known = [{"image_id": f"lvis:{i}", "shown": ["dog", "cat"], "words": [], "absent": [], "unknown": False,
              "component": f"lvis:{i}"} for i in range(30)]  # fmt: skip
    paired = pair.pair_scenes(compose.certain(composed(rows, everything, known)).kept, pools, seed=3)
    assert not len(paired.rejected)
    singles = [row for row in paired.kept.to_pylist() if row["kind"] == "single"]
    alone = {row["sample_id"]: row["sources"][0]["clip"]["clip_id"] for row in singles}
    columns = ("sample_id", "split", "category")
    plain = pair.pair(pa.table({name: [row[name] for row in singles] for name in columns}), pools, 3)
    assert plain.kept["clip_id"].to_pylist() == list(alone.values())
    for row in paired.kept.to_pylist():
        heard = [source["clip"]["clip_id"] for source in row["sources"]]
        if row["kind"] == "mixture":
            assert heard == [alone[f"{row['image_id']}|{name}"] for name in ("cat", "dog")]
        elif row["kind"] == "off_screen":
            assert [source["category"] for source in row["sources"]] == ["piano"]
    stereo = replace(
        everything, sources="instance", shares=Shares(mixture_of_3=1), sound=SceneSound(stereo=True)
    )
    herd = [candidate(f"lvis:{i}", "dog", 0, 40, 80) for i in range(30)]
    scenes = compose.certain(composed(herd, stereo)).kept
    few = pair.pair_scenes(scenes, pools, seed=3).kept.to_pylist()
    heard = [[source["clip"]["clip_id"] for source in row["sources"]] for row in few]
    assert all(len(set(clips)) == len(clips) for clips in heard)
    assert max(map(len, heard)) == 3
    two = Pools(pools.clips.filter(pa.compute.is_in(pools.clips["clip_id"], pa.array(["d0", "d1"]))))
    lost = pair.pair_scenes(scenes, two, seed=3).rejected.to_pylist()
    assert {row["detail"] for row in lost} == {"no dog clip in train; 2 are taken"}


def test_a_recipe_of_scenes_says_all_that_contradicts_itself() -> None:
    scene = {
        "targets": ["classes", "boxes"], "sources": "instance", "shares": {"single": 0.0, "silence": 2.0},
        "sound": {"snr_low_db": 9.0, "snr_high_db": 3.0, "level_db": -20.25, "rule": "loud"},
    }  # fmt: skip
    with pytest.raises(RecipeError) as caught:
        parse({"name": "x", "select": {"instances": "single"}, "scene": scene}, "", "r.toml")
    for part in (
        "scene.shares.silence = 2.0: must be at least 0 and at most 1", "scene.sound.rule = 'loud': one of vpo",
        "scene.targets = boxes: take of binary, classes, instances", "binary is always one",
        "select.instances = 'single' with a table [scene]", "set scene.sound.stereo = true",
        "snr_low_db = 9 is above snr_high_db = 3", "level_db = -20.25: gains are tenths",
    ):  # fmt: skip
        assert part in str(caught.value)
    with pytest.raises(RecipeError, match=r"scene\.shares: all are 0"):
        parse({"name": "x", "scene": {"shares": {"single": 0}}}, "", "r.toml")
    with pytest.raises(RecipeError, match="binary is always one"):
        parse({"name": "x", "scene": {"targets": []}}, "", "r.toml")
    found = parse({"name": "x", "scene": {"shares": {"noise": 0.5}}}, "", "r.toml").scene
    assert (found.targets, found.evaluation) == (("binary",), Shares(noise=0.5))
    assert parse({"name": "x"}, "", "r.toml").scene.targets == ()
