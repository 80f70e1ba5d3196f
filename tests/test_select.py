"""Measure, select, split, cap and pair as plain functions, against plain loops."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from label_maps import Kinds, LabelMap
from label_maps.links import Link
from pipelines.build import pair, select, slices, split, stages
from pipelines.build.categorize import categorize_clips, categorize_masks
from pipelines.build.shuffle import Grouping
from pipelines.corpora.records import CLIPS, MASKS
from pipelines.recipes.recipe import Select, Split
from shards import hashing
from shards.rejections import Reason
from shards.tables import POOL

RULES = Select(min_area_fraction=0.01, max_area_fraction=0.6, min_side_px=50)


def square(x: int, y: int, side: int) -> bytes:
    return json.dumps([[x, y, x + side, y, x + side, y + side, x, y + side]]).encode()


def mask(mask_id: str, image: str = "lvis:1", **given: object) -> dict:
    row = {
        "mask_id": mask_id,
        "corpus": "lvis",
        "image_id": image,
        "image_path": f"lvis/images/{image.split(':')[1]}.jpg",
        "photo_keys": [image.replace("lvis", "coco")],
        "width": 100,
        "height": 80,
        "label_id": "7",
        "label": "dog",
        "segmentation": square(10, 10, 30),
        "licence": "cc-by-2.0",
        "category": "dog",
    }
    return {**row, **given}


@pytest.fixture
def corpora(tmp_path: Path) -> str:
    folder = tmp_path / "lvis" / "images"
    folder.mkdir(parents=True)
    for number in (1, 2, 3):
        Image.new("RGB", (100, 80), (number, 0, 0)).save(folder / f"{number}.jpg")
    (folder / "4.jpg").write_bytes(b"no jpeg")
    Image.new("RGB", (40, 80)).save(folder / "5.jpg")
    return str(tmp_path)


def table(*rows: dict) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=MASKS.append(pa.field("category", pa.string())))


def link(category: str, source: str, source_id: str) -> Link:
    return Link(category, source, source_id, source_id, "", "same", "maintainers", "2026-01-01", "")


# girl -> child -> person <- man; a dog that is no kind of anything. Nothing that is heard is asked of it here.
KINDS = LabelMap("m", "1.0.0", (), Kinds({"man": "person", "child": "person", "girl": "child"}))


def run(
    corpora: str, rules: Select, *rows: dict, label_map: LabelMap = KINDS
) -> tuple[list[dict], dict[str, str]]:
    """Samples, and mask id -> reason, of masks through measure and select."""
    measured = select.measure(table(*rows), corpora, rules)
    selected = select.select(measured.kept, rules, label_map)
    lost = pa.concat_tables([measured.rejected, selected.rejected]).to_pylist()
    kept = [mask_id for row in selected.kept.to_pylist() for mask_id in row["own_mask_ids"]]
    assert sorted(kept + [row["item"] for row in lost]) == sorted(row["mask_id"] for row in rows)
    return selected.kept.to_pylist(), {row["item"]: row["reason"] for row in lost}


def test_union_joins_the_instances_of_an_image(corpora: str) -> None:
    rows = [mask("lvis:9"), mask("lvis:8", segmentation=square(30, 30, 20)), mask("lvis:7", image="lvis:2")]
    samples, lost = run(corpora, RULES, *rows)
    assert not lost
    assert [sample["sample_id"] for sample in samples] == ["lvis:1|dog", "lvis:2|dog"]
    assert samples[0]["mask_ids"] == ["lvis:8", "lvis:9"]
    pixels = np.zeros((80, 100), bool)
    pixels[10:40, 10:40] = pixels[30:50, 30:50] = True
    assert samples[0]["area_px"] == pixels.sum()
    assert samples[0]["area_fraction"] == pixels.mean()
    assert [samples[0][f"bbox_{side}"] for side in "xywh"] == [10, 10, 40, 40]


def test_instance_and_single_policies(corpora: str) -> None:
    rows = [mask("lvis:9"), mask("lvis:8", segmentation=square(50, 40, 20))]
    samples, lost = run(corpora, replace(RULES, instances="instance"), *rows)
    assert [sample["sample_id"] for sample in samples] == ["lvis:1|dog|lvis:8", "lvis:1|dog|lvis:9"]
    assert not lost
    samples, lost = run(corpora, replace(RULES, instances="single"), *rows)
    assert [sample["mask_ids"] for sample in samples] == [["lvis:9"]]
    assert lost == {"lvis:8": "not_the_largest"}


def test_a_faulty_instance_spoils_a_union_and_nothing_else(corpora: str) -> None:
    rows = [mask("lvis:1"), mask("lvis:2", is_crowd=True), mask("lvis:3", category="cat")]
    samples, lost = run(corpora, RULES, *rows)
    assert [sample["sample_id"] for sample in samples] == ["lvis:1|cat"]
    assert lost == {"lvis:1": "incomplete_union", "lvis:2": "crowd"}
    samples, lost = run(corpora, replace(RULES, instances="instance"), *rows)
    assert len(samples) == 2
    assert lost == {"lvis:2": "crowd"}
    samples, lost = run(corpora, replace(RULES, crowd=True), *rows)
    assert len(samples) == 2
    assert not lost


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"image_path": None}, Reason.IMAGE_MISSING),
        ({"image_path": "lvis/images/4.jpg"}, Reason.IMAGE_UNREADABLE),
        ({"image_path": "lvis/images/5.jpg"}, Reason.IMAGE_TOO_SMALL),
        ({"width": 80, "height": 100}, Reason.IMAGE_SIZE_MISMATCH),
        ({"segmentation": square(10, 10, 3)}, Reason.MASK_TOO_SMALL),
        ({"segmentation": square(0, 0, 79)}, Reason.MASK_TOO_LARGE),
        ({"segmentation": square(300, 10, 9)}, Reason.MASK_OUTSIDE_IMAGE),
        ({"segmentation": b"[]"}, Reason.MASK_EMPTY),
        ({"segmentation": b'{"size":[80,100],"counts":[8000]}'}, Reason.MASK_EMPTY),
        ({"segmentation": None}, Reason.MASK_MISSING),
        ({"is_crowd": True}, Reason.CROWD),
        ({"is_group_of": True}, Reason.GROUP_OF),
        ({"is_depiction": True}, Reason.DEPICTION),
        ({"licence": "cc-by-nc-2.0"}, Reason.LICENCE),
        ({"licence": None}, Reason.LICENCE),
    ],
)
def test_every_rule_has_its_reason(corpora: str, change: dict, reason: Reason) -> None:
    rules = Select(
        min_area_fraction=0.01, max_area_fraction=0.6, min_side_px=50, image_licences=("cc-by-2.0",)
    )
    samples, lost = run(corpora, rules, mask("lvis:1", **change))
    assert samples == []
    assert lost == {"lvis:1": reason.value}


def test_a_decompression_bomb_is_refused_from_its_header(corpora: str) -> None:
    _, lost = run(corpora, Select(max_image_pixels=7_999, min_side_px=1), mask("lvis:1"))
    assert lost == {"lvis:1": "image_too_large"}


def test_a_wider_category_marks_its_kinds_where_it_has_a_mask_of_its_own(corpora: str) -> None:
    rows = [
        mask("lvis:1", category="person", segmentation=square(0, 0, 20)),
        mask("lvis:2", category="man", segmentation=square(30, 0, 20)),
        mask("lvis:3", category="girl", segmentation=square(60, 0, 20)),
        mask("lvis:4", category="man", segmentation=square(30, 30, 20)),
        mask("lvis:5", category="dog", segmentation=square(60, 30, 20)),
        mask("lvis:6", "lvis:2", category="man"),
    ]
    samples, lost = run(corpora, RULES, *rows)
    assert not lost
    assert {sample["sample_id"]: sample["mask_ids"] for sample in samples} == {
        "lvis:1|dog": ["lvis:5"],
        "lvis:1|girl": ["lvis:3"],
        "lvis:1|man": ["lvis:2", "lvis:4"],
        "lvis:1|person": ["lvis:1", "lvis:2", "lvis:3", "lvis:4"],  # no child: the image has no mask of one
        "lvis:2|man": ["lvis:6"],  # and no person here
    }
    assert {sample["sample_id"]: sample["area_px"] for sample in samples}["lvis:1|person"] == 4 * 400
    alone, _ = run(corpora, replace(RULES, instances="instance"), *rows)
    assert sorted(sample["mask_ids"] for sample in alone) == [[f"lvis:{n}"] for n in range(1, 7)]


@pytest.mark.parametrize("seed", range(8))
def test_unions_of_kinds_against_a_plain_loop(corpora: str, seed: int) -> None:
    wider = {"man": ["person"], "child": ["person"], "girl": ["child", "person"], "person": [], "dog": []}
    rng = np.random.default_rng(seed)
    rows = [
        mask(
            f"lvis:{n}",
            f"lvis:{rng.integers(1, 4)}",
            category=str(rng.choice(sorted(wider))),
            segmentation=square(int(rng.integers(0, 80)), int(rng.integers(0, 60)), 12),
            is_crowd=bool(rng.random() < 0.1),
        )
        for n in range(25)
    ]
    samples, lost = run(corpora, RULES, *rows)
    expected, spoilt = {}, set()
    for image in {row["image_id"] for row in rows}:
        here = [row for row in rows if row["image_id"] == image]
        for category in {row["category"] for row in here}:
            members = [row for row in here if category in (row["category"], *wider[row["category"]])]
            if any(row["is_crowd"] for row in members):
                spoilt |= {row["mask_id"] for row in members if row["category"] == category}
            else:
                expected[f"{image}|{category}"] = sorted(row["mask_id"] for row in members)
    assert {sample["sample_id"]: sample["mask_ids"] for sample in samples} == expected
    assert set(lost) == spoilt
    assert set(lost.values()) <= {"crowd", "incomplete_union"}


def test_a_faulty_kind_spoils_the_wider_union_and_not_the_other_way(corpora: str) -> None:
    person = mask("lvis:1", category="person")
    man = mask("lvis:2", category="man", segmentation=square(50, 30, 20))
    samples, lost = run(corpora, RULES, person, {**man, "is_crowd": True})
    assert samples == []
    assert lost == {"lvis:1": "incomplete_union", "lvis:2": "crowd"}
    samples, lost = run(corpora, RULES, {**person, "is_crowd": True}, man)
    assert [(sample["sample_id"], sample["mask_ids"]) for sample in samples] == [("lvis:1|man", ["lvis:2"])]
    assert lost == {"lvis:1": "crowd"}


def test_single_takes_the_largest_of_all_kinds(corpora: str) -> None:
    person = mask("lvis:1", category="person", segmentation=square(0, 0, 20))
    man = mask("lvis:2", category="man", segmentation=square(40, 0, 40))
    samples, lost = run(corpora, replace(RULES, instances="single"), person, man)
    assert [sample["mask_ids"] for sample in samples] == [["lvis:2"], ["lvis:2"]]
    assert lost == {"lvis:1": "not_the_largest"}


def test_what_the_file_calls_a_label_goes_along(corpora: str) -> None:
    rows = [
        mask("lvis:1", label_id="8", label="puppy"),
        mask("lvis:2", label_id="7", label="Dog"),
        mask("lvis:3", label_id="7", label="dogs"),
        mask("lvis:4", label_id="9", label=None),
    ]
    (sample,), _ = run(corpora, RULES, *rows)
    assert (sample["label_ids"], sample["labels"]) == (["7", "8", "9"], ["Dog", "puppy", None])


def test_match_drops_what_no_sample_can_have() -> None:
    links = (
        link("boat", "lvis", "1"),
        link("motorboat", "vggsound", "motorboat"),
        link("person", "lvis", "2"),
        link("person", "vggsound", "clapping"),
        link("man", "open_images", "3"),
        link("baby", "vggsound", "baby crying"),
    )
    kinds = Kinds({"motorboat": "boat", "man": "person", "baby": "person"})
    label_map = LabelMap("x", "1", links, kinds)
    masks = [mask(f"lvis:{n}", label_id=str(n)) for n in (1, 2, 3)]
    masks.append(mask("open_images:3", corpus="open_images", label_id="3"))
    clips = [
        {"clip_id": name, "corpus": "vggsound", "label_ids": [name], "labels": [name]}
        for name in ("motorboat", "clapping", "baby crying", "rain")
    ]

    def fates(rows: pa.Table, item: str, narrower_sounds: bool) -> dict[str, str]:
        stage = categorize_masks if item == "mask_id" else categorize_clips
        outcome = stage(rows, replace(label_map, narrower_sounds=narrower_sounds))
        kept = {row[item]: row["category"] for row in outcome.kept.to_pylist()}
        return kept | {row["item"]: row["reason"] for row in outcome.rejected.to_pylist()}

    seen = table(*masks).drop_columns(["category"])
    heard = pa.Table.from_pylist(clips, CLIPS)
    unknown = "label_not_in_map"
    assert fates(seen, "mask_id", False) == {
        "lvis:1": "narrower_sound", "lvis:2": "person", "lvis:3": unknown, "open_images:3": "man",
    }  # fmt: skip
    assert fates(heard, "clip_id", False) == {
        "motorboat": "narrower_sound", "clapping": "person", "baby crying": "narrower_sound", "rain": unknown,
    }  # fmt: skip
    assert fates(seen, "mask_id", True)["lvis:1"] == "boat"
    assert fates(heard, "clip_id", True) == {
        "motorboat": "motorboat", "clapping": "person", "baby crying": "baby", "rain": unknown,
    }  # fmt: skip


def test_match_against_a_plain_loop() -> None:
    links = (
        *(link("cat", "lvis", "8"), link("dog", "lvis", "7"), link("taxi", "open_images", "7")),
        *(link(category, "vggsound", category) for category in ("cat", "dog", "taxi")),
    )
    rows = [mask(f"lvis:{n}", label_id=str(n % 10)) for n in range(30)]
    rows += [mask(f"open_images:{n}", corpus="open_images", label_id=str(n % 10)) for n in range(30)]
    known = {(one.source, one.source_id): one.category for one in links}
    outcome = categorize_masks(table(*rows).drop_columns(["category"]), LabelMap("x", "1", links))
    expected = {
        r["mask_id"]: known[r["corpus"], r["label_id"]] for r in rows if (r["corpus"], r["label_id"]) in known
    }
    assert {row["mask_id"]: row["category"] for row in outcome.kept.to_pylist()} == expected
    assert outcome.rejected.num_rows == len(rows) - len(expected)
    assert set(outcome.rejected["reason"].to_pylist()) == {"label_not_in_map"}


names = st.sampled_from("abcdefgh")


@given(st.dictionaries(st.integers(0, 12).map(lambda n: f"lvis:{n}"), st.lists(names, max_size=3)))
def test_components_against_a_plain_flood(images: dict[str, list[str]]) -> None:
    rows = pa.table(
        {
            "image_id": pa.array(images, pa.string()),
            "photo_keys": pa.array(images.values(), pa.list_(pa.string())),
        }
    )
    cut = Grouping("memory://parked", "name", 3).cut(split.photo_names(rows))
    cuts = [slices.read(found) for _, found in cut]
    linked = split.components(link for part in cuts for link in split.linked_nodes(part))
    known = {image: {image, *keys} for image, keys in images.items()}
    for image, keys in known.items():
        group = {image}
        while (
            grown := {other for other, theirs in known.items() for one in group if theirs & known[one]}
            - group
        ):
            group |= grown
        node = min(keys)
        assert linked.get(node, node) == min(name for one in group for name in known[one])


def test_photos_follow_the_sizes_and_their_component() -> None:
    sizes = Split(train=800, val=100, test=100)
    found = Counter(split.photo_split(f"coco:{n}", 0, sizes) for n in range(20_000))
    assert found["train"] == pytest.approx(16_000, rel=0.03)
    assert found["val"] == pytest.approx(2_000, rel=0.1)
    rows = pa.table(
        {"image_id": ["lvis:1", "open_images:a"], "photo_keys": [["coco:1", "flickr:5"], ["flickr:5"]]}
    )
    outcome = split.split_samples(rows, {"coco:1": "coco:1", "flickr:5": "coco:1"}, 0, sizes)
    assert outcome.kept["component"].to_pylist() == ["coco:1", "coco:1"]
    assert len(set(outcome.kept["split"].to_pylist())) == 1


def test_held_out_videos_are_never_heard_in_training() -> None:
    rows = [
        {
            "clip_id": f"vggsound:{n}_{part}",
            "video_id": str(n),
            "category": "dog",
            "official_split": official,
            "split_is_final": False,
        }
        for n in range(300)
        for part, official in ((0, "train"), (1, "test" if n % 3 == 0 else "train"))
    ]
    held_out = frozenset(str(n) for n in range(0, 300, 7))
    clips = split.name_recordings(pa.Table.from_pylist(rows), {})
    outcome = split.split_clips(clips, held_out, 0, Split(train=8, val=1, test=1))
    assert outcome.rejected.num_rows == 0
    for row in outcome.kept.to_pylist():
        kept_out = int(row["video_id"]) % 3 == 0 or row["video_id"] in held_out
        assert (row["split"] != "train") == kept_out
    by_video = {(row["video_id"], row["split"]) for row in outcome.kept.to_pylist()}
    assert len(by_video) == 300
    nowhere = split.split_clips(clips, held_out, 0, Split(train=8, val=0, test=0))
    assert set(nowhere.rejected["reason"].to_pylist()) == {"no_split"}
    assert nowhere.kept.num_rows + nowhere.rejected.num_rows == 600


def test_near_duplicate_clips_share_a_split() -> None:
    pairs = pa.table({"clip_id_a": ["vggsound:b_c_000010"], "clip_id_b": ["vggsound:aaa_000000"]})
    linked = split.linked_videos(pairs)
    assert linked == {"b_c": "aaa", "aaa": "aaa"}
    rows = [
        {
            "clip_id": "vggsound:b_c_000010",
            "video_id": "b_c",
            "category": "dog",
            "official_split": "train",
            "split_is_final": False,
        },
        {
            "clip_id": "vggsound:aaa_000000",
            "video_id": "aaa",
            "category": "dog",
            "official_split": "test",
            "split_is_final": False,
        },
        {
            "clip_id": "vggsound:d_000000",
            "video_id": "d",
            "category": "dog",
            "official_split": "train",
            "split_is_final": False,
        },
    ]
    clips = split.name_recordings(pa.Table.from_pylist(rows), linked)
    found = split.split_clips(clips, frozenset(), 0, Split(train=8, val=1, test=1)).kept["split"].to_pylist()
    assert found[0] == found[1] != "train"
    assert found[2] == "train"


def test_near_duplicate_photos_are_one_photograph() -> None:
    images = pa.table(
        {
            "image_id": ["lvis:1", "open_images:a"],
            "photo_keys": pa.array([["coco:1"], ["flickr:5"]], pa.list_(pa.string())),
        }
    )
    pairs = pa.table({"photo_key_a": ["flickr:5", "flickr:5"], "photo_key_b": ["coco:1", "coco:7"]})
    names = pa.concat_tables([split.photo_names(images), split.pair_names(pairs)])
    linked = split.components(split.linked_nodes(names))
    assert {linked[node] for node in ("coco:1", "flickr:5")} == {"coco:1"}
    outcome = split.split_samples(images, linked, 0, Split())
    assert outcome.kept["component"].to_pylist() == ["coco:1", "coco:1"]


def test_held_out_lists_in_avsbench_layouts(tmp_path: Path) -> None:
    (tmp_path / "s4.csv").write_text(
        "name,start,category,split\n-_wznbUu3DY,0,dog,train\n0d9u2CymIxc,0,dog,test\n"
    )
    (tmp_path / "ms3.csv").write_text("video_id,split\njlhuZfcw61w,train\nxv7eM6-UmkY_36,val\n")
    (tmp_path / "plain.csv").write_text("\ufeffvideo_id\r\nAAAAAAAAAAA\r\n")
    assert split.read_held_out(str(tmp_path / "s4.csv")) == {"0d9u2CymIxc"}
    assert split.read_held_out(str(tmp_path / "ms3.csv")) == {"xv7eM6-UmkY"}
    assert split.read_held_out(str(tmp_path / "plain.csv")) == {"AAAAAAAAAAA"}
    (tmp_path / "bad.csv").write_text("video_id\nshort\n")
    with pytest.raises(ValueError, match=r"bad\.csv:2: 'short' is no YouTube id"):
        split.read_held_out(str(tmp_path / "bad.csv"))
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match="is empty or its first line is"):
        split.read_held_out(str(tmp_path / "empty.csv"))


@pytest.mark.parametrize(
    "text",
    [
        "AAAAAAAAAAA\nabcdefghi_1\n",
        "AAAAAAAAAAA_000030\r\n\r\nabcdefghi_1_0_10\r\n",
        'AAAAAAAAAAA,30,"dogs, barking",test\nabcdefghi_1,30,name,test\n',
        "\ufeffAAAAAAAAAAA,\nabcdefghi_1,\n",
    ],
)
def test_held_out_lists_without_a_header_lose_no_video(tmp_path: Path, text: str) -> None:
    (tmp_path / "list.csv").write_bytes(text.encode())
    assert split.read_held_out(str(tmp_path / "list.csv")) == {"AAAAAAAAAAA", "abcdefghi_1"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "AAAAAAAAAAA,3,dog,train\nabcdefghi_1,3,dog,test\n",
            r":1: without a header .* which column is the split",
        ),
        ("title,video\nfilename_of_it,abcdefghi_1\n", "no column `video_id`, `name` or `id`"),
        ("start,vid\n3,-abcdefghi1\n", "no column `video_id`, `name` or `id`"),
        ("vid;start\nabcdefghi_1;3\n", "no column `video_id`, `name` or `id`"),
        ("Video_ID,split\nabcdefghi_1,test\n", "first line is Video_ID, split"),
        ("AAAAAAAAAAA\nnot an id\n", "no column `video_id`, `name` or `id`"),
        ("video_id\nfilename_of_it\n", ":2: 'filename_of_it' is no YouTube id"),
        ("video_id\nabcdefghi_1x\n", ":2: 'abcdefghi_1x' is no YouTube id"),
        ("video_id,split\nabcdefghi_1,train\n", "lists no video to hold out"),
        ("video_id\n", "lists no video to hold out"),
    ],
)
def test_what_is_no_held_out_list_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(split.HeldOutError, match=said):
        split.read_held_out(str(tmp_path / "list.csv"))


@given(st.lists(st.sampled_from(["cat", "dog", "emu"]), max_size=60), st.integers(1, 20))
def test_caps_keep_the_lowest_hashes(categories: list[str], cap: int) -> None:
    rows = pa.table(
        {"sample_id": [str(n) for n in range(len(categories))], "category": pa.array(categories, pa.string())}
    )
    combine = stages.LowestRanks(cap)
    ranks: dict[str, np.ndarray] = {}
    for part in (rows.slice(0, 20), rows.slice(20)):
        for name, found in pair.ranks_by(part, 0, "category"):
            ranks[name] = combine.add_input(ranks.get(name, combine.create_accumulator()), found)
    cutoffs = dict(stages.cutoff(ranked, {"": cap}) for ranked in ranks.items())
    outcome = pair.keep_lowest(rows, cutoffs, 0, "category", "cap")
    expected = []
    for name in set(categories):
        members = [str(n) for n, category in enumerate(categories) if category == name]
        expected += sorted(members, key=lambda sample_id: hashing.hash64(0, "rank", sample_id))[:cap]
    assert sorted(outcome.kept["sample_id"].to_pylist()) == sorted(expected)
    assert outcome.kept.num_rows + outcome.rejected.num_rows == len(categories)


def test_pairs_are_of_the_same_split_and_category() -> None:
    clips = [
        {
            "clip_id": f"vggsound:{n}",
            "split": ("train", "val")[n % 2],
            "categories": [("cat", "dog")[n // 2 % 2]],
        }
        for n in range(40)
    ]
    parts = [pair.slim(pa.Table.from_pylist(part, POOL)) for part in (clips[20:], clips[:20])]
    pools = pair.parked(pair.park(parts, "memory://parked"))
    rows = [
        {"sample_id": f"s{n}", "split": ("train", "val", "test")[n % 3], "category": ("cat", "dog")[n % 2]}
        for n in range(60)
    ]
    outcome = pair.pair(pa.Table.from_pylist(rows), pools, seed=3)
    for row in outcome.kept.to_pylist():
        pool = sorted(
            c["clip_id"] for c in clips if (c["split"], c["categories"]) == (row["split"], [row["category"]])
        )
        assert row["clip_id"] == pool[hashing.pair(3, 0, row["sample_id"], hashing.pool_hashes(pool))]
    assert {row["item"] for row in outcome.rejected.to_pylist()} == {
        r["sample_id"] for r in rows if r["split"] == "test"
    }
    assert set(outcome.rejected["reason"].to_pylist()) == {"no_clip"}
