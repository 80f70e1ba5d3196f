"""AVSBench-semantic in its official folder to shards with class masks, held against what was drawn."""

import csv
import io
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import avss_folder
import numpy as np
import pytest
import soundfile
from avss_folder import CLASSES, clip
from click.testing import CliRunner
from PIL import Image
from real_data import DATA
from test_verify import edit_members

from pipelines import cli
from pipelines.imports import avsbench, avss, leaks
from shards import format
from shards.reader import Dataset
from shards.verify import verify


def run(*arguments: object, ok: bool = True) -> str:
    result = CliRunner().invoke(cli.main, ["import", "avsbench", *map(str, arguments)])
    assert (result.exit_code == 0) == ok, result.output
    return result.output


def damaged(root: Path, path: str, change) -> None:
    pixels = np.array(Image.open(root / path))
    change(pixels)
    Image.fromarray(pixels).save(root / path)


def put(value, y=slice(40, 44), x=slice(2, 6)):
    def change(pixels):
        pixels[y, x] = value

    return change


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    """Every kind of row and mask that there is, and what must not pass."""
    root = avss_folder.write(
        tmp_path_factory.mktemp("avss"),
        [
            clip("v1s", "train", "aaaaaaaaaaa_30000_35000", "dog"),
            clip("v1s", "val", "bbbbbbbbbbb_0_5000", "guitar_man"),
            clip("v1m", "train", "ccccccccccc", "emergency-car"),
            clip("v1m", "test", "ccccccccccc_1", "violin_woman_wolf", seen="woman_violin"),
            clip("v2", "test", "ddddddddddd_80000_90000", "h orse", seen="horse"),
            clip("v2", "train", "eeeeeeeeeee_1000_11000", "man_off-the-screen", seen=""),
            clip("v2", "train", "fffffffffff_2000_12000", "background", seen=""),
            clip("v2", "val", "ggggggggggg_0_10000", "cat"),
        ],
    )
    below = root / "v2/ddddddddddd_80000_90000"
    for frame in range(10):  # some releases have one kind alone
        (below / ("labels_semantic" if frame % 2 else "labels_rgb") / f"{frame}.png").unlink()
    spoiled = "v2/ggggggggggg_0_10000"
    damaged(root, f"{spoiled}/labels_rgb/0.png", put((1, 2, 3)))
    damaged(root, f"{spoiled}/labels_semantic/1.png", put(71))
    damaged(root, f"{spoiled}/labels_semantic/2.png", put(5))  # the colours say background
    damaged(root, f"{spoiled}/labels_semantic/3.png", put(255))  # open
    (root / f"{spoiled}/labels_rgb/4.png").write_bytes(b"no picture")
    (root / f"{spoiled}/frames/5.jpg").unlink()
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(root / f"{spoiled}/labels_semantic/6.png")
    for kind in ("semantic", "rgb"):
        (root / f"{spoiled}/labels_{kind}/7.png").unlink()
    with open(root / "metadata.csv", "a", newline="") as file:
        csv.writer(file).writerows(
            [
                ["hhhhhhhhhhh", "hhhhhhhhhhh_0_10000", 0, 0, "cat_zebra", "train", "v2"],
                ["hhhhhhhhhhh", "hhhhhhhhhhh_0_10000", 0, 0, "cat", "train", "v3"],
                ["hhhhhhhhhhh", "hhhhhhhhhhh_0_10000", 1, 0, "cat", "train", "v2"],
                ["iiiiiiiiiii", "hhhhhhhhhhh_0_10000", 0, 0, "cat", "train", "v2"],
                ["aaaaaaaaaaa", "aaaaaaaaaaa_30000_35000", 0, 30, "dog", "train", "v1s"],
                ["jjjjjjjjjjj", "jjjjjjjjjjj_0_5000", 0, 0, "cat", "test", "v1s"],
            ]
        )
    return root


@pytest.fixture(scope="module")
def imported(release, tmp_path_factory) -> tuple[str, str]:
    out = tmp_path_factory.mktemp("out") / "avss"
    return str(out), run(release, "--out", out, "--may-drop", 1)


def drawn(release: Path, uid: str, frame: int) -> np.ndarray:
    """The class of each pixel, from whichever file is there."""
    (below,) = release.glob(f"*/{uid}")
    path = below / "labels_semantic" / f"{frame}.png"
    if path.exists():
        return np.asarray(Image.open(path))
    shown = np.asarray(Image.open(below / "labels_rgb" / f"{frame}.png"))
    found = np.full(shown.shape[:2], 99, np.uint8)
    for number in range(71):
        found[(shown == avss_folder.palette(number)).all(axis=2)] = number
    return found


def test_each_frame_says_the_class_of_each_pixel_and_hears_its_own_second(release, imported):
    dataset = Dataset(imported[0])
    assert dataset.manifest.targets == ("binary", "classes")
    assert list(dataset.manifest.classes) == CLASSES
    frames = Counter()
    for sample in dataset.samples():
        record = sample.record
        label, uid, frame = record["image"]["id"].replace("avsbench_avss:", "").replace("#", "/").split("/")
        frames[label, uid] += 1
        mask, classes = (
            np.asarray(Image.open(io.BytesIO(png))) for png in (sample.mask_png, sample.classes_png)
        )
        assert np.array_equal(classes, drawn(release, uid, int(frame)))
        assert np.array_equal(mask == 255, classes > 0)
        shown = sorted(CLASSES[number - 1] for number in set(classes.ravel().tolist()) - {0, 255})
        assert (record["kind"], record["category"]) == ("recording", "+".join(shown))
        (source,) = record["sources"]
        assert (source["category"], source["area_px"]) == (record["category"], int((classes > 0).sum()))
        whole, _ = soundfile.read(release / label / uid / "audio.wav", dtype="int16")
        heard, _ = soundfile.read(io.BytesIO(sample.flac), dtype="int16")
        begin = 15360 * int(frame)
        assert np.abs(heard.astype(int) - whole[begin : begin + 15600]).max() <= 1
        start_s = int(uid.split("_")[1]) / 1000 if label != "v1m" else 0
        assert source["audio"]["start_s"] == pytest.approx(start_s + 0.96 * int(frame))
    assert frames == {
        ("v1s", "aaaaaaaaaaa_30000_35000"): 1, ("v1s", "bbbbbbbbbbb_0_5000"): 5, ("v1m", "ccccccccccc"): 5,
        ("v1m", "ccccccccccc_1"): 5, ("v2", "ddddddddddd_80000_90000"): 10, ("v2", "eeeeeeeeeee_1000_11000"): 10,
        ("v2", "fffffffffff_2000_12000"): 10, ("v2", "ggggggggggg_0_10000"): 3,
    }  # fmt: skip


def test_what_is_heard_and_not_seen_is_told_by_the_clip(imported):
    dataset = Dataset(imported[0])
    rows = {row["clip_id"]: row for row in dataset.table("pool.parquet").to_pylist()}
    told = {
        sample.record["image"]["id"]: (
            sample.record["sources"][0]["audio"]["label"]["label"],
            rows[sample.record["sources"][0]["audio"]["id"]]["categories"],
        )
        for sample in dataset.samples()
    }
    assert told["avsbench_avss:v2/eeeeeeeeeee_1000_11000#9"] == ("man_off-the-screen", ["man"])
    assert told["avsbench_avss:v2/fffffffffff_2000_12000#0"] == ("background", [])
    assert told["avsbench_avss:v2/ddddddddddd_80000_90000#3"] == ("h orse", ["horse"])
    assert told["avsbench_avss:v1m/ccccccccccc_1#0"] == ("violin_woman_wolf", ["violin", "wolf", "woman"])


def test_every_row_and_frame_is_kept_or_rejected_with_its_reason(imported):
    dataset = Dataset(imported[0])
    clips, samples = dataset.manifest.funnel
    assert samples["in"] == samples["kept"] + sum(samples["rejected"].values()) == 16 + 40 + 1 + 5 + 4
    assert (samples["kept"], clips["rejected"]) == (49, {"clip_missing": 5})
    lost = {
        row["item"].replace("avsbench_avss:", "").replace("||recording", ""): (row["reason"], row["detail"])
        for row in dataset.table("rejections.parquet").to_pylist()
        if row["unit"] == "samples" and "jjj" not in row["item"]
    }
    spoiled = "v2/ggggggggggg_0_10000#"
    wanted = {
        f"{spoiled}0": ("unknown_label", "as (1, 2, 3) in 16 pixels"),
        f"{spoiled}1": ("unknown_label", "values 71; classes are 0 to 70"),
        f"{spoiled}2": ("mask_ambiguous", "16 pixels are of another class by value than by colour, the first at x 2"),
        f"{spoiled}4": ("mask_unreadable", "no PNG"),
        f"{spoiled}5": ("image_missing", "5.jpg"),
        f"{spoiled}6": ("mask_ambiguous", "labels of (9, 9) by value"),
        f"{spoiled}7": ("mask_missing", "neither labels_semantic/7.png nor labels_rgb/7.png"),
        "v1s/aaaaaaaaaaa_30000_35000#0": ("duplicate_id", "the first one stays"),
        "metadata.csv:10": ("unknown_label", "names zebra, none of the 70 classes"),
        "metadata.csv:11": ("bad_row", "a label of v1s, v1m, v2"),
        "metadata.csv:12": ("bad_row", "begins at 0 ms; s_min 1 and s_sec 0 say 60 s"),
        "metadata.csv:13": ("bad_row", "is not of video 'iiiiiiiiiii'"),
    }  # fmt: skip
    assert {item: reason for item, (reason, _) in lost.items()} == {
        item: reason for item, (reason, _) in wanted.items()
    }
    for item, (_, text) in wanted.items():
        assert text in lost[item][1]


def test_videos_in_two_splits_are_told_and_dropped_or_moved(release, imported, tmp_path):
    out, said = imported
    assert "leak: 1 of the 3 clips of test are of videos that train has too (kept as released" in said
    (fault,) = verify(out)
    assert fault.what == "video ccccccccccc is in 2 splits: it leaks"
    frames = {"keep": Counter(Dataset(out).table()["split"].to_pylist())}
    for policy in ("drop", "move"):
        told = run(release, "--out", tmp_path / policy, "--may-drop", 0.7, "--leaks", policy)
        assert "1 of the 3 clips of test" in told
        assert verify(str(tmp_path / policy)) == []
        dataset = Dataset(str(tmp_path / policy))
        frames[policy] = Counter(dataset.table()["split"].to_pylist())
        assert dataset.manifest.funnel[1]["rejected"].get("split_leak", 0) == (5 if policy == "drop" else 0)
    assert frames["drop"] == frames["keep"] - Counter(train=5)
    assert frames["move"] == frames["drop"] + Counter(test=5)
    moved = {row["clip_id"]: row["official_split"] for row in dataset.table("pool.parquet").to_pylist()}
    assert moved["avsbench_avss:v1m/ccccccccccc#0"] == "train"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda record: record.update(category="woman"), "is not what the record says|of other classes"),
        (lambda record: record["sources"][0].update(gain_db=1.5), "whose clip is changed"),
        (lambda record: record["sources"][0].update(area_px=1), "a recording of 1 pixels, with a mask of"),
    ],
)
def test_a_recording_that_contradicts_itself_is_found(imported, tmp_path, change, text):
    shutil.copytree(imported[0], tmp_path / "a")
    for sample in Dataset(imported[0]).samples("test"):
        if sample.record["category"] == "violin+woman":
            break

    def edit(members):
        record = json.loads(members[sample.key]["json"])
        change(record)
        members[sample.key]["json"] = format.json_bytes(record)

    edit_members(tmp_path / "a", "samples.parquet", edit)
    assert any(re.search(text, fault.what) for fault in verify(str(tmp_path / "a")))


@pytest.mark.parametrize(
    ("name", "video"),
    [
        ("-_wznbUu3DY", "-_wznbUu3DY"), ("xv7eM6-UmkY_36", "xv7eM6-UmkY"), ("a_2345678_1_0_5000", "a_2345678_1"),
        ("baby_dog_2_1", "baby_dog_2_1"), ("abc", "abc"),
    ],
)  # fmt: skip
def test_a_video_is_known_by_the_first_eleven_characters(name, video):
    assert leaks.youtube_id(name) == video


@pytest.mark.skipif(not (DATA / "avsbench").is_dir(), reason="no shared/data/avsbench")
def test_the_leaks_of_ms3_are_the_published_ones(tmp_path):
    source = DATA / "avsbench" / "ms3_meta_data.csv"
    (tmp_path / source.name).write_bytes(source.read_bytes())
    found = avsbench.read(str(tmp_path))
    told = leaks.settle(found, "keep")
    assert told[0].startswith("41 of the 64 clips of val are of videos that train has")
    assert told[1].startswith("38 of the 64 clips of test are of videos that train has")
    leaks.settle(found, "drop")
    assert leaks.settle(found, "keep") == []
    assert {row["reason"] for row in found.rejections} == {"split_leak"}
    assert sum(one.split == "test" for one in found.samples) == 64 * 5


def test_a_palette_png_is_read_by_its_indices_where_its_colours_agree(tmp_path):
    from pipelines.imports import class_masks
    from shards.rejections import Rejected

    values = np.zeros((4, 6), np.uint8)
    values[1:3, 1:4] = 9
    image = Image.fromarray(values).convert("P")
    right = [channel for number in range(256) for channel in avss_folder.palette(number)]
    for name, palette in (("right", right), ("wrong", right[3:] + right[:3])):
        image.putpalette(palette)
        image.save(tmp_path / f"{name}.png")
    assert np.array_equal(class_masks.read(str(tmp_path / "right.png"), "none", 70, 1000), values)
    with pytest.raises(Rejected, match="its palette shows its values as other classes' colours"):
        class_masks.read(str(tmp_path / "wrong.png"), "none", 70, 1000)
    Image.fromarray(np.where(values, np.uint8(255), values)).save(tmp_path / "open.png")
    with pytest.raises(Rejected, match="no class, only 6 pixels of 255"):
        class_masks.read(str(tmp_path / "open.png"), "none", 70, 1000)


def test_another_list_of_classes_is_refused(release, tmp_path):
    for first, right in ((0, True), (1, True), (2, False)):
        (tmp_path / "label2idx.json").write_text(
            json.dumps({name: first + place for place, name in enumerate(["background", *CLASSES])})
        )
        (tmp_path / "metadata.csv").write_bytes((release / "metadata.csv").read_bytes())
        if right:
            assert len(avss.read(str(tmp_path)).samples) == 62
        else:
            assert "does not number background and the 70 classes" in run(
                tmp_path, "--out", tmp_path / "o", ok=False
            )


NEGATIVES = "vid,uid,orig_a_obj,s_min,s_sec,split,label,neg_a_obj,use_noise,use_silent,use_offscreen,neg_vggish_emb_dir"


def test_the_negatives_of_ease_are_photos_under_other_sounds(tmp_path):
    root = avss_folder.write(
        tmp_path / "avss",
        [
            clip("v1s", "test", "aaaaaaaaaaa_0_5000", "dog"),
            clip("v1s", "test", "bbbbbbbbbbb_0_5000", "guitar"),
            clip("v1s", "test", "bbbbbbbbbbb_9000_14000", "cat"),
            clip("v1s", "val", "ccccccccccc_0_5000", "cat"),
            clip("v1s", "test", "ddddddddddd_0_5000", "man_cat"),
        ],
    )
    a, b, again, val, both = (f"{letter * 11}_{times}" for letter, times in (
        ("a", "0_5000"), ("b", "0_5000"), ("b", "9000_14000"), ("c", "0_5000"), ("d", "0_5000")))  # fmt: skip
    row = "{vid},{uid},{seen},0,0,{split},v1s,{heard},{flags},/data/avs/v1s/{other}\n"
    yes = {"noise": "True,False,False", "silent": "False,True,False", "off": "False,False,True"}

    def line(uid, seen, heard, flags, other, split="test"):
        return row.format(
            vid=uid[:11],
            uid=uid,
            seen=seen,
            split=split,
            heard=heard,
            flags=yes.get(flags, flags),
            other=other,
        )

    good = [
        line(a, "dog", "background", "silent", "negative_samples/silent_audio"),
        line(a, "dog", "background", "noise", "negative_samples/random_audio_3"),
        line(a, "dog", "guitar", "off", b),
    ]
    bad = {
        line(a, "cat", "guitar", "off", b): "bad_row",
        line(a, "dog", "cat", "off", b): "bad_row",
        line("x" * 11, "dog", "guitar", "off", b): "bad_row",
        line(a, "dog", "guitar", "True,False,True", b): "bad_row",
        line(a, "dog", "guitar", "off", "nowhere"): "bad_row",
        line(a, "dog", "cat", "off", val): "no_clip",
        line(a, "dog", "man_cat", "off", both): "several_sounds",
        line(again, "cat", "guitar", "off", b): "not_surely_absent",  # of one video
        line(both, "man_cat", "cat", "off", again): "not_surely_absent",
    }
    listed = tmp_path / "neg_metadata.csv"
    listed.write_text("".join([NEGATIVES, "\n", good[0], NEGATIVES, "\n", *good[1:], *bad]))
    out = tmp_path / "out"
    run(root, "--out", out, "--negatives", listed, "--may-drop", 0.5)
    assert verify(str(out)) == []
    dataset = Dataset(str(out))
    samples = {sample.record["sample_id"]: sample for sample in dataset.samples("test")}
    photo = f"avsbench_avss:v1s/{a}"
    kinds = Counter(sample.record["kind"] for sample in samples.values())
    assert kinds == {"recording": 20, "silence": 5, "noise": 5, "off_screen": 5}
    clips = {row["clip_id"]: row for row in dataset.table(format.POOL_TABLE).to_pylist()}
    for frame in range(5):
        of = {s.record["kind"]: s for s in samples.values() if s.record["image"]["id"] == f"{photo}#{frame}"}
        sounds = {kind: soundfile.read(io.BytesIO(s.flac), dtype="int16")[0] for kind, s in of.items()}
        assert not sounds["silence"].any()
        assert abs(20 * np.log10(np.std(sounds["noise"] / 32768)) + 25) < 0.1
        heard = dataset.read_member(clips[f"avsbench_avss:v1s/{b}#{frame}"], "flac")
        np.testing.assert_array_equal(
            sounds["off_screen"], soundfile.read(io.BytesIO(heard), dtype="int16")[0]
        )
        assert of["off_screen"].record["sources"][0]["category"] == "guitar"
        assert len({s.jpg for s in of.values()}) == 1
        for kind in ("silence", "noise", "off_screen"):
            assert not np.array(Image.open(io.BytesIO(of[kind].mask_png))).any()
        assert np.array(Image.open(io.BytesIO(of["recording"].mask_png))).any()
    rejected = [
        row for row in dataset.table("rejections.parquet").to_pylist() if "neg_metadata" in row["item"]
    ]
    told = {int(row["item"].rpartition(":")[2]): row["reason"] for row in rejected}
    assert told == dict(enumerate(bad.values(), start=6))
    assert "--negatives is for avsbench" in run(
        root, "--out", out, "--negatives", listed, "--leaks", "drop", ok=False
    )
