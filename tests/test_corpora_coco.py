"""COCO against json.load and a plain loop; the photographs that it shares with LVIS."""

import json
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpora_read import read_masks

import label_maps
from label_maps import LabelMap, Link
from pipelines.build import merge
from pipelines.build.index import index
from pipelines.corpora import coco, labels
from pipelines.corpora.source import CorpusError

NAMES = {1: "person", 17: "cat", 18: "dog", 90: "toothbrush"}  # ids with gaps


def photo(number: int, **more: object) -> dict:
    name = f"{number:012d}.jpg"
    url = f"http://images.cocodataset.org/train2017/{name}"
    return {"id": number, "width": 64, "height": 48, "file_name": name, "coco_url": url, "license": 4} | more


def annotation(number: int, image: int, category: int, **more: object) -> dict:
    shape = [[1.0, 1.0, 20.5, 1.0, 20.5, 30.0]]
    row = {"id": number, "image_id": image, "category_id": category, "segmentation": shape, "iscrowd": 0}
    return row | {"area": 280.0, "bbox": [1, 1, 19.5, 29]} | more


def write(root: Path, images: list, annotations: list, names: dict = NAMES, split: str = "train") -> str:
    folder = root / "coco" / "annotations"
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        "info": {"year": 2017},
        "licenses": [{"id": 4, "name": "Attribution", "url": "http://creativecommons.org/licenses/by/2.0/"}],
        "images": images,
        "annotations": annotations,
        "categories": [{"supercategory": "x", "id": n, "name": name} for n, name in names.items()],
    }
    (folder / f"instances_{split}2017.json").write_text(json.dumps(made))
    return str(root)


def touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


read = partial(read_masks, coco)


def test_rows_are_those_of_a_plain_loop(tmp_path: Path) -> None:
    crowd = {"segmentation": {"counts": [100, 20, 2952], "size": [48, 64]}, "iscrowd": 1}
    annotations = [annotation(n, 1 + n % 3, list(NAMES)[n % 4]) for n in range(1, 9)]
    annotations.append(annotation(900100000001, 1, 1, **crowd))
    images = [photo(1), photo(2), photo(3)]
    root = write(tmp_path, images, annotations)
    touch(tmp_path, "coco/train2017/000000000001.jpg", "lvis/images/train2017/000000000002.jpg")
    touch(tmp_path, "lvis/images/train2017/000000000001.jpg")
    table, rejected = read(root)
    assert not rejected
    paths = {1: "coco/train2017/000000000001.jpg", 2: "lvis/images/train2017/000000000002.jpg"}
    for row, given in zip(table.to_pylist(), annotations, strict=True):
        image = given["image_id"]
        assert row["mask_id"] == f"coco:{image}_{given['id']}"
        assert (row["image_id"], row["photo_keys"]) == (f"coco:{image}", [f"coco:{image}"])
        assert (row["label_id"], row["label"]) == (str(given["category_id"]), NAMES[given["category_id"]])
        assert row["is_crowd"] == bool(given["iscrowd"])
        assert json.loads(row["segmentation"]) == given["segmentation"]
        assert (row["image_path"], row["licence"]) == (paths.get(image), "cc-by-2.0")
        assert row["not_exhaustive_label_ids"] is None
        assert row["annotation_split"] == "train"


@pytest.mark.parametrize(
    ("image", "row", "reason"),
    [
        ({"file_name": "../../etc/passwd", "coco_url": None}, {}, "hostile_name"),
        ({"coco_url": "http://x/../x\\y.jpg"}, {}, "hostile_name"),
        ({}, {"category_id": 12}, "unknown_label"),  # a gap
        ({}, {"image_id": 7}, "unknown_image"),
        ({}, {"segmentation": None}, "bad_row"),
        ({}, {"iscrowd": 2}, "bad_row"),
        ({"width": 0}, {}, "bad_row"),
    ],
)
def test_a_bad_row_is_rejected_with_its_reason(tmp_path: Path, image: dict, row: dict, reason: str) -> None:
    root = write(tmp_path, [photo(1, **image)], [annotation(1, 1, 18, **{"category_id": 18, **row})])
    table, rejected = read(root)
    assert not len(table)
    assert reason in [found["reason"] for found in rejected]


def test_a_file_name_alone_lies_in_the_folder_of_its_split(tmp_path: Path) -> None:
    root = write(tmp_path, [photo(5, coco_url=None)], [annotation(1, 5, 18)], split="val")
    touch(tmp_path, "coco/val2017/000000000005.jpg")
    assert read(root)[0]["image_path"].to_pylist() == ["coco/val2017/000000000005.jpg"]


def test_lvis_in_the_place_of_coco_is_refused(tmp_path: Path) -> None:
    rows = (
        Link("dog", "coco", "18", "dog", "", "same", "me", "2026-01-01", ""),
        Link("dog", "vggsound", "dog barking", "dog barking", "", "same", "me", "2026-01-01", ""),
    )
    root = write(tmp_path, [], [], {1: "aerosol_can", 18: "antenna", 378: "dog"})
    with pytest.raises(
        CorpusError, match=r"coco label 18: here it is 'antenna'.*Likely LVIS's ids\. .*80 cat"
    ):
        labels.check(labels.declared(root), LabelMap("x", "1.0.0", rows))


def test_the_map_that_ships_takes_the_official_names(tmp_path: Path) -> None:
    labels.check(labels.declared(write(tmp_path, [], [])), label_maps.load())


COLUMNS = {
    name: pa.string() for name in ("corpus", "image_id", "category", "key", "sample_id", "photograph")
} | {"exhaustive": pa.bool_()}
LISTS = ("photo_keys", "label_corpora", "label_ids", "labels")
SCHEMA = pa.schema({**COLUMNS, **{name: pa.list_(pa.string()) for name in LISTS}})


def candidate(corpus: str, number: int, category: str = "dog", exhaustive: bool | None = None) -> dict:
    image = f"{corpus}:{number}"
    keys = {"lvis": [f"coco:{number}", f"flickr:{number}"], "coco": [f"coco:{number}"]}.get(corpus, [])
    about = {
        "corpus": corpus,
        "image_id": image,
        "category": category,
        "key": image,
        "exhaustive": exhaustive,
    }
    label = {"label_corpora": [corpus], "label_ids": [f"{corpus} {category}"], "labels": [category]}
    return about | label | {"sample_id": f"{image}|{category}", "photo_keys": keys}


def test_of_a_photograph_that_two_describe_one_sample_stays() -> None:
    rows = [
        candidate("coco", 1), candidate("lvis", 1, exhaustive=True),
        candidate("coco", 2), candidate("lvis", 2, exhaustive=False),
        candidate("coco", 3), candidate("lvis", 3),
        candidate("coco", 4), candidate("lvis", 5, exhaustive=True),
        candidate("coco", 6, "cat"), candidate("lvis", 6, "dog", exhaustive=True),
        candidate("open_images", 1),
    ]  # fmt: skip
    table = pa.Table.from_pylist(rows, SCHEMA).drop_columns("photograph")
    named = merge.name_photographs(table, {"coco": "coco", "lvis": "coco"})
    outcome = merge.merge(named)
    kept = {row["sample_id"]: row for row in outcome.kept.to_pylist()}
    assert sorted(kept) == [
        "coco:2|dog", "coco:3|dog", "coco:4|dog", "coco:6|cat", "lvis:1|dog", "lvis:5|dog", "lvis:6|dog",
        "open_images:1|dog",
    ]  # fmt: skip
    rejected = {row["item"]: row["reason"] for row in outcome.rejected.to_pylist()}
    assert rejected == dict.fromkeys(("coco:1|dog", "lvis:2|dog", "lvis:3|dog"), "described_twice")
    assert len(rows) == len(kept) + len(rejected)
    both = kept["coco:2|dog"]
    assert (both["label_corpora"], both["labels"]) == (["coco", "lvis"], ["dog", "dog"])
    assert both["photo_keys"] == ["flickr:2", "lvis:2"]
    assert kept["lvis:1|dog"]["label_ids"] == ["coco dog", "lvis dog"]
    assert kept["lvis:5|dog"]["label_corpora"] == ["lvis"]


def test_a_scenes_photograph_keeps_one_corpus_and_each_category_its_own_labels() -> None:
    rows = [
        candidate("coco", 1, "cat"), candidate("coco", 1, "dog"), candidate("lvis", 1, "dog", exhaustive=True),
        candidate("lvis", 1, "bird"), candidate("coco", 2, "cat"),
    ]  # fmt: skip
    table = pa.Table.from_pylist(rows, SCHEMA).drop_columns("photograph")
    outcome = merge.merge(merge.name_photographs(table, {"coco": "coco", "lvis": "coco"}), whole=True)
    kept = {row["sample_id"]: row for row in outcome.kept.to_pylist()}
    assert sorted(kept) == ["coco:2|cat", "lvis:1|bird", "lvis:1|dog"]
    assert kept["lvis:1|dog"]["label_ids"] == ["coco dog", "lvis dog"]
    assert kept["lvis:1|bird"]["label_ids"] == ["lvis bird"]  # COCO's cat and dog are no birds
    assert kept["lvis:1|bird"]["photo_keys"] == ["coco:1", "flickr:1"]
    assert sorted(row["item"] for row in outcome.rejected.to_pylist()) == ["coco:1|cat", "coco:1|dog"]


def test_both_corpora_are_indexed_side_by_side(tmp_path: Path) -> None:
    root = write(tmp_path, [photo(1)], [annotation(1, 1, 18)])
    made = {"licenses": [], "categories": [{"id": 378, "name": "dog", "synset": "dog.n.01"}]}
    made |= {"images": [photo(1)], "annotations": [annotation(1, 1, 378)]}
    (tmp_path / "lvis").mkdir()
    (tmp_path / "lvis" / "lvis_v1_train.json").write_text(json.dumps(made))
    touch(tmp_path, "coco/train2017/000000000001.jpg")
    found = index(root, str(tmp_path / "out"))
    rows = pq.read_table(found.masks).to_pylist()
    assert [(row["image_id"], row["image_path"]) for row in rows] == [
        ("lvis:1", "coco/train2017/000000000001.jpg"),
        ("coco:1", "coco/train2017/000000000001.jpg"),
    ]
    assert set(rows[0]["photo_keys"]) & set(rows[1]["photo_keys"]) == {"coco:1"}
    only = index(root, str(tmp_path / "only"), names=["coco"])
    assert list(only.counts) == ["coco"]
