"""Masks drawn by boxes: held against `segment-anything`, and read by a build as one more source of masks."""

import csv
import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from segment_anything import SamPredictor
from test_model_decoder import SIDE, upstream_sam

from avs_train import segment_corpus
from avs_train.cli import main
from pipelines.build.run import BuildOptions, build
from pipelines.recipes import recipe
from shards import format
from shards.reader import Dataset
from shards.verify import verify

DOG = "/m/0bt9lr"
SEGMENTATIONS = "train-annotations-object-segmentation.csv"
RECIPE = """
name = "drawn"
[labels]
categories = ["dog"]
[select]
{select}
[split]
train = 70
val = 15
test = 15
"""


@pytest.fixture
def unmasked(corpora: str, tmp_path: Path) -> tuple[str, list[dict[str, str]]]:
    """Corpora of whose dogs Open Images has boxes alone, and the rows that said where their masks are."""
    there = tmp_path / "corpora"
    shutil.copytree(corpora, there, copy_function=os.link)
    path = there / "open_images" / SEGMENTATIONS
    rows = list(csv.DictReader(path.open(newline="")))
    path.unlink()
    _write(path, [row for row in rows if row["LabelName"] != DOG])
    taken = [row for row in rows if row["LabelName"] == DOG]
    assert len(taken) > 3
    return str(there), taken


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def _recipe(tmp_path: Path, select: str) -> str:
    path = tmp_path / "drawn.toml"
    path.write_text(RECIPE.format(select=select))
    return str(path)


def _hashes(folder: Path) -> dict[str, str]:
    files = [*folder.glob("sam-*"), *(folder / "masks" / "sam").iterdir()]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_masks_are_those_of_the_reference_predictor(
    unmasked: tuple[str, list[dict[str, str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, _ = unmasked
    upstream = upstream_sam()
    weights = tmp_path / "sam.pth"
    torch.save({k: v for k, v in upstream.state_dict().items() if not k.startswith("pixel_")}, weights)
    name = _recipe(tmp_path, "")
    words = ["segment", name, "--corpora", there, "--checkpoint", str(weights), "--image-size", str(SIDE)]
    made: list[str] = []
    real = segment_corpus._chunk

    def killed(*given: object) -> object:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append("")
        return real(*given)

    words += ["--device", "cpu", "--batch", "1", "--json"]
    monkeypatch.setattr(segment_corpus, "_chunk", killed)
    assert CliRunner().invoke(main, words).exit_code == 130
    folder = Path(there, "open_images")
    assert not list(folder.glob("sam-*")), "nothing reads what is not complete"
    made.clear()
    monkeypatch.setattr(segment_corpus, "_chunk", lambda *given: made.append("") or real(*given))
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    objects = segment_corpus.objects(recipe.load(name), there)
    assert told["objects"] == {DOG: len(objects)}
    assert len(objects) > 3
    assert len(made) == len(set(objects["image_id"].to_pylist())) - 2, (
        "what was drawn before is not drawn again"
    )

    predictor = SamPredictor(upstream)
    with (folder / "sam-train-annotations-object-segmentation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(objects)
    for row in rows:
        assert row["Weights"] == hashlib.sha256(weights.read_bytes()).hexdigest()
        with Image.open(folder / "images" / f"{row['ImageID']}.jpg") as image:
            photo = np.asarray(image.convert("RGB"))
        predictor.set_image(photo)
        sides = [float(row[f"Box{side}"]) for side in ("XMin", "YMin", "XMax", "YMax")]
        box = np.array(sides) * [*photo.shape[1::-1], *photo.shape[1::-1]]
        logits, scores, _ = predictor.predict(box=box, multimask_output=False, return_logits=True)
        mask = np.asarray(Image.open(folder / "masks" / "sam" / row["MaskPath"]))
        assert mask.shape == photo.shape[:2]
        assert (mask != (logits[0] > 0)).mean() < 0.002  # JPEG decoders differ by a step
        np.testing.assert_allclose(float(row["PredictedIoU"]), scores[0], atol=1e-3)
        inner, outer = (logits[0] > 1).sum(), (logits[0] > -1).sum()
        np.testing.assert_allclose(float(row["Stability"]), inner / outer if outer else 0, atol=5e-3)

    before = _hashes(folder)
    again = CliRunner().invoke(main, words)
    assert again.exit_code == 0
    assert json.loads(again.stdout) == told
    assert _hashes(folder) == before
    (folder / "masks" / "sam" / rows[0]["MaskPath"]).unlink()
    assert CliRunner().invoke(main, words).exit_code == 0
    assert _hashes(folder) == before, "a mask that went is drawn again"
    table = folder / "sam-train-annotations-object-segmentation.csv"
    good = table.read_bytes()
    for bad in (b"\xff\xfe\0", good[: len(good) // 2], good.replace(b",sam_", b"x,sam_")):
        table.write_bytes(bad)
        damaged = CliRunner().invoke(main, words)
        assert damaged.exit_code == 1
        assert "is damaged" in damaged.output, damaged.output
    table.write_bytes(good)
    upstream.mask_decoder.iou_token.weight.data += 1
    torch.save({k: v for k, v in upstream.state_dict().items() if not k.startswith("pixel_")}, weights)
    other = CliRunner().invoke(main, words)
    assert other.exit_code == 1
    assert "two models never mix" in other.output
    assert _hashes(folder) == before


def test_a_build_takes_them_where_its_recipe_says_so(
    unmasked: tuple[str, list[dict[str, str]]], tmp_path: Path
) -> None:
    there, rows = unmasked
    folder = Path(there, "open_images")

    def built(name: str, select: str) -> Dataset:
        out = str(tmp_path / name)
        build(recipe.load(_recipe(tmp_path, select)), BuildOptions(there, out))
        assert verify(out) == []
        return Dataset(out)

    def shards(dataset: Dataset) -> dict[str, str]:
        return {
            entry.path: entry.sha256 for entry in (*dataset.manifest.shards, *dataset.manifest.pool_shards)
        }

    with (folder / "train-annotations-human-imagelabels.csv").open("w") as file:  # a faulty row
        file.write(f"ImageID,Source,LabelName,Confidence\n{rows[0]['ImageID']},verification,{DOG},perhaps\n")
    without = built("without", "")
    scores = [
        {"PredictedIoU": f"{0.9 + 0.01 * (n % 9)}", "Stability": "0.97", "Model": "sam_tiny"}
        for n in range(len(rows))
    ]
    scores[0]["Stability"] = "0.5"
    _write(
        folder / "sam-train-annotations-object-segmentation.csv",
        [{**row, **score, "Weights": "0" * 64} for row, score in zip(rows, scores, strict=True)],
    )
    human = built("human", "")
    assert shards(human) == shards(without), "masks of a model move nothing of a build of people's"
    reasons = human.table(format.REJECTIONS).to_pylist()
    faults = without.table(format.REJECTIONS).to_pylist()
    assert [row for row in reasons if row["reason"] != "mask_source"] == faults, (
        "faults beside masks count once"
    )
    drawn = {f"open_images:{row['MaskPath'].removesuffix('.png')}" for row in rows}
    assert {row["item"] for row in reasons if row["reason"] == "mask_source"} == drawn

    both = built("both", 'mask_sources = ["human", "sam"]')
    told = both.table().to_pylist()
    assert {row["mask_source"] for row in told} == {"human", "sam"}
    assert all((row["mask_source"] == "sam") == (set(row["mask_ids"]) <= drawn) for row in told)
    assert {row["key"] for row in told} > {row["key"] for row in human.table().to_pylist()}
    for sample in both.samples():
        assert sample.record["mask"]["source"] == (
            "sam" if set(sample.record["mask"]["ids"]) <= drawn else "human"
        )
    unsure = {
        row["item"]: row["detail"]
        for row in both.table(format.REJECTIONS).to_pylist()
        if row["reason"] == "mask_unsure"
    }
    assert unsure == {
        f"open_images:{rows[0]['MaskPath'].removesuffix('.png')}": "stability 0.5; at least 0.95"
    }
    assert both.manifest.mask_sources == ("human", "sam")


def test_no_objects_where_people_drew_any(unmasked: tuple[str, list[dict[str, str]]], tmp_path: Path) -> None:
    there, rows = unmasked
    asked = recipe.load(_recipe(tmp_path, ""))
    before = segment_corpus.objects(asked, there)
    path = Path(there, "open_images", SEGMENTATIONS)
    kept = list(csv.DictReader(path.open(newline="")))
    first = before["image_id"][0].as_py()
    _write(path, [*kept, next(row for row in rows if row["ImageID"] == first)])
    after = segment_corpus.objects(asked, there)
    assert set(before["image_id"].to_pylist()) - set(after["image_id"].to_pylist()) == {first}
    with_boxes = Path(there, "open_images")
    listed = with_boxes / "train-annotations-bbox.csv"
    given = list(csv.DictReader(listed.open(newline="")))
    more = after["image_id"].unique().to_pylist()[:3]
    for image_id, odd in zip(more, ({"IsGroupOf": "1"}, {"IsDepiction": "1"}, {"XMax": "1.7"}), strict=True):
        dog = next(row for row in given if (row["ImageID"], row["LabelName"]) == (image_id, DOG))
        given.append({**dog, "XMin": "0.01", "XMax": "0.05", **odd})
    listed.unlink()
    _write(listed, given)
    fewer = segment_corpus.objects(asked, there)
    assert set(after["image_id"].to_pylist()) - set(fewer["image_id"].to_pylist()) == set(more)
    grouped = _recipe(tmp_path, "group_of = true\ndepiction = true")
    assert set(segment_corpus.objects(recipe.load(grouped), there)["image_id"].to_pylist()) >= set(more[:2])
    for file in with_boxes.glob("*-annotations-bbox.csv"):
        file.unlink()
    with pytest.raises(Exception, match="no file whose name ends in -annotations-bbox"):
        segment_corpus.objects(asked, there)
