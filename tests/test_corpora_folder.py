"""One's own photos and sounds: two lists, a label map of one's own, and a dataset from them."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from click.testing import CliRunner
from PIL import Image

from pipelines.build.index import index
from pipelines.cli import main
from pipelines.corpora.source import CorpusError
from shards.reader import Dataset

IMAGES, SOUNDS = (
    ["image", "mask", "label", "licence", "author"],
    ["file", "start", "end", "label", "licence", "author"],
)
BOX = [[20, 20, 120, 20, 120, 90, 20, 90]]


def listed(root: Path, name: str, header: list[str], rows: list[list[object]]) -> None:
    (root / "folder").mkdir(parents=True, exist_ok=True)
    with open(root / "folder" / name, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def drawn(root: Path, photos: int) -> list[list[object]]:
    """Photos whose masks are an image, polygons in the column, and run lengths in a file."""
    folder = root / "folder"
    (folder / "pictures").mkdir(parents=True)
    rows: list[list[object]] = []
    for number in range(photos):
        noise = np.random.default_rng(number).integers(0, 255, (140, 200, 3)).astype(np.uint8)
        Image.fromarray(noise).save(folder / "pictures" / f"{number}.jpg")
        mask = np.zeros((140, 200), np.uint8)
        mask[20:90, 20:120] = 255
        if number % 3 == 0:
            Image.fromarray(mask).save(folder / f"m{number}.png")
            said = f"m{number}.png"
        elif number % 3 == 1:
            said = json.dumps(BOX)
        else:
            flat = np.concatenate([[0], mask.ravel(order="F") > 0, [0]])
            edges = np.flatnonzero(np.diff(flat))
            counts = np.diff([0, *edges, mask.size]).tolist()
            (folder / f"m{number}.json").write_text(json.dumps({"size": [140, 200], "counts": counts}))
            said = f"m{number}.json"
        rows.append([f"pictures/{number}.jpg", said, "Kettle", "CC BY 4.0", "Zoë"])
    return rows


def sung(root: Path, files: int) -> list[list[object]]:
    rows: list[list[object]] = []
    for number in range(files):
        noise = np.random.default_rng(number).uniform(-0.4, 0.4, 16_000 * 8)
        (root / "folder" / "sounds").mkdir(parents=True, exist_ok=True)
        soundfile.write(root / "folder" / "sounds" / f"{number}.wav", noise, 16_000, subtype="PCM_16")
        for start, end in ((1, 3.5), (4, ""), ("", "")):
            rows.append([f"sounds/{number}.wav", start, end, "kettle whistling", "CC0", "me"])
    return rows


def test_a_dataset_of_ones_own(tmp_path: Path) -> None:
    root = tmp_path / "corpora"
    photos, sounds = drawn(root, 12), sung(root, 9)
    listed(root, "images.csv", IMAGES, [*photos, photos[0], ["pictures/1.jpg", "gone.png", "cup", "", ""]])
    listed(root, "sounds.csv", SOUNDS, sounds)
    (tmp_path / "own.toml").write_text(
        'name = "own"\nversion = "1.0.0"\nlicence = "CC0-1.0"\ndescription = "d"\n'
    )
    (tmp_path / "own.csv").write_text(
        "category,source,source_id,label,synset,relation,decided_by,decided_on,note\n"
        "kettle,folder_images,Kettle,Kettle,,same,me,2026-11-28,\n"
        "kettle,folder_sounds,kettle whistling,kettle whistling,,same,me,2026-11-28,\n"
    )
    recipe = tmp_path / "own_recipe.toml"
    recipe.write_text(
        f'name = "own"\n[labels]\nmap = "{tmp_path}/own.csv"\n[split]\ntrain = 2\nval = 1\ntest = 1\n'
    )
    out = str(tmp_path / "out")
    for call in (["build", str(recipe), "--corpora", str(root), "--out", out], ["verify", out, "--deep"]):
        done = CliRunner().invoke(main, call)
        assert done.exit_code == 0, done.output
    dataset = Dataset(out)
    records = [sample.record for part in ("train", "val", "test") for sample in dataset.samples(part)]
    assert len(records) == 12
    assert {record["mask"]["area_px"] for record in records} == {100 * 70}
    assert {(record["image"]["licence"], record["image"]["author"]) for record in records} == {
        ("cc-by-4.0", "Zoë")
    }
    pool = {row["clip_id"]: row["duration_s"] for row in dataset.table("pool.parquet").to_pylist()}
    assert len(pool) == 27
    for number in range(9):
        front = f"folder_sounds:sounds/{number}.wav"
        assert [pool[f"{front}@1"], pool[f"{front}@4"], pool[front]] == [2.5, 4.0, 8.0]
    found = CliRunner().invoke(
        main,
        ["match", "--corpora", str(root), "--audio", "folder_sounds", "--visual", "folder_images",
         "--out", str(tmp_path / "p.csv")],
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    assert "folder_sounds,kettle whistling,folder_images" in (tmp_path / "p.csv").read_text()


@pytest.mark.parametrize(
    ("row", "reason", "unmarked"),
    [
        (["../a.jpg", "[[1,1,9,1,9,9]]", "cup", "", ""], "hostile_name", "cup"),
        (["/etc/passwd", "[[1,1,9,1,9,9]]", "cup", "", ""], "hostile_name", "cup"),
        (["a|b.jpg", "[[1,1,9,1,9,9]]", "cup", "", ""], "hostile_name", "cup"),
        (["a.jpg", "../../m.png", "cup", "", ""], "hostile_name", "cup"),
        (["a.jpg", "", "cup", "", ""], "bad_row", "cup"),
        (["a.jpg", "m.png", "", "", ""], "bad_row", None),
        (["", "m.png", "cup", "", ""], "bad_row", "no photo"),
        (["a.jpg", "m.png", "cup"], "bad_row", "no photo"),
    ],
)
def test_a_bad_image_row_is_rejected_and_leaves_its_object_unmarked(tmp_path, row, reason, unmarked) -> None:
    listed(tmp_path, "images.csv", IMAGES, [["a.jpg", "m.png", "cup", "", ""], row])
    found = index(str(tmp_path), str(tmp_path / "out"))
    assert found.counts["folder_images"].rejected == {reason: 1}
    lost = pq.read_table(found.unmarked).to_pylist()
    assert [one["label_id"] for one in lost] == ([] if unmarked == "no photo" else [unmarked])


@pytest.mark.parametrize(
    "row",
    [
        ["../a.wav", "", "", "x", "", ""], ["a.txt", "", "", "x", "", ""], ["a.wav", "2", "1", "x", "", ""],
        ["a.wav", "-1", "", "x", "", ""], ["a.wav", "nan", "", "x", "", ""], ["a.wav", "one", "", "x", "", ""],
        ["a.wav", "", "", "", "", ""], ["a.wav"],
    ],
)  # fmt: skip
def test_a_bad_sound_row_is_rejected(tmp_path, row) -> None:
    listed(tmp_path, "sounds.csv", SOUNDS, [["a.wav", "", "", "x", "", ""], row])
    count = index(str(tmp_path), str(tmp_path / "out")).counts["folder_sounds"]
    assert (count.rows, count.kept, sum(count.rejected.values())) == (2, 1, 1)


def test_one_broken_line_costs_no_other(tmp_path: Path) -> None:
    long = json.dumps([[float(n % 7) for n in range(60_000)]])  # more than a reader of CSV takes unasked
    lines = ['"a.jpg"x,m.png,cup,,', "b.jpg,m.png,cup,,", f'c.jpg,"{long}",cup,,']
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "images.csv").write_text("\n".join([",".join(IMAGES), *lines, ""]))
    found = index(str(tmp_path), str(tmp_path / "out"))
    assert (found.counts["folder_images"].kept, found.counts["folder_images"].rejected) == (2, {"bad_row": 1})
    (tmp_path / "folder" / "images.csv").write_text("\n".join([",".join(IMAGES), '"a.jpg,m.png', lines[1]]))
    with pytest.raises(CorpusError, match="line 2: a quote begins here and never ends"):
        index(str(tmp_path), str(tmp_path / "out"))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"image;mask;label\n", "no column image"), (b"\xe9t\xe9,mask\n", "not UTF-8"), (b"", "found none")],
)
def test_a_list_that_is_none_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "images.csv").write_bytes(content)
    with pytest.raises(CorpusError, match=f"folder/images.csv.*{message}"):
        index(str(tmp_path), str(tmp_path / "out"))
