"""LVIS: the streaming reader against json.load with a plain loop, and against the lvis package."""

import json
import os
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest
from corpora_read import read_masks
from lvis import LVIS
from real_data import MINI

from pipelines.corpora import coco_json, json_stream, lvis
from pipelines.corpora.records import PHOTOS, UNMARKED
from pipelines.corpora.source import CorpusError, Source

BY = {"id": 4, "name": "Attribution License", "url": "http://creativecommons.org/licenses/by/2.0/"}


def photo(number: int, **changes: object) -> dict:
    """An image row as LVIS v1 has it: no file_name."""
    row = {
        "id": number,
        "width": 640,
        "height": 428,
        "license": 4,
        "coco_url": f"http://images.cocodataset.org/train2017/{number:012d}.jpg",
        "flickr_url": f"http://farm4.staticflickr.com/3377/{number + 3000}_a1f6cf2cbd_z.jpg",
        "date_captured": "2013-11-24 03:32:32",
        "not_exhaustive_category_ids": [],
        "neg_category_ids": [1, 2],
    } | changes
    return {key: value for key, value in row.items() if value is not None}


def annotation(number: int, image: int, category: int = 1, **changes: object) -> dict:
    shape = [[1.5, 2.0, 30.25, 2.0, 30.25, 40.0]]
    row = {
        "id": number,
        "image_id": image,
        "category_id": category,
        "segmentation": shape,
        "area": 1.0,
        "bbox": [1, 2, 3, 4],
    }
    return {key: value for key, value in (row | changes).items() if value is not None}


def document(annotations: list, images: list, **changes: object) -> dict:
    categories = [
        {"id": 1, "name": "dog", "synset": "dog.n.01"},
        {"id": 2, "name": "ca}, {t", "synset": "cat.n.01"},
    ]
    return {
        "info": {},
        "images": images,
        "annotations": annotations,
        "licenses": [BY],
        "categories": categories,
    } | changes


def write(root: Path, data: dict | bytes, name: str = "lvis_v1_train.json", **options: object) -> str:
    folder = root / "lvis"
    folder.mkdir(exist_ok=True)
    content = data if isinstance(data, bytes) else json.dumps(data, **options).encode()
    (folder / name).write_bytes(content)
    return str(root)


read = partial(read_masks, lvis)


def rest(corpora: str) -> tuple[list[dict], list[dict]]:
    """PHOTOS, and UNMARKED by what they say."""
    photos, unmarked = [], []
    for source in lvis.sources(corpora):
        for part in lvis.read(source, corpora):
            assert (part.photos.schema, part.unmarked.schema) == (PHOTOS, UNMARKED)
            photos += part.photos.to_pylist()
            unmarked += part.unmarked.to_pylist()
    return photos, unmarked


def plain(path: Path, corpora: Path, split: str | None) -> list[dict]:
    """What the table must hold, by json.load and a loop."""
    data = json.loads(path.read_text())
    images = {image["id"]: image for image in data["images"]}
    names = {category["id"]: category["name"] for category in data["categories"]}
    urls = {term["id"]: term["url"] for term in data["licenses"]}
    rows = []
    for row in data["annotations"]:
        image = images[row["image_id"]]
        file = "lvis/images/" + "/".join(image["coco_url"].split("/")[-2:])
        code = urls[image["license"]].split("/licenses/")[-1].rstrip("/").replace("/", "-")
        special = {"flickr.com": "no-known-restrictions", "www.usa.gov": "us-government-work"}
        rows.append(
            {
                "mask_id": f"lvis:{row['image_id']}_{row['id']}",
                "corpus": "lvis",
                "image_id": f"lvis:{row['image_id']}",
                "image_path": file if (corpora / file).exists() else None,
                "image_url": image["coco_url"],
                "photo_keys": [
                    f"coco:{image['id']}",
                    f"flickr:{image['flickr_url'].split('/')[-1].split('_')[0]}",
                ],
                "width": image["width"],
                "height": image["height"],
                "label_id": str(row["category_id"]),
                "label": names[row["category_id"]],
                "segmentation": row["segmentation"],
                "mask_path": None,
                "box": None,
                "mask_source": None,
                "predicted_iou": None,
                "stability": None,
                "is_crowd": bool(row["iscrowd"]) if "iscrowd" in row else None,
                "is_group_of": None,
                "is_depiction": None,
                "not_exhaustive_label_ids": None
                if image.get("not_exhaustive_category_ids") is None
                else [str(number) for number in image["not_exhaustive_category_ids"]],
                "licence": special.get(urls[image["license"]].split("/")[2], "cc-" + code),
                "licence_url": urls[image["license"]],
                "author": None,
                "annotation_split": split,
            }
        )
    return rows


def as_rows(table: pa.Table) -> list[dict]:
    return [row | {"segmentation": json.loads(row["segmentation"])} for row in table.to_pylist()]


@pytest.mark.parametrize(
    "order", [["images", "categories", "licenses", "annotations"], ["annotations", "images"]]
)
@pytest.mark.parametrize("block_bytes", [200, 3000, json_stream.BLOCK_BYTES])
@pytest.mark.parametrize("indent", [None, 1])
def test_rows_are_those_of_json_load(tmp_path, monkeypatch, order, block_bytes, indent):
    read_stream = json_stream.JsonStream
    monkeypatch.setattr(coco_json, "JsonStream", lambda file, name: read_stream(file, name, block_bytes))
    rle = {"size": [428, 640], "counts": "abc},{\\"}
    annotations = [
        annotation(n, 1 + n % 5, 1 + n % 2, iscrowd=None if n % 3 else n % 2) for n in range(1, 60)
    ]
    annotations[7]["segmentation"] = rle
    lists = [None, [], [2], [1, 2], [77]]
    data = document(annotations, [photo(n, not_exhaustive_category_ids=lists[n - 1]) for n in range(1, 6)])
    data = {key: data[key] for key in order} | data
    corpora = write(tmp_path, data, indent=indent)
    (tmp_path / "lvis/images/train2017").mkdir(parents=True)
    (tmp_path / "lvis/images/train2017/000000000003.jpg").touch()
    table, rejected = read(corpora)
    assert as_rows(table) == plain(tmp_path / "lvis/lvis_v1_train.json", tmp_path, "train")
    assert table["image_path"].null_count < len(table)
    assert not rejected


@pytest.mark.skipif(not MINI.exists(), reason="no real data beside the checkout")
def test_real_rows_are_those_of_json_load():
    table, rejected = read(str(MINI))
    assert as_rows(table) == plain(MINI / "lvis/lvis_v1_mini.json", MINI, None)
    assert table["image_path"].null_count == 0
    assert not rejected


def test_the_lvis_package_finds_the_same(tmp_path):
    data = document([annotation(n, 1 + n % 3, 1 + n % 2) for n in range(20)], [photo(n) for n in (1, 2, 3)])
    table, _ = read(write(tmp_path, data))
    peer = LVIS(str(tmp_path / "lvis/lvis_v1_train.json"))
    for row in as_rows(table):
        found = peer.anns[int(row["mask_id"].split("_")[1])]
        image = peer.imgs[found["image_id"]]
        assert row["image_id"] == f"lvis:{found['image_id']}"
        assert row["label"] == peer.cats[found["category_id"]]["name"]
        assert (row["height"], row["width"]) == (image["height"], image["width"])
        assert row["segmentation"] == found["segmentation"]
    assert len(table) == len(peer.anns)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("lvis_v1_train.json", "train"),
        ("lvis_v1_val.json", "validation"),
        ("lvis_v1_mini.json", None),
        ("lvis_v1_minival.json", None),
    ],
)
def test_the_split_is_in_the_name(tmp_path, name, split):
    table, _ = read(write(tmp_path, document([annotation(1, 1)], [photo(1)]), name))
    assert table["annotation_split"].to_pylist() == [split]


def test_lists_of_photos_without_annotations_are_no_source(tmp_path):
    write(tmp_path, {}, "lvis_v1_image_info_test_dev.json")
    write(tmp_path, {}, "lvis_v1_val.json")
    corpora = write(tmp_path, {}, "lvis_v1_train.json")
    assert lvis.sources(corpora) == [
        Source("lvis", "lvis/lvis_v1_train.json", "train"),
        Source("lvis", "lvis/lvis_v1_val.json", "validation"),
    ]
    assert lvis.sources(str(tmp_path / "lvis")) == []


def test_photos_are_listed_with_what_they_do_not_show(tmp_path):
    images = [
        photo(1, not_exhaustive_category_ids=[2], neg_category_ids=[1, 99]),
        photo(2, not_exhaustive_category_ids=None, neg_category_ids=None),
        photo(3, width=0),
    ]
    corpora = write(tmp_path, document([], images))
    photos, unmarked = rest(corpora)
    assert unmarked == []
    told = [(row["image_id"], row["not_exhaustive_label_ids"], row["absent_label_ids"]) for row in photos]
    assert told == [("lvis:1", ["2"], ["1", "99"]), ("lvis:2", None, None)]
    assert photos[0]["image_url"] == "http://images.cocodataset.org/train2017/000000000001.jpg"
    assert photos[0]["annotation_split"] == "train"


@pytest.mark.parametrize("number", [99, -5, 2**63, 2**64 - 1, 2**70, -(2**70), None])
def test_a_licence_that_is_not_listed_is_unknown(tmp_path, number):
    images = [photo(1, license=number), photo(2)]
    masks, rejected = read(write(tmp_path, document([annotation(1, 1), annotation(2, 2)], images)))
    assert not rejected
    assert masks["licence"].to_pylist() == [None, "cc-by-2.0"]
    assert masks["licence_url"].to_pylist() == [None, BY["url"]]


def test_a_photo_is_where_the_first_folder_has_it(tmp_path):
    corpora = write(tmp_path, document([], [photo(number) for number in (1, 2, 3)]))
    for folder, number in (("coco/images", 1), ("coco", 1), ("coco/images", 2)):
        path = tmp_path / folder / "train2017" / f"{number:012d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (Path(os.fsdecode(os.fsencode(path.parent) + b"/\xff\xfe.jpg"))).touch()  # not UTF-8
    places = ["coco/train2017/000000000001.jpg", "coco/images/train2017/000000000002.jpg", None]
    assert [row["image_path"] for row in rest(corpora)[0]] == places


UNIQUE = {"id": 2, "image_id": 1, "category_id": 1, "segmentation": [[1.5, 2.0, 30.25, 2.0, 30.25, 40.0]]}


@pytest.mark.parametrize(
    ("row", "label"),
    [
        *((UNIQUE | {"segmentation": value}, "1") for value in (None, 5, "text", True)),
        *((UNIQUE | {"iscrowd": value}, "1") for value in ("1", 2, 0.0, -1, 2**70, [])),
        *((UNIQUE | {"id": value}, "1") for value in ("2", 2.0, None, -2, 2**70, True)),
        *((UNIQUE | {"category_id": value}, "1") for value in ("1", " 1 ", 1.0)),
        *((UNIQUE | {"category_id": value}, None) for value in (None, "dog", 1.5, -1, 99, True, [1], 2**70)),
        *((UNIQUE | {"image_id": value}, "1") for value in ("1", "000000000001", 1.0)),
        *(({key: value for key, value in UNIQUE.items() if key != gone}, "1") for gone in ("id", "segmentation")),
        ({key: value for key, value in UNIQUE.items() if key != "category_id"}, None),
    ],
    ids=str,
)  # fmt: skip
def test_a_rejected_row_leaves_its_object_unmarked(tmp_path, row, label):
    table, rejected = read(write(tmp_path, document([annotation(1, 1), row], [photo(1)])))
    assert table["mask_id"].to_pylist() == ["lvis:1_1"]
    (lost,) = rejected
    _, unmarked = rest(str(tmp_path))
    name = {"1": "dog", None: None}[label]
    assert unmarked == [
        {"item": lost["item"], "reason": lost["reason"], "corpus": "lvis", "image_id": "lvis:1"}
        | {"label_id": label, "label": name, "mask_source": None}
    ]


@pytest.mark.parametrize("image", [None, "x", 1.5, -1, [1], True])
def test_a_rejected_row_of_no_known_photo_is_a_mere_rejection(tmp_path, image):
    _, rejected = read(write(tmp_path, document([UNIQUE | {"image_id": image}], [photo(1)])))
    assert len(rejected) == 1
    assert rest(str(tmp_path))[1] == []


@pytest.mark.parametrize("value", [None, False, True, 0, 1])
def test_a_crowd_is_a_truth_value_or_0_or_1(tmp_path, value):
    table, rejected = read(write(tmp_path, document([UNIQUE | {"iscrowd": value}], [photo(1)])))
    assert rejected == []
    assert table["is_crowd"].to_pylist() == [None if value is None else bool(value)]


def test_two_photos_of_one_id_have_no_masks(tmp_path):
    images = [photo(1), photo(2), photo(1, coco_url="http://images.cocodataset.org/val2017/000000000009.jpg")]
    annotations = [annotation(1, 1), annotation(2, 2), annotation(3, 1)]
    table, rejected = read(write(tmp_path, document(annotations, images)))
    assert table["mask_id"].to_pylist() == ["lvis:2_2"]
    assert {row["item"]: row["reason"] for row in rejected} == dict.fromkeys(
        ("lvis:1_1", "lvis:1_3"), "duplicate_id"
    )
    assert [row["image_id"] for row in rest(str(tmp_path))[0]] == ["lvis:2"]
    again = document(annotations, [photo(1), photo(2), photo(1)])  # the same photo twice is no harm
    assert len(read(write(tmp_path, again))[0]) == 3
    assert [row["image_id"] for row in rest(str(tmp_path))[0]] == ["lvis:1", "lvis:2"]


def test_bad_rows_are_rejections_with_their_reason(tmp_path):
    images = [
        photo(1),
        photo(2, coco_url="http://images.cocodataset.org/../passwd"),
        photo(3, width=0),
        photo(4, coco_url="x.jpg"),
        photo(5, license=99, flickr_url=None),
    ]
    annotations = [
        annotation(1, 1),
        annotation(2, 2),
        annotation(3, 3),
        annotation(4, 4),
        annotation(5, 5),
        annotation(6, 77),
        annotation(7, 1, category=99),
        annotation(8, 1, segmentation="text"),
        annotation(9, 1, segmentation=None),
        annotation("10", 1),
        annotation(-11, 1),
        annotation(2**70, 1),
        {"id": 13},
    ]
    table, rejected = read(write(tmp_path, document(annotations, images)))
    assert table["mask_id"].to_pylist() == ["lvis:1_1", "lvis:5_5"]
    assert table["licence"].to_pylist() == ["cc-by-2.0", None]
    assert table["photo_keys"].to_pylist() == [["coco:1", "flickr:3001"], ["coco:5"]]
    file = "lvis/lvis_v1_train.json"
    expected = [
        ("lvis:1_7", "unknown_label"),
        ("lvis:1_8", "bad_row"),
        ("lvis:2_2", "hostile_name"),
        ("lvis:3_3", "unknown_image"),
        ("lvis:4_4", "hostile_name"),
        ("lvis:77_6", "unknown_image"),
        *((f"{file}:annotations[{row}]", "bad_row") for row in (10, 11, 12, 8, 9)),
        (f"{file}:images[2]", "bad_row"),
    ]
    assert sorted((row["item"], row["reason"]) for row in rejected) == sorted(expected)
    details = {row["item"]: row["detail"] for row in rejected}
    assert "Expected `int` >= 1" in details[f"{file}:images[2]"]
    assert "image 77 is not among the file's images" in details["lvis:77_6"]
    assert "http://images.cocodataset.org/../passwd" in details["lvis:2_2"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "lvis_v1_train.json, byte 0: the file is empty"),
        (b"id,start\n", "byte 0: expected a JSON object, found 'id,start"),
        (
            b'{"images": [], "categories": []}',
            "top level: no annotations, licenses; such a file holds annotations",
        ),
        (
            b'{"images": [], "categories": [], "licenses": [], "annotations": {"1": 2}}',
            "byte 64: expected an array of objects, found '{\"1\": 2}}'",
        ),
    ],
)
def test_a_file_that_is_no_lvis_file_is_an_error(tmp_path, content, text):
    with pytest.raises(CorpusError) as caught:
        read(write(tmp_path, content))
    assert text in str(caught.value)


def test_a_truncated_file_is_an_error_wherever_it_ends(tmp_path):
    content = json.dumps(document([annotation(n, 1) for n in range(3)], [photo(1)])).encode()
    for length in range(0, len(content), 7):
        with pytest.raises(CorpusError, match=r"lvis_v1_train\.json, byte \d+"):
            read(write(tmp_path, content[:length]))


def test_a_byte_order_mark_and_line_ends_are_fine(tmp_path):
    text = json.dumps(document([annotation(1, 1)], [photo(1)]), indent=2).replace("\n", "\r\n")
    table, rejected = read(write(tmp_path, b"\xef\xbb\xbf" + text.encode()))
    assert (len(table), rejected) == (1, [])
