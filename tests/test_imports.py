"""AVSBench and AVS-Synthetic, generated in their official layouts, to shards and back."""

import csv
import hashlib
import io
import json
import shutil

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from PIL import Image
from real_data import DATA

from pipelines import cli
from pipelines.imports import avsbench
from shards.reader import Dataset
from shards.verify import verify

RNG = np.random.default_rng(0)
SECONDS = (0.2 * np.sin(np.arange(80000) * 0.3) * (1 + np.arange(80000) // 15360) / 6).astype(np.float32)

S4_VIDEOS = {"train": "aaaaaaaaaaa_0", "val": "bbbbbbbbbbb_1", "test": "ccccccccccc_2"}


def picture(path, size=(224, 224), kind=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 255, (*size[::-1], 3), np.uint8)).resize(size).save(path, kind)


def mask(path, mode="L", size=(224, 224), empty=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros(size[::-1], np.uint8)
    pixels[20:60, 30:90] = 0 if empty else 255
    Image.fromarray(pixels).convert(mode, dither=Image.Dither.NONE).save(path)


def wav(path, samples=SECONDS, rate=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="PCM_16")


def table(path, header, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture
def s4(tmp_path):
    root = tmp_path / "S4"
    for split, name in S4_VIDEOS.items():
        below = f"s4_data/{{}}/{split}/dog/{name}"
        wav(root / f"{below.format('audio_wav')}.wav", SECONDS if split != "test" else SECONDS[:40000])
        for frame in range(1, 6):
            picture(root / below.format("visual_frames") / f"{name}_{frame}.png")
            if split != "train" or frame == 1:
                mask(
                    root / below.format("gt_masks") / f"{name}_{frame}.png",
                    mode=("L", "1", "P", "RGB", "L")[frame - 1],
                )
    rows = [[name, 0, "dog", split] for split, name in S4_VIDEOS.items()]
    table(root / "s4_meta_data.csv", ["name", "start", "category", "split"], rows)
    return root


def run(*arguments, ok=True):
    result = CliRunner().invoke(cli.main, ["import", "--may-drop", "1", *map(str, arguments)])
    if ok and result.exception:
        raise AssertionError(result.output) from result.exception
    return result.output


def samples(url):
    return {sample.record["image"]["id"]: sample for sample in Dataset(str(url)).samples()}


def test_s4_becomes_shards_with_each_frames_own_second(s4, tmp_path):
    run("avsbench", s4, "--out", tmp_path / "out")
    assert verify(str(tmp_path / "out")) == []
    found = samples(tmp_path / "out")
    assert len(found) == 1 + 5 + 5
    whole = soundfile.read(s4 / "s4_data/audio_wav/val/dog/bbbbbbbbbbb_1.wav", dtype="int16")[0]
    for frame in range(1, 6):
        sample = found[f"avsbench_s4:bbbbbbbbbbb_1#{frame}"]
        assert sample.record["split"] == "val"
        heard = soundfile.read(io.BytesIO(sample.flac), dtype="int16")[0]
        start = 15360 * (frame - 1)
        expected = whole[start : start + 15600]
        assert np.abs(heard.astype(int) - expected).max() <= 1
        expected_mask = np.zeros((224, 224), np.uint8)
        expected_mask[20:60, 30:90] = 255
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(sample.mask_png))), expected_mask)
        original = np.asarray(
            Image.open(s4 / f"s4_data/visual_frames/val/dog/bbbbbbbbbbb_1/bbbbbbbbbbb_1_{frame}.png")
        )
        assert np.abs(np.asarray(Image.open(io.BytesIO(sample.jpg))).astype(int) - original).mean() < 3
    assert {sample.record["component"] for sample in found.values()} == {
        "avsbench_s4:aaaaaaaaaaa_0", "avsbench_s4:bbbbbbbbbbb_1", "avsbench_s4:ccccccccccc_2"
    }  # fmt: skip


def test_a_short_clip_repeats_its_last_window(s4, tmp_path):
    run("avsbench", s4, "--out", tmp_path / "out")
    found = samples(tmp_path / "out")
    heard = [found[f"avsbench_s4:ccccccccccc_2#{frame}"].flac for frame in range(1, 6)]
    assert heard[1] == heard[2] == heard[3] == heard[4] != heard[0]  # 2.5 s hold two whole windows


def test_ms3_keeps_frames_where_nothing_sounds(tmp_path):
    root = tmp_path / "MS3"
    for split, name in (("train", "abc"), ("test", "x-y_Z_1")):
        wav(root / f"ms3_data/audio_wav/{split}/{name}.wav")
        for frame in range(1, 6):
            picture(root / f"ms3_data/visual_frames/{name}/{name}.mp4_{frame}.png")
            mask(root / f"ms3_data/gt_masks/{split}/{name}/{name}_{frame}.png", empty=frame == 3)
    table(root / "ms3_meta_data.csv", ["video_id", "split"], [["abc", "train"], ["x-y_Z_1", "test"]])
    run("avsbench", root, "--out", tmp_path / "out")
    assert verify(str(tmp_path / "out")) == []
    rows = Dataset(str(tmp_path / "out")).table().to_pylist()
    assert len(rows) == 10
    assert {row["image_id"] for row in rows if row["area_px"] == 0} == {
        "avsbench_ms3:abc#3",
        "avsbench_ms3:x-y_Z_1#3",
    }


def write_png(path, array, form="PNG"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, form, quality=80)


def test_masks_are_read_by_the_rule_of_a_build(tmp_path):
    """A mask in its alpha channel, one that was a JPEG, several objects in colours, and one that means nothing."""
    shape = np.zeros((224, 224), np.uint8)
    shape[20:60, 30:90] = shape[101:150, 33:177] = 255
    alpha = np.dstack([np.full((224, 224, 3), 255, np.uint8), shape])
    colours = np.zeros((224, 224, 3), np.uint8)
    colours[20:60, 30:90], colours[101:150, 33:177] = (128, 0, 0), (0, 0, 200)
    ramp = np.tile(np.arange(224, dtype=np.uint8), (224, 1))
    root = tmp_path / "S4"
    for frame, (array, form) in enumerate(
        ((alpha, "PNG"), (shape, "JPEG"), (colours, "PNG"), (ramp, "PNG"), (shape // 255, "PNG")), start=1
    ):
        picture(root / f"s4_data/visual_frames/val/dog/abc/abc_{frame}.png")
        write_png(root / f"s4_data/gt_masks/val/dog/abc/abc_{frame}.png", array, form)
    wav(root / "s4_data/audio_wav/val/dog/abc.wav")
    table(root / "s4_meta_data.csv", ["name", "start", "category", "split"], [["abc", 0, "dog", "val"]])
    run("avsbench", root, "--out", tmp_path / "out")
    found = samples(tmp_path / "out")
    for frame in (1, 2, 3, 5):
        sample = found[f"avsbench_s4:abc#{frame}"]
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(sample.mask_png))), shape), frame
        assert sample.record["mask"]["exhaustive"] == ""
    assert "avsbench_s4:abc#4" not in found
    lost = Dataset(str(tmp_path / "out")).table("rejections.parquet").to_pylist()
    assert [row["reason"] for row in lost] == ["mask_ambiguous"]
    assert verify(str(tmp_path / "out")) == []


def test_photos_say_which_file_they_are_of_and_turn_in_no_reader(tmp_path):
    root = tmp_path / "release"
    root.mkdir()
    synthetic(root, [["i1", "p1", "", "", "dog", "4", "lvis", "train", "vid_1"]])
    exif = Image.Exif()
    exif[0x0112] = 6
    (root / "images").mkdir()
    Image.fromarray(RNG.integers(0, 255, (200, 300, 3), np.uint8)).save(root / "images/p1.jpg", exif=exif)
    mask(root / "masks/i1.png", size=(300, 200))
    wav(root / "audios/vid_1.wav")
    run("avs-synthetic", root, "--out", tmp_path / "out")
    (sample,) = samples(tmp_path / "out").values()
    original = (root / "images/p1.jpg").read_bytes()
    assert sample.record["image"]["source_sha256"] == hashlib.sha256(original).hexdigest()
    assert sample.record["image"]["sha256"] == hashlib.sha256(sample.jpg).hexdigest()
    assert Image.open(io.BytesIO(sample.jpg)).getexif()[0x0112] == 1
    assert verify(str(tmp_path / "out")) == []


def synthetic(root, rows):
    header = ["inst_id", "img_id", "a", "b", "cls_name", "cls_id", "dataset", "split", "audio_name"]
    table(root / "annotations.csv", header, rows)


def test_avs_synthetic_keeps_its_bytes_and_its_pairing(tmp_path):
    root = tmp_path / "release"
    root.mkdir()
    rows = [
        ["i1", "p1", "", "", "computer keyboard", "3", "lvis", "train", "vid_1"],
        ["i2", "p1", "", "", "dog", "4", "lvis", "train", "vid_2"],
        ["i3", "p2", "", "", "dog", "4", "openimages", "test", "vid_3"],
        ["i4", "gone", "", "", "dog", "4", "openimages", "test", "vid_3"],
        ["i5", "../../etc/passwd", "", "", "dog", "4", "openimages", "test", "vid_3"],
        ["i6", "p2", "", "", "dog", "4", "openimages", "testing", "vid_3"],
    ]
    synthetic(root, rows)
    for name in ("p1", "p2"):
        picture(root / f"images/{name}.jpg", (300, 200), "JPEG")
    for name in ("i1", "i2", "i3", "i4", "i5"):
        mask(root / f"masks/{name}.png", size=(300, 200))
    for name in ("vid_1", "vid_2", "vid_3"):
        wav(root / f"audios/{name}.wav", RNG.normal(0, 0.1, 441000).astype(np.float32), 44100)
    said = run("avs-synthetic", root, "--out", tmp_path / "out")
    assert "3 samples" in said
    assert verify(str(tmp_path / "out")) == []
    dataset = Dataset(str(tmp_path / "out"))
    assert {row["reason"] for row in dataset.table("rejections.parquet").to_pylist()} == {
        "image_missing", "hostile_name", "bad_row"
    }  # fmt: skip
    keyboard = next(
        sample for sample in dataset.samples() if sample.record["category"] == "computer_keyboard"
    )
    assert keyboard.jpg == (root / "images/p1.jpg").read_bytes()
    assert keyboard.record["audio"]["id"] == "avs_synthetic:vid_1"
    assert soundfile.info(io.BytesIO(keyboard.flac)).frames == 160000
    clips, funnel = dataset.manifest.funnel
    assert (clips["unit"], clips["in"], clips["kept"]) == ("clips", 3, 3)
    assert funnel["in"] == 6 == funnel["kept"] + sum(funnel["rejected"].values())
    units = {(row["unit"], row["item"].count("|")) for row in dataset.table("rejections.parquet").to_pylist()}
    assert {unit for unit, _ in units} == {"samples"}


def bytes_of(out):
    files = [path for path in out.rglob("*") if path.is_file() and ".work" not in path.parts]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def test_what_cannot_be_heard_is_told_by_unit(tmp_path):
    """A clip that is not there, and one that is heard in two splits: its samples of the other split would leak."""
    root = tmp_path / "release"
    root.mkdir()
    rows = [
        ["i1", "p1", "", "", "dog", "4", "lvis", "train", "gone"],
        ["i2", "p1", "", "", "dog", "4", "lvis", "train", "both"],
        ["i3", "p2", "", "", "dog", "4", "lvis", "test", "both"],
    ]
    synthetic(root, rows)
    for name in ("p1", "p2"):
        picture(root / f"images/{name}.jpg", (300, 200), "JPEG")
    for name in ("i1", "i2", "i3"):
        mask(root / f"masks/{name}.png", size=(300, 200))
    wav(root / "audios/both.wav")
    run("avs-synthetic", root, "--out", tmp_path / "out")
    assert verify(str(tmp_path / "out")) == []
    dataset = Dataset(str(tmp_path / "out"))
    assert [row["split"] for row in dataset.table().to_pylist()] == ["test"]  # evaluation keeps its samples
    told = {
        (row["unit"], row["item"], row["reason"]) for row in dataset.table("rejections.parquet").to_pylist()
    }
    assert told == {
        ("clips", "avs_synthetic:gone", "clip_missing"),
        ("samples", "avs_synthetic:p1|dog|avs_synthetic:i1", "no_clip"),
        ("samples", "avs_synthetic:p1|dog|avs_synthetic:i2", "no_clip"),
    }
    assert [(step["unit"], step["in"], step["kept"]) for step in dataset.manifest.funnel] == [
        ("clips", 2, 1),
        ("samples", 3, 1),
    ]


def test_another_dataset_is_never_touched(s4, tmp_path, dataset):
    """Neither a build's, nor another import's, nor what a user keeps there."""
    built, other, mine = tmp_path / "built", tmp_path / "other", tmp_path / "mine"
    shutil.copytree(dataset, built)
    root = tmp_path / "MS3"
    wav(root / "ms3_data/audio_wav/train/abc.wav")
    for frame in range(1, 6):
        picture(root / f"ms3_data/visual_frames/abc/abc.mp4_{frame}.png")
        mask(root / f"ms3_data/gt_masks/train/abc/abc_{frame}.png")
    table(root / "ms3_meta_data.csv", ["video_id", "split"], [["abc", "train"]])
    run("avsbench", root, "--out", other)
    mine.mkdir()
    (mine / "thesis.tex").touch()
    for out, told in (
        (built, "what `build` writes, and this is `import`"),
        (other, "dataset avsbench_ms3 there, avsbench_s4 now; another list of samples"),
        (mine, "thesis"),
    ):
        before = bytes_of(out)
        assert told in run("avsbench", s4, "--out", out, ok=False)
        assert bytes_of(out) == before
    table(root / "ms3_meta_data.csv", ["video_id", "split"], [["abc", "val"]])  # the same name, another list
    assert "holds something else (another list of samples)" in run("avsbench", root, "--out", other, ok=False)


def test_no_sample_is_no_dataset(s4, tmp_path):
    shutil.rmtree(s4 / "s4_data" / "audio_wav")
    said = run("avsbench", s4, "--out", tmp_path / "out", ok=False)
    assert "no sample is left: import dropped all 11 clips, 11 as clip_missing (put the clips where" in said
    assert "import dropped all 11 samples, 11 as no_clip" in said
    assert not (tmp_path / "out" / "manifest.json").exists()
    table(s4 / "s4_meta_data.csv", ["name", "start", "category", "split"], [])
    assert "there was nothing to make samples of" in run("avsbench", s4, "--out", tmp_path / "none", ok=False)


def test_importing_again_writes_the_same_bytes(s4, tmp_path):
    run("avsbench", s4, "--out", tmp_path / "one")
    run("avsbench", s4, "--out", tmp_path / "two", "--workers", 1)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")
    (tmp_path / "one" / "manifest.json").unlink()  # as if killed before the end
    (tmp_path / "one" / "val" / "val-000000.tar").unlink()
    run("avsbench", s4, "--out", tmp_path / "one")
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


@pytest.mark.skipif(
    not (DATA / "avsbench").is_dir(),
    reason="no shared/data/avsbench",
)
@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("s4", {"train": 3452, "val": 740 * 5, "test": 740 * 5}),
        ("ms3", {"train": 296 * 5, "val": 64 * 5, "test": 64 * 5}),
    ],
)
def test_the_official_tables_give_the_published_numbers(name, counts, tmp_path):
    source = DATA / "avsbench" / f"{name}_meta_data.csv"
    (tmp_path / source.name).write_bytes(source.read_bytes())
    found = avsbench.read(str(tmp_path))
    assert {split: sum(each.split == split for each in found.samples) for split in counts} == counts
    assert found.rejections == []


def test_a_folder_of_something_else_is_an_error(tmp_path):
    assert "has neither s4_meta_data.csv nor ms3_meta_data.csv" in run(
        "avsbench", tmp_path, "--out", tmp_path, ok=False
    )
    (tmp_path / "annotations.csv").write_text("a,b\n1,2\n")
    assert "has no column split: it must be a CSV" in run(
        "avs-synthetic", tmp_path, "--out", tmp_path, ok=False
    )


def test_is3_is_the_same_photo_under_two_sounds(tmp_path):
    root, told = tmp_path / "IS3", {}
    pixels = RNG.integers(0, 255, (96, 96, 3), np.uint8)
    boxes = {}
    for number, photo in enumerate(("accordion_baby_10467", "cat_train_7", "dog_7", "clock_cow_8")):
        for place, thing in enumerate(
            ("accordion baby", "cat subwaytrain", "dog dog", "alarm_clock cow")[number].split()
        ):
            name = f"{photo}_{thing}{'2' * (number == 2) * place}"
            told[name] = {"box": [1, 2, 3, 4], "category": thing}
            for below in ("images", "gt_segmentation"):
                (root / below).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / "images" / f"{name}.jpg")
            seen = np.zeros((96, 96), np.uint8)
            boxes[name] = (10 + 30 * place, 20, 24, 40)
            x, y, w, h = boxes[name]
            seen[y : y + h, x : x + w] = 255
            Image.fromarray(seen).save(root / "gt_segmentation" / f"{name}.jpg", quality=100)
            wav(root / "audio_waw" / f"{name}.wav", SECONDS[:32000] * (1 + place) / 2)
    for photo, shape in (("cat_dog_1", (96, 96, 3)), ("cat_dog_2", (80, 96, 3))):  # copies of other photos
        for thing in ("cat", "dog"):
            name = f"{photo}_{thing}"
            told[name] = {"box": [], "category": thing}
            other = 255 - pixels if thing == "dog" else pixels
            Image.fromarray(other[: shape[0] if thing == "dog" else 96]).save(root / "images" / f"{name}.jpg")
            for below, end in (("gt_segmentation", ".jpg"), ("audio_waw", ".wav")):
                shutil.copy(root / below / f"cat_train_7_cat{end}", root / below / f"{name}{end}")
    for below, end in (("images", ".jpg"), ("gt_segmentation", ".jpg"), ("audio_waw", ".wav")):
        for old, new in (("cat_train_7_cat", "owl_pig_9_owl"), ("cat_train_7_subwaytrain", "owl_pig_9_pig")):
            shutil.copy(root / below / f"{old}{end}", root / below / f"{new}{end}")
    wav(root / "audio_waw" / "owl_pig_9_owl.wav", SECONDS[:32000] * 0)
    told |= {f"owl_pig_9_{thing}": {"category": thing} for thing in ("owl", "pig")}
    boxes |= {"owl_pig_9_owl": boxes["cat_train_7_cat"], "owl_pig_9_pig": boxes["cat_train_7_subwaytrain"]}
    told["cat_train_7_lost"] = {"box": [], "category": "lost"}
    listed = [{"image": f"/somewhere/{name}.jpg", **one} for name, one in told.items()]
    out = [str(tmp_path / name) for name in ("by_name", "listed")]
    for table_of, target in zip((told, listed), out, strict=True):
        (root / "IS3_annotation.json").write_text(json.dumps(table_of))
        done = CliRunner().invoke(
            cli.main, ["import", "is3", str(root), "--out", target, "--may-drop", "0.5"]
        )
        assert done.exit_code == 0, done.output
        assert verify(target) == []
    hashes = [{entry.path: entry.sha256 for entry in Dataset(one).manifest.shards} for one in out]
    assert hashes[0] == hashes[1]
    dataset = Dataset(out[0])
    samples = list(dataset.samples("test"))
    assert {sample.record["category"] for sample in samples} == {
        *("accordion", "baby", "cat", "subwaytrain", "alarm_clock", "cow", "pig")
    }
    for sample in samples:
        name = sample.record["mask"]["ids"][0].removeprefix("is3:")
        assert sample.record["image"]["id"] == f"is3:{name.removesuffix('_' + sample.record['category'])}"
        assert tuple(sample.record["mask"]["bbox"]) == boxes[name]
        expected, _ = soundfile.read(root / "audio_waw" / f"{name}.wav", dtype="int16")
        np.testing.assert_array_equal(soundfile.read(io.BytesIO(sample.flac), dtype="int16")[0], expected)
    assert len({sample.record["image"]["id"] for sample in samples}) == 4
    silent = [row for row in dataset.table("rejections.parquet").to_pylist() if "owl" in row["item"]]
    assert [(row["unit"], row["reason"]) for row in silent] == [
        ("clips", "audio_silent"),
        ("samples", "no_clip"),
    ]
    rejected = {row["item"]: row["detail"] for row in dataset.table("rejections.parquet").to_pylist()}
    assert "no copies of one photo" in rejected.pop("cat_dog_1")
    assert "96 x 96 and 96 x 80 pixels" in rejected.pop("cat_dog_2")
    assert {item: detail for item, detail in rejected.items() if "owl" not in item} == {
        "cat_train_7_lost": "no mask and no image and no sound of this name",
        "dog_7": "dog_7_dog (dog), dog_7_dog2 (dog): a photo has two annotations of different categories",
    }
    (root / "IS3_annotation.json").write_text("[1, 2]")
    done = CliRunner().invoke(cli.main, ["import", "is3", str(root), "--out", str(tmp_path / "none")])
    assert done.exit_code == 1
    assert "neither an object of annotations by name nor a list" in done.output
