"""Open Images: the streaming reader against the csv module and against pandas."""

import csv
import os
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from corpora_read import read_masks
from real_data import MINI

from pipelines.corpora import csv_stream, open_images
from pipelines.corpora.records import MASKS, UNMARKED
from pipelines.corpora.source import CorpusError, Source

HEADER = "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks"
BOX_HEADER = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,"
    "IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
)
IMAGE_HEADER = (
    "ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,OriginalSize,OriginalMD5,"
    "Thumbnail300KURL,Rotation"
)
CLASSES = '/m/01,Dog\n/m/0bt9lr,"Cat, big"\n/m/012n7d,\n'
BY = "https://creativecommons.org/licenses/by/2.0/"


def mask(image: str, mid: str = "/m/01", box: str = "aa", xmin: str = "0.1") -> str:
    return f"{image}_{mid[1:].replace('/', '')}_{box}.png,{image},{mid},{box},{xmin},0.9,0.25,0.875,0.8,\n"


def write(root: Path, text: str | bytes, name: str = "train-annotations-object-segmentation.csv") -> str:
    folder = root / "open_images"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "class-descriptions-boxable.csv").exists():
        (folder / "class-descriptions-boxable.csv").write_text(CLASSES)
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(root)


read = partial(read_masks, open_images)


@pytest.mark.skipif(not MINI.exists(), reason="no real data beside the checkout")
def test_real_rows_are_those_of_the_csv_module():
    table, rejected = read(str(MINI))
    folder = MINI / "open_images"
    names = dict(csv.reader((folder / "class-descriptions-boxable.csv").open()))
    expected = []
    for row in csv.DictReader((folder / "train-annotations-object-segmentation.csv").open()):
        expected.append(
            dict.fromkeys(MASKS.names)
            | {
                "mask_id": f"open_images:{row['MaskPath'][:-4]}",
                "corpus": "open_images",
                "image_id": f"open_images:{row['ImageID']}",
                "image_path": f"open_images/images/{row['ImageID']}.jpg",
                "photo_keys": [],
                "label_id": row["LabelName"],
                "label": names[row["LabelName"]],
                "mask_path": f"open_images/masks/{row['MaskPath']}",
                "box": [float(row[f"Box{side}"]) for side in ("XMin", "YMin", "XMax", "YMax")],
                "annotation_split": "train",
            }
        )
        assert (MINI / expected[-1]["image_path"]).exists()
        assert (MINI / expected[-1]["mask_path"]).exists()
    assert table.to_pylist() == expected
    assert not rejected


@pytest.mark.parametrize("block_bytes", [2000, csv_stream.BLOCK_BYTES])
def test_joined_tables_are_those_of_pandas(tmp_path, monkeypatch, block_bytes):
    monkeypatch.setattr(csv_stream, "BLOCK_BYTES", block_bytes)
    draw = np.random.default_rng(0)
    classes = pd.DataFrame(
        {"mid": [f"/m/0{n:x}{'z' * (n % 5)}" for n in range(20)], "name": [f"Class {n}" for n in range(20)]}
    )
    boxes = pd.DataFrame(draw.random((300, 4)), columns=["XMin", "XMax", "YMin", "YMax"]).round(9)
    boxes.insert(0, "ImageID", [f"{n:016x}" for n in draw.integers(0, 60, 300)])
    boxes.insert(1, "LabelName", draw.choice(classes.mid, 300))
    boxes[["IsGroupOf", "IsDepiction"]] = draw.integers(-1, 2, (300, 2))
    masks = boxes.sample(200, random_state=0).reset_index(drop=True)
    masks.iloc[:20, 2] = 0.5  # no such box
    photos = pd.DataFrame({"ImageID": [f"{n:016x}" for n in range(10, 80)]})
    photos["OriginalURL"] = [f"https://c{n % 9}.staticflickr.com/8/7/{n * 31}_ab_o.jpg" for n in range(70)]
    photos["License"] = np.where(np.arange(70) % 2, BY, "")
    photos["Author"] = [f'Ann "{n}", B' if n % 3 else "" for n in range(70)]
    photos["Title"] = "two\nlines, and a ,comma"

    rows = [HEADER]
    for n, row in masks.iterrows():
        box = ",".join(f"{row[name]:.6f}" for name in ("XMin", "XMax", "YMin", "YMax"))
        rows.append(f"{row.ImageID}_x_{n:08x}.png,{row.ImageID},{row.LabelName},{n:08x},{box},,")
    (tmp_path / "open_images").mkdir()
    classes.to_csv(
        tmp_path / "open_images/oidv7-class-descriptions-boxable.csv",
        index=False,
        header=["LabelName", "DisplayName"],
    )
    boxes.to_csv(tmp_path / "open_images/oidv6-train-annotations-bbox.csv", index=False)
    photos.to_csv(tmp_path / "open_images/train-images-boxable-with-rotation.csv", index=False)
    corpora = write(tmp_path, "\n".join(rows) + "\n")
    (tmp_path / "open_images/class-descriptions-boxable.csv").unlink()
    table, rejected = read(corpora)
    assert not rejected

    keys = ["ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax"]
    rounded = boxes.round(6).drop_duplicates(keys)
    joined = masks.round(6)[keys].merge(rounded, on=keys, how="left").merge(photos, on="ImageID", how="left")
    joined = joined.merge(classes, left_on="LabelName", right_on="mid")
    flag = {1.0: True, 0.0: False}
    assert table["is_group_of"].to_pylist() == [flag.get(value) for value in joined.IsGroupOf]
    assert table["is_depiction"].to_pylist() == [flag.get(value) for value in joined.IsDepiction]
    assert set(table["is_group_of"].to_pylist()) == {True, False, None}
    text = {
        column: [value if isinstance(value, str) and value else None for value in joined[column]]
        for column in joined
    }
    assert table["image_url"].to_pylist() == text["OriginalURL"]
    assert table["author"].to_pylist() == text["Author"]
    assert table["licence_url"].to_pylist() == text["License"]
    assert table["licence"].to_pylist() == ["cc-by-2.0" if value else None for value in text["License"]]
    ids = [[f"flickr:{url.split('/')[-1].split('_')[0]}"] if url else [] for url in text["OriginalURL"]]
    assert table["photo_keys"].to_pylist() == ids
    assert table["label"].to_pylist() == joined.name.tolist()


def test_tables_of_another_split_are_not_joined(tmp_path):
    write(
        tmp_path,
        f"{BOX_HEADER}\na,xclick,/m/01,1,0.1,0.9,0.25,0.875,0,0,1,1,0\n",
        "validation-annotations-bbox.csv",
    )
    corpora = write(tmp_path, f"{HEADER}\n{mask('a')}")
    assert read(corpora)[0]["is_group_of"].to_pylist() == [None]
    write(tmp_path, f"{HEADER}\n{mask('a')}", "validation-annotations-object-segmentation.csv")
    assert read(corpora)[0]["is_group_of"].to_pylist() == [None, True]


def test_files_are_found_in_folders_below_and_never_in_others(tmp_path):
    rows = [mask("a"), mask("b"), mask("c", "/m/0bt9lr"), mask("d")]
    corpora = write(tmp_path, HEADER + "\n" + "".join(rows))
    there = [
        "masks/a_m01_aa.png",
        "masks/train-1/b_m01_aa.png",
        "masks/x/y/c_m0bt9lr_aa.png",
        "images/train/a.jpg",
    ]
    there += ["images/b.jpg", "images/train/b.jpg", "images/c.png", "d.jpg"]
    for path in there:
        (tmp_path / "open_images" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "open_images" / path).touch()
    (tmp_path / "open_images/masks" / os.fsdecode(b"\xff.png")).touch()  # a name that is no UTF-8
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/d_m01_aa.png").touch()
    (tmp_path / "open_images/masks/link").symlink_to(tmp_path / "elsewhere")
    table, rejected = read(corpora)
    assert not rejected
    assert table["mask_path"].to_pylist() == [
        "open_images/masks/a_m01_aa.png",
        "open_images/masks/train-1/b_m01_aa.png",
        None,
        "open_images/masks/link/d_m01_aa.png",
    ]
    assert table["image_path"].to_pylist() == [
        "open_images/images/train/a.jpg",
        "open_images/images/b.jpg",
        None,
        None,
    ]
    assert table["label"].to_pylist() == ["Dog", "Dog", "Cat, big", "Dog"]


def test_bad_rows_are_rejections_with_their_reason(tmp_path):
    rows = [
        mask("good"),
        "short.png,short,/m/01\n",
        mask("long").replace("\n", ",1\n"),
        mask("odd", xmin="left"),
        mask("nan", xmin="nan"),
        mask("empty", xmin=""),
        mask("stranger", "/m/99"),
        mask("../../up"),
        mask("/root"),
        mask("back\\slash"),
        mask("x" * 300),
        mask("").replace("_m01_aa.png", ""),
        mask("jpeg").replace(".png", ".jpg"),
        mask("nul\0"),
        mask("latin\xe9"),
        mask('stray"quote'),
        mask("nameless", "/m/012n7d"),
    ]
    text = "".join([HEADER, "\n", *rows]).encode("latin-1")
    table, rejected = read(write(tmp_path, text))
    assert table["image_id"].to_pylist() == [
        "open_images:good",
        'open_images:stray"quote',
        "open_images:nameless",
    ]
    assert table["label"].to_pylist() == ["Dog", "Dog", None]
    reasons = {}
    for row in rejected:
        reasons.setdefault(row["reason"], []).append(row["item"])
    path = "open_images/train-annotations-object-segmentation.csv"
    end = f"{path}:before byte {len(text)}"
    bad = [f"{path}:3", f"{path}:4", end, end]
    assert reasons == {
        "bad_row": [*bad, "odd_m01_aa.png", "nan_m01_aa.png", "empty_m01_aa.png", "jpeg_m01_aa.jpg"],
        "hostile_name": [
            "../../up_m01_aa.png",
            "/root_m01_aa.png",
            "back\\slash_m01_aa.png",
            "x" * 300 + "_m01_aa.png",
            "",
        ],
        "unknown_label": ["stranger_m99_aa.png"],
    }
    assert len(table) + len(rejected) == len(rows)
    assert "3 values where the header has 10" in rejected[0]["detail"]


def lost(corpora: str) -> list[tuple[str, str | None, str | None]]:
    """Image, label id and label of what rejected rows leave unmarked."""
    found = []
    for source in open_images.sources(corpora):
        for part in open_images.read(source, corpora):
            assert part.unmarked.schema == UNMARKED
            items = part.rejected["item"].to_pylist()
            found += part.unmarked.to_pylist()
            assert {row["item"] for row in part.unmarked.to_pylist()} <= set(items) or not items
    return [(row["image_id"].removeprefix("open_images:"), row["label_id"], row["label"]) for row in found]


PHOTO, OTHER = "000000000000000a", "00000000000000bb"


def named(image: str, mid: str, told: str = PHOTO, told_mid: str = "m01", xmin: str = "0.1") -> str:
    """A row whose mask has a name as Open Images gives them."""
    return f"{told}_{told_mid}_00000001.png,{image},{mid},00000001,{xmin},0.9,0.25,0.875,0.8,\n"


@pytest.mark.parametrize(
    ("row", "unmarked"),
    [
        (named(PHOTO, "/m/01", xmin="n/a"), [(PHOTO, "/m/01", "Dog")]),
        (named(PHOTO, "/m/01", xmin=""), [(PHOTO, "/m/01", "Dog")]),
        (named(PHOTO, "/m/01", xmin="inf"), [(PHOTO, "/m/01", "Dog")]),
        (named(PHOTO, "/m/01").replace(".png", ".jpg"), [(PHOTO, "/m/01", "Dog")]),
        (named(PHOTO, "/m/01", told="../x"), [(PHOTO, "/m/01", "Dog")]),
        (named(PHOTO, "/m/99", told_mid="m99"), [(PHOTO, None, None)]),
        (named(PHOTO, "", told_mid="m99"), [(PHOTO, None, None), (PHOTO, None, None)]),
        (
            named(PHOTO, "/m/0bt9lr"),
            [(PHOTO, None, None), (PHOTO, None, None)],
        ),  # the name says another label
        (named(OTHER, "/m/01"), [(OTHER, None, None), (PHOTO, None, None)]),  # or another photo
        (named(f"x{PHOTO}", "/m/01"), [(f"x{PHOTO}", None, None), (PHOTO, None, None)]),
        (named("", "/m/01"), [(PHOTO, None, None)]),
        (named("a/b", "/m/01"), [(PHOTO, None, None)]),
        (named(PHOTO, "/m/01").replace("\n", ",1\n"), [(PHOTO, None, None)]),
        (f"{PHOTO}_m01_00000001.png,,/m/01\n", [(PHOTO, None, None)]),
        (f"x,{PHOTO}\n", [(PHOTO, None, None)]),
        (named(PHOTO, "/m/01\xe9"), [(PHOTO, None, None)]),
        (f"{PHOTO}_m01_00000001.png,{PHOTO},/m/01\xe9,1\n", [(PHOTO, None, None)]),
        ("nothing,of,any,photo\n", []),
    ],
)
def test_a_rejected_row_leaves_its_object_unmarked(tmp_path, row, unmarked):
    good = mask(PHOTO, box="00000009") + mask(OTHER, box="00000009")
    corpora = write(tmp_path, f"{HEADER}\n{good}{row}".encode("latin-1"))
    table, rejected = read(corpora)
    assert (len(table), len(rejected)) == (2, 1)
    assert sorted(lost(corpora), key=str) == sorted(unmarked, key=str)


def test_names_of_masks_that_are_not_open_images_own_say_nothing(tmp_path):
    rows = [
        f"dog-1.png,{PHOTO},/m/01,1,0.1,0.9,0.25,0.875,,\n",
        f"{OTHER}_dog_00000001.png,{PHOTO},/m/01,1,0.1,0.9,0.25,0.875,,\n",
        f"{OTHER}_m01_1.png,{PHOTO},/m/01,1,0.1,0.9,0.25,0.875,,\n",
        named(PHOTO, "/m/01"),
        f"{PHOTO}_m0bt9lr_00000002.png,{PHOTO},/m/0bt9lr,1,0.1,0.9,0.25,0.875,,\n",
    ]
    table, rejected = read(write(tmp_path, "".join([HEADER, "\n", *rows])))
    assert (len(table), rejected) == (5, [])


def test_a_faulty_box_leaves_open_whether_its_mask_is_of_a_group(tmp_path):
    write(
        tmp_path,
        f"{BOX_HEADER}\n{PHOTO},x,/m/01,1,left,0.9,0.2,0.8,0,0,1,1,0\n",
        "train-annotations-bbox.csv",
    )
    assert lost(write(tmp_path, f"{HEADER}\n{mask(PHOTO)}")) == [(PHOTO, "/m/01", "/m/01")]


@pytest.mark.parametrize("block_bytes", [2000, csv_stream.BLOCK_BYTES])
def test_objects_without_a_mask_are_those_of_a_plain_loop(tmp_path, monkeypatch, block_bytes):
    monkeypatch.setattr(csv_stream, "BLOCK_BYTES", block_bytes)
    draw = np.random.default_rng(2)
    columns = ["ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax"]
    names = {"/m/01": "Dog", "/m/0bt9lr": "Cat, big", "/m/99": None}
    boxes = pd.DataFrame(draw.integers(0, 1_000_000, (400, 4)) / 1e6, columns=columns[2:])
    boxes.insert(0, "ImageID", [f"{n:016x}" for n in draw.integers(0, 90, 400)])
    boxes.insert(1, "LabelName", draw.choice(list(names), 400))
    boxes[["IsGroupOf", "IsDepiction"]] = draw.integers(0, 2, (400, 2))
    known = boxes.index[boxes.LabelName != "/m/99"]
    lists = {"train": known[:100], "sam-train": known[90:190], "more": known[190:200]}  # ten twice
    for name, rows in lists.items():
        header, ends = (f"{HEADER},Stability", ",0.9,1,0.9") if "sam" in name else (HEADER, ",0.9,1")
        told = [
            f"{row.ImageID}_x_{n}.png,{row.ImageID},{row.LabelName},{n},"
            + ",".join(f"{row[side]:.6f}" for side in columns[2:])
            + ends
            + "\n"
            for n, row in boxes.loc[rows].iterrows()
        ]
        write(tmp_path, "".join([header, "\n", *told]), f"{name}-annotations-object-segmentation.csv")
    corpora = write(tmp_path, boxes.to_csv(index=False), "train-annotations-bbox.csv")
    labels = "".join(f"{image},v,/m/77,0\n" for image in sorted(set(boxes.ImageID)))
    write(
        tmp_path, "ImageID,Source,LabelName,Confidence\n" + labels, "train-annotations-human-imagelabels.csv"
    )

    people, sam = {*lists["train"], *lists["more"]}, set(lists["sam-train"])
    listed = set(boxes.ImageID[sorted(people | sam)])
    expected = {
        (f"open_images:{row.ImageID}", row.LabelName, names[row.LabelName], "sam" if n in sam else None)
        for n, row in boxes.iterrows()
        if row.ImageID in listed and n not in people
    }
    assert {drawn for *_, drawn in expected} == {None, "sam"}
    chunks = [part for source in open_images.sources(corpora) for part in open_images.read(source, corpora)]
    rows = [row for part in chunks for row in part.unmarked.to_pylist()]
    found = [(row["image_id"], row["label_id"], row["label"], row["mask_source"]) for row in rows]
    assert set(found) == expected
    assert block_bytes == 2000 or len(found) == len(expected)
    assert {row["reason"] for row in rows} == {"mask_missing"}
    photos = [row["image_id"] for part in chunks for row in part.photos.to_pylist()]
    assert sorted(photos) == sorted(f"open_images:{image}" for image in listed), "each photo once"


def test_bad_rows_of_joined_tables_are_rejections_too(tmp_path):
    write(
        tmp_path,
        f"{BOX_HEADER}\na,xclick,/m/01\na,x,/m/01,1,left,0.9,0.2,0.8,0,0,1,1,0\n",
        "train-annotations-bbox.csv",
    )
    write(tmp_path, f"{IMAGE_HEADER}\na,train\n", "train-images-boxable-with-rotation.csv")
    write(tmp_path, "/m/01,Dog\n/m/02\n,Cat\n", "class-descriptions-boxable.csv")
    table, rejected = read(write(tmp_path, f"{HEADER}\n{mask('a')}"))
    assert len(table) == 1
    assert [row["item"] for row in rejected] == [
        "open_images/class-descriptions-boxable.csv:2",
        "open_images/class-descriptions-boxable.csv:3",
        "open_images/train-annotations-bbox.csv:2",
        "open_images/train-annotations-bbox.csv:a",
        "open_images/train-images-boxable-with-rotation.csv:2",
    ]


@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_byte_order_mark_line_ends_and_quotes(tmp_path, quoted, ending):
    text = f"{HEADER}\n{mask('a')}{mask('b')}".replace("\n", ending).rstrip(ending)
    if quoted:
        text = ending.join(",".join(f'"{field}"' for field in line.split(",")) for line in text.split(ending))
    table, rejected = read(write(tmp_path, b"\xef\xbb\xbf" + text.encode()))
    assert table["mask_id"].to_pylist() == ["open_images:a_m01_aa", "open_images:b_m01_aa"]
    assert not rejected


def test_a_header_alone_is_an_empty_table(tmp_path):
    for text in (HEADER, HEADER + "\n", HEADER + "\n\n"):
        table, rejected = read(write(tmp_path, text))
        assert (len(table), rejected) == (0, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the file is empty"),
        ("\n", "line 1: the first line is empty"),
        ('{"annotations": []}', "line 1: missing columns MaskPath, ImageID, LabelName, BoxXMin"),
        (
            HEADER.replace("LabelName", "Label"),
            "missing columns LabelName; expected MaskPath, ImageID, LabelName",
        ),
        (b"\xff\xfe\x00\x01" * 100, "line 1, byte 0: not UTF-8 text"),
        (b"\x00" * 100, "line 1: not a line of text"),
        ("x" * 100_000, "line 1: not a line of text"),
    ],
)
def test_a_file_that_is_no_segmentation_is_an_error(tmp_path, text, message):
    with pytest.raises(CorpusError) as caught:
        read(write(tmp_path, text))
    assert message in str(caught.value)
    assert str(caught.value).startswith("open_images/train-annotations-object-segmentation.csv, ")


def test_without_class_names_it_says_what_to_fetch(tmp_path):
    corpora = write(tmp_path, f"{HEADER}\n{mask('a')}")
    (tmp_path / "open_images/class-descriptions-boxable.csv").unlink()
    with pytest.raises(CorpusError, match="no file that ends in class-descriptions-boxable"):
        read(corpora)


@pytest.mark.parametrize(
    "classes",
    [
        "/m/01;Dog\n/m/02;Cat\n",
        "Dog,/m/01\nCat,/m/02\n",
        "LabelName,DisplayName\n",
        "/m/01\t/Dog\n",
        "<html>\n",
    ],
)
def test_a_class_list_of_another_kind_is_refused(tmp_path, classes):
    corpora = write(tmp_path, f"{HEADER}\n{mask('a')}")
    (tmp_path / "open_images/class-descriptions-boxable.csv").write_text(classes)
    rule = r"^open_images/class-descriptions-boxable\.csv, line 1: .* as /m/0bt9lr,Dog. Give the official class-desc"
    with pytest.raises(CorpusError, match=rule):
        read(corpora)
    with pytest.raises(CorpusError, match=rule):
        list(open_images.labels(corpora))


def test_spaces_around_values_do_not_count(tmp_path):
    lines = f"{HEADER}\n{mask('a')}{mask('b', xmin='0.2')}"
    plain = read(write(tmp_path / "plain", lines))
    spaced = write(tmp_path / "spaced", lines.replace(",", " ,  "))
    classes = tmp_path / "spaced/open_images/class-descriptions-boxable.csv"
    classes.write_text(classes.read_text().replace("/m/01,", " /m/01, "))
    table, rejected = read(spaced)
    assert not rejected
    assert table.equals(plain[0])
    assert len(table) == 2


@pytest.mark.parametrize(
    ("boxes", "unmarked"),
    [
        (["0.1", "0.10"], 0),
        (["0.1", "0.3"], 1),
        (["0.1", "0.3", "0.3", "0.1"], 1),
        (["0.1", "0.3", "0.2"], 2),
    ],
)
def test_a_mask_listed_again_with_another_box_is_another_object(tmp_path, boxes, unmarked):
    rows = "".join(mask("a", xmin=xmin) for xmin in boxes)
    assert lost(write(tmp_path, f"{HEADER}\n{mask('b')}{rows}")) == [("a", "/m/01", "Dog")] * unmarked


def test_sources_are_the_segmentations(tmp_path):
    for split in ("validation", "train", "test", "other"):
        write(tmp_path, "", f"{split}-annotations-object-segmentation.csv")
    write(tmp_path, "", "train-annotations-bbox.csv")
    assert open_images.sources(str(tmp_path)) == [
        Source(
            "open_images",
            f"open_images/{split}-annotations-object-segmentation.csv",
            None if split == "other" else split,
        )
        for split in ("other", "test", "train", "validation")
    ]


@pytest.mark.parametrize("block_bytes", [2000, csv_stream.BLOCK_BYTES])
def test_verified_labels_are_those_of_a_plain_loop(tmp_path, monkeypatch, block_bytes):
    monkeypatch.setattr(csv_stream, "BLOCK_BYTES", block_bytes)
    draw = np.random.default_rng(1)
    images = [f"{number:016x}" for number in draw.integers(0, 1 << 60, 40)]
    corpora = write(tmp_path, HEADER + "\n" + "".join(mask(image) for image in images[:30]))
    header = "ImageID,Source,LabelName,Confidence\n"
    rows = [(images[draw.integers(40)], f"/m/{draw.integers(25)}", str(draw.integers(2))) for _ in range(600)]
    ways = {"0": ("0", "0.0", " 0.000000"), "1": ("1", "1.0", "1.")}
    lines = [f"{image},verification,{label},{draw.choice(ways[told])}\n" for image, label, told in rows]
    write(tmp_path, header + "".join(lines[:400]), "oidv6-train-annotations-human-imagelabels.csv")
    write(tmp_path, header + "".join(lines[400:]), "train-annotations-human-imagelabels-boxable.csv")
    write(tmp_path, header + f"{images[0]},v,/m/99,0\n", "validation-annotations-human-imagelabels.csv")
    write(tmp_path, header + f"{images[1]},v,/m/98,0.7\n", "train-more-human-imagelabels.csv")
    (source,) = open_images.sources(corpora)
    chunks = list(open_images.read(source, corpora))
    found = {row["image_id"]: row for chunk in chunks for row in chunk.photos.to_pylist()}
    expected = {}
    for image in images[:30]:
        shown = {label for one, label, told in rows if one == image and told == "1"}
        absent = {label for one, label, told in rows if one == image and told == "0"} - shown
        if shown or absent:
            expected[f"open_images:{image}"] = (shown, absent)
    assert {
        name: (set(row["not_exhaustive_label_ids"]), set(row["absent_label_ids"]))
        for name, row in found.items()
    } == expected
    assert sum(len(chunk.photos) for chunk in chunks) == len(expected)
    assert {row["corpus"] for row in found.values()} == {"open_images"}
    rejected = [row for chunk in chunks for row in chunk.rejected.to_pylist()]
    assert [(row["item"], row["reason"], row["detail"]) for row in rejected] == [
        (
            f"open_images/train-more-human-imagelabels.csv:{images[1]}",
            "bad_row",
            "Confidence '0.7' of /m/98: 1 found, 0 not",
        )
    ]
    assert sum(chunk.rows for chunk in chunks) == sum(
        len(chunk.kept) + len(chunk.rejected) for chunk in chunks
    )
