"""A union is all of a category in a photo, or it is none: every way to lose an object, in one build."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from PIL import Image

from label_maps import LabelMap
from label_maps.links import Link
from pipelines.build import run, select
from pipelines.corpora.records import UNMARKED
from pipelines.recipes import recipe
from shards import format
from shards.reader import Dataset
from shards.verify import verify

WIDTH, HEIGHT = 200, 160
DOG, CAT = 378, 225
FIRST = [[20, 20, 60, 20, 60, 80, 20, 80]]  # 40 x 60 pixels
SECOND = [[100, 20, 150, 20, 150, 100, 100, 100]]  # 50 x 80 pixels
ONE, BOTH = 2400, 6400
TEXT = (
    'name = "unions"\n[labels]\nmap = "avs"\ncategories = ["dog", "cat"]\n[select]\nmin_area_fraction = 0.0005\n'
    "min_side_px = 32\n{more}[split]\ntrain = 1\nval = 0\ntest = 0\nnear_duplicates = false\n"
)


def runs(cut: int = 0) -> dict[str, Any]:
    """The second dog as run lengths, less `cut` at the end."""
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[20:100, 100:150] = 1
    turns = np.flatnonzero(np.diff(pixels.ravel(order="F"), prepend=0, append=0))
    counts = np.diff(turns, prepend=0, append=HEIGHT * WIDTH)
    return {"size": [HEIGHT, WIDTH], "counts": [*counts[:-1].tolist(), int(counts[-1]) - cut]}


# What the second dog's row says instead -> the area that is right; 0: no sample.
FAULTS: list[tuple[dict[str, Any], int]] = [
    ({}, BOTH),
    ({"segmentation": runs()}, BOTH),
    ({"iscrowd": 0}, BOTH),
    ({"iscrowd": False}, BOTH),
    ({"bbox": "none", "area": None}, BOTH),  # not read
    ({"category_id": CAT}, ONE),
    *(({"iscrowd": value}, 0) for value in (1, True, "0", 2, 0.5)),
    *(({"category_id": value}, 0) for value in ("378", 378.0, None, "dog", 999, -1)),
    *(({"image_id": "as text"}, 0), ({"image_id": "as a float"}, 0)),
    *(({"id": value}, 0) for value in ("9", None, -1, "the first's")),
    *(({"segmentation": value}, 0) for value in (None, 5, "text", [], [[]], {}, [[1, 2, 3]], [[0, 0, 0, 0, 0, 0]])),
    *(({"segmentation": value}, 0) for value in (runs(1), runs(-5), {"size": [HEIGHT, WIDTH], "counts": "df4`2`20"})),
    ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]}}, 0),
    ({"segmentation": {"size": [WIDTH, HEIGHT], "counts": runs()["counts"]}}, 0),
    ({"segmentation": [[300, 20, 350, 20, 350, 100]]}, 0),
    ({"segmentation": "[[[[[deep"}, 0),
    ({"id": None, "category_id": None}, 0),
]  # fmt: skip
REPEATED = len(FAULTS)  # a photo whose second dog is listed twice, as it was
NOT_EXHAUSTIVE = REPEATED + 1  # a photo that may show more dogs
OF_CATS = REPEATED + 2  # and one that may show more cats
PHOTOS = REPEATED + 3
DEEP = "[" * 5000 + "]" * 5000


def write_lvis(folder: Path) -> None:
    photos = folder / "lvis" / "images" / "train2017"
    photos.mkdir(parents=True)
    images, rows = [], []
    for number in range(PHOTOS):
        Image.fromarray(np.full((HEIGHT, WIDTH, 3), (number, 90, 160), np.uint8)).save(
            photos / f"{number:012d}.jpg"
        )
        images.append(
            {"id": number, "width": WIDTH, "height": HEIGHT, "license": 1}
            | {"coco_url": f"http://images.cocodataset.org/train2017/{number:012d}.jpg"}
            | {"flickr_url": f"http://farm1.staticflickr.com/1/{number + 1}_a_z.jpg"}
            | {"not_exhaustive_category_ids": {NOT_EXHAUSTIVE: [DOG], OF_CATS: [CAT]}.get(number, [])}
            | {"neg_category_ids": []}
        )
        first = {"id": 10 * number, "image_id": number, "category_id": DOG, "segmentation": FIRST}
        second = first | {"id": 10 * number + 1, "segmentation": SECOND}
        change = dict(FAULTS[number][0]) if number < REPEATED else {}
        if "image_id" in change:
            change["image_id"] = str(number) if "text" in change["image_id"] else float(number)
        if change.get("id") == "the first's":
            change["id"] = 10 * number
        both = [first, second | change]
        rows += both if number % 2 else both[::-1]
        rows += [second] if number == REPEATED else []
    record = {
        "licenses": [{"id": 1, "name": "BY", "url": "http://creativecommons.org/licenses/by/2.0/"}],
        "categories": [
            {"id": DOG, "name": "dog", "synset": "dog.n.01"},
            {"id": CAT, "name": "cat", "synset": "cat.n.01"},
        ],
        "images": images,
        "annotations": rows,
    }
    text = json.dumps(record).replace('"[[[[[deep"', DEEP)
    (folder / "lvis" / "lvis_v1_train.json").write_text(text)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


BOX = np.zeros((HEIGHT, WIDTH), np.uint8)
BOX[20:100, 100:150] = 255
# The second dog's line and its mask -> the area that is right.
LINES: list[tuple[dict[str, str], bytes | None, int]] = [
    ({}, png(BOX), BOTH),
    ({}, png(BOX // 255), BOTH),
    ({}, png(np.dstack([np.full_like(BOX, 255)] * 3 + [BOX])), BOTH),
    ({}, png(BOX // 2), BOTH),
    ({}, png(BOX * 0), 0),
    ({}, png(np.where(BOX > 0, np.arange(WIDTH, dtype=np.uint8), 0)), 0),
    ({}, png(BOX[:, :100]), 0),
    ({}, None, 0),
    ({}, b"no image", 0),
    ({"box": "n/a"}, png(BOX), 0),
    ({"box": ""}, png(BOX), 0),
    ({"label": "/m/0zzzz"}, png(BOX), 0),
    ({"label": "/m/01yrx"}, png(BOX), 0),  # a cat, says the row; a dog, says the mask's name
    ({"label": ""}, png(BOX), 0),
    ({"image": " {image}"}, png(BOX), BOTH),
    ({"path": "../{image}_m0bt9lr_00000001.png"}, png(BOX), 0),
    ({"path": "{image}_m0bt9lr_00000001.jpg"}, png(BOX), 0),
    ({"path": "{image}_m0bt9lr_00000000.png"}, png(BOX), 0),  # the first dog's mask, another box
    ({"more": ",,"}, png(BOX), 0),
]

BOXES = "{image},xclick,{label},1,{box},0.1,0.5,0,0,{flags},0\n"
FIRST_BOX, SECOND_BOX = "0.100000000,0.300000000", "0.5000004,0.8"
# Boxes of a photo of two dogs with masks -> the area that is right.
BOXED: list[tuple[list[dict[str, str]], int]] = [
    ([], BOTH),
    ([{"box": FIRST_BOX}, {"box": SECOND_BOX}, {"box": FIRST_BOX}], BOTH),
    ([{"box": FIRST_BOX}, {"box": "0.1,0.3001"}], 0),
    ([{"box": "0.7,0.9", "flags": "1,0"}], 0),
    ([{"box": "0.7,0.9", "flags": "0,1"}], 0),
    ([{"box": "0.7,0.9", "label": "/m/01yrx"}], BOTH),
    ([{"box": "0.7,0.9", "label": "/m/0zzzz"}], BOTH),
]


def write_open_images(folder: Path) -> None:
    root = folder / "open_images"
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    (root / "class-descriptions-boxable.csv").write_text("/m/0bt9lr,Dog\n/m/01yrx,Cat\n")
    lines = ["MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks"]
    first = np.zeros((HEIGHT, WIDTH), np.uint8)
    first[20:80, 20:60] = 255
    for number, (change, content, _) in enumerate(LINES):
        image = f"{number:016x}"
        Image.fromarray(np.full((HEIGHT, WIDTH, 3), (90, number, 60), np.uint8)).save(
            root / "images" / f"{image}.jpg"
        )
        name = f"{image}_m0bt9lr_0000000{{}}.png"
        (root / "masks" / name.format(0)).write_bytes(png(first))
        if content is not None:
            (root / "masks" / name.format(1)).write_bytes(content)
        lines.append(f"{name.format(0)},{image},/m/0bt9lr,00000000,0.1,0.3,0.1,0.5,0.9,")
        told = {"path": name.format(1), "image": image, "label": "/m/0bt9lr", "box": "0.5", "more": ""} | {
            key: value.format(image=image) for key, value in change.items()
        }
        lines.append("{path},{image},{label},00000001,{box},0.8,0.1,0.6,0.9,{more}".format(**told))
    boxes = [
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
    ]
    for number, (rows, _) in enumerate(BOXED, 100):
        image = f"{number:016x}"
        photo = np.full((HEIGHT, WIDTH, 3), (90, number, 200), np.uint8)
        Image.fromarray(photo).save(root / "images" / f"{image}.jpg")
        for which, (pixels, box) in enumerate([(first, "0.1,0.3"), (BOX, "0.5,0.8")]):
            name = f"{image}_m0bt9lr_0000000{which}.png"
            (root / "masks" / name).write_bytes(png(pixels))
            lines.append(f"{name},{image},/m/0bt9lr,0000000{which},{box},0.1,0.5,0.9,")
        boxes += [
            BOXES.format(**{"image": image, "label": "/m/0bt9lr", "flags": "0,0"} | row) for row in rows
        ]
    (root / "train-annotations-object-segmentation.csv").write_text("\n".join(lines) + "\n")
    (root / "train-annotations-bbox.csv").write_text("".join(boxes))


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unions")
    write_lvis(folder)
    write_open_images(folder)
    clips = folder / "vggsound" / "clips"
    clips.mkdir(parents=True)
    (folder / "vggsound" / "vggsound.csv").write_text("abcdefghijk,0,dog barking,train\n")
    soundfile.write(clips / "abcdefghijk_000000.wav", np.sin(np.arange(32_000) / 9) / 2, 16_000)
    return folder


def build(odd: Path, out: Path, more: str = "") -> dict[str, list[dict[str, Any]]]:
    """Samples by image id."""
    text = TEXT.format(more=more)
    run.build(recipe.parse(recipe.tomllib.loads(text), text, "recipe"), run.BuildOptions(str(odd), str(out)))
    assert verify(str(out)) == []
    found: dict[str, list[dict[str, Any]]] = {}
    for row in Dataset(str(out)).table().to_pylist():
        found.setdefault(row["image_id"], []).append(row)
    return found


def test_a_union_is_whole_or_none(odd: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = build(odd, out)
    areas = {image: [row["area_px"] for row in rows] for image, rows in found.items()}
    for number, (change, right) in enumerate(FAULTS):
        assert areas.get(f"lvis:{number}", []) == ([right] if right else []), change
    for number, (change, _, right) in enumerate(LINES):
        assert areas.get(f"open_images:{number:016x}", []) == ([right] if right else []), (number, change)
    for number, (boxes, right) in enumerate(BOXED, 100):
        assert areas.get(f"open_images:{number:016x}", []) == ([right] if right else []), boxes
    assert areas[f"lvis:{REPEATED}"] == [BOTH]
    assert f"lvis:{NOT_EXHAUSTIVE}" not in areas
    assert areas[f"lvis:{OF_CATS}"] == [BOTH]
    dataset = Dataset(str(out))
    told: dict[str, set[str]] = {}
    for row in dataset.table(format.REJECTIONS).to_pylist():
        told.setdefault(row["reason"], set()).add(row["item"])
    unmasked = f"open_images/train-annotations-bbox.csv:{103:016x} has a box without a mask: Dog"
    details = [
        row["detail"] for row in dataset.table(format.REJECTIONS).to_pylist() if f"{103:016x}" in row["item"]
    ]
    assert details == [unmasked] * 2
    spoiled = {number for number, (_, right) in enumerate(FAULTS) if not right}
    first = {f"lvis:{number}_{10 * number}" for number in spoiled}
    assert first <= told["incomplete_union"]
    assert told["not_exhaustive"] == {f"lvis:{NOT_EXHAUSTIVE}_{10 * NOT_EXHAUSTIVE + n}" for n in (0, 1)}
    kept: dict[str, int] = {}
    for step in dataset.manifest.funnel:
        assert step["in"] == step["kept"] + sum(step["rejected"].values())
        if step["unit"] in kept:
            assert step["in"] == kept[step["unit"]]
        kept[step["unit"]] = step["kept"]
    exhaustive = {
        sample.record["image"]["id"]: sample.record["mask"]["exhaustive"] for sample in dataset.samples()
    }
    assert exhaustive["lvis:0"] == exhaustive[f"lvis:{OF_CATS}"] == "yes"
    assert exhaustive[f"open_images:{0:016x}"] == ""


def test_a_recipe_may_keep_what_is_not_exhaustive(odd: Path, tmp_path: Path) -> None:
    found = build(odd, tmp_path / "out", "not_exhaustive = true\n")
    (row,) = found[f"lvis:{NOT_EXHAUSTIVE}"]
    assert row["area_px"] == BOTH
    samples = Dataset(str(tmp_path / "out")).samples()
    told = {sample.key: sample.record["mask"]["exhaustive"] for sample in samples}
    assert told[row["key"]] == "no"
    assert told[found["lvis:0"][0]["key"]] == "yes"


def test_single_instances_need_no_others(odd: Path, tmp_path: Path) -> None:
    found = build(odd, tmp_path / "out", 'instances = "instance"\n')
    for number in range(PHOTOS):
        assert found[f"lvis:{number}"], FAULTS[number : number + 1]
    for number, (boxes, _) in enumerate(BOXED, 100):
        assert len(found[f"open_images:{number:016x}"]) == 2, boxes
    rows = [row for rows in found.values() for row in rows]
    assert all(len(row["mask_ids"]) == 1 and row["area_px"] in (ONE, BOTH - ONE) for row in rows)


def link(category: str, source_id: str) -> Link:
    return Link(category, "lvis", source_id, source_id, "", "same", "maintainers", "2026-01-01", "")


def test_unmarked_objects_become_categories_through_the_map() -> None:
    label_map = LabelMap("x", "1", (link("dog", "1"), link("dog", "2"), link("cat", "3")))
    rows = [
        {
            "item": item,
            "reason": "bad_row",
            "corpus": "lvis",
            "image_id": image,
            "label_id": label,
            "label": label,
        }
        for item, image, label in (
            ("a", "i", "1"),
            ("b", "i", "9"),
            ("c", "j", None),
            ("d", "i", "3"),
            ("e", "i", "2"),
        )
    ]
    found = select.unmarked_objects(pa.Table.from_pylist(rows, UNMARKED), label_map).to_pylist()
    assert [(row["image_id"], row["category"], row["unmarked"]) for row in found] == [
        ("i", "dog", "a was rejected: bad_row"),
        ("j", None, "c was rejected: bad_row"),
        ("i", "cat", "d was rejected: bad_row"),
        ("i", "dog", "e was rejected: bad_row"),
    ]
    masks = [
        {"mask_id": f"{image}{n}", "image_id": image, "category": category}
        for n, (image, category) in enumerate(
            (("i", "dog"), ("i", "emu"), ("j", "emu"), ("k", "dog"), ("i", "cat"))
        )
    ]
    table = pa.concat_tables(
        [
            pa.Table.from_pylist(found, select.MEASURED),
            pa.Table.from_pylist(masks, select.MEASURED),
        ]
    )
    told = {row["mask_id"]: row["unmarked"] for row in select.tell_unmarked(table).to_pylist()}
    assert told == {
        "i0": "a was rejected: bad_row",
        "i1": None,
        "j2": "c was rejected: bad_row",
        "k3": None,
        "i4": "d was rejected: bad_row",
    }


def test_exhaustive_is_of_all_labels_of_a_category() -> None:
    label_map = LabelMap("x", "1", (link("dog", "1"), link("dog", "2"), link("cat", "3")))
    rows = [
        {"corpus": "lvis", "category": category, "not_exhaustive_label_ids": labels}
        for category, labels in (
            ("dog", ["2"]),
            ("dog", ["3", "99"]),
            ("dog", []),
            ("dog", None),
            ("cat", ["3"]),
        )
    ]
    told = select.tell_exhaustive(pa.Table.from_pylist(rows), label_map)
    assert told["exhaustive"].to_pylist() == [False, True, True, None, False]
