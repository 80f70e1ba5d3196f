"""The layouts of VPO and AVSBench-semantic, read by loaders that were written from their descriptions alone."""

import csv
import io
import json
from collections import defaultdict
from pathlib import Path

import generated_shards
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from PIL import Image

from pipelines.cli import main
from pipelines.imports.vpo import CLASSES
from pipelines.publish import exports
from shards import format
from shards.reader import Dataset
from shards.verify import verify


@pytest.fixture(scope="module")
def stereo(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Scenes of classes that VPO has, too."""
    names = zip(("bird", "cat", "dog"), generated_shards.CATEGORIES.values(), strict=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(generated_shards, "CATEGORIES", dict(names))
        return generated_shards.write_scenes(tmp_path_factory.mktemp("scenes"), channels=2)


def read_vpo(root: Path, subset: str) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray, str]]:
    """Image -> photo, mask, (samples, 2) sound, split; as the three loaders of CAVP read them."""
    folder = root / "VPO" / subset
    scenes = defaultdict(list)
    with open(folder / f"{subset.lower().replace('-', '_')}_data_stereo.csv", newline="") as file:
        for row in csv.DictReader(file):
            scenes[row["img_Id"]].append(row)
    found = {}
    for image, sources in scenes.items():
        assert len(image) == 12
        photo = np.asarray(Image.open(folder / "data" / f"{image}.jpg"))
        mask = np.asarray(Image.open(folder / "mask" / f"{image}.png"))
        total = np.zeros((48_000, 2))
        for row in sources:
            wave, rate = soundfile.read(
                root / "vggsound_bench" / "VGGSound" / "audios" / f"{row['vgg_file']}.wav"
            )
            assert (rate, wave.ndim) == (16_000, 1)
            middle = (
                np.resize(wave, 48_000) if len(wave) < 48_000 else wave[(len(wave) - 48_000) // 2 :][:48_000]
            )
            place = float(row["audio_pos"])
            total += np.stack([(1 - place) * middle, place * middle], axis=1)
        found[image] = (photo, mask, total, sources[0]["split"])
    return found


def test_a_loader_of_vpo_hears_and_sees_the_scenes(stereo: str, tmp_path: Path) -> None:
    numbers = {"bird": 16, "cat": 17, "dog": 18}  # COCO's
    number, left_out = exports.export(Dataset(stereo), "vpo", str(tmp_path), lambda *_: None)
    assert (number, sum(left_out.values())) == (4, 6)
    assert set(left_out) == {
        f"{kind}: VPO has no such samples" for kind in ("silence", "noise", "off_screen")
    }
    found = read_vpo(tmp_path, "VPO-MS")
    samples = [one for one in Dataset(stereo).samples() if one.record["kind"] in ("single", "mixture")]
    assert len(found) == len(samples)
    by_photo = {
        (tmp_path / "VPO/VPO-MS/data" / f"{image}.jpg").read_bytes(): one for image, one in found.items()
    }
    for sample in samples:
        photo, mask, sound, split = by_photo[sample.jpg]
        assert split == "train"
        assert photo.shape[:2] == mask.shape
        classes = np.asarray(Image.open(io.BytesIO(sample.classes_png)))
        expected = np.zeros(classes.shape, int)
        for place, name in enumerate(Dataset(stereo).manifest.classes, start=1):
            expected[classes == place] = numbers[name]
        expected[classes == format.IGNORE] = 255
        assert (mask == expected).all()
        heard, _ = soundfile.read(
            io.BytesIO(sample.flac)
        )  # 1.5 s, with a delay between the ears that VPO has not
        for source in sample.record["sources"]:
            assert source["delay"] < 0
        late = -sample.record["sources"][0]["delay"]
        assert np.abs(sound[:24_000, 0] - heard[:, 0]).max() < 1e-4
        assert np.abs(sound[: 24_000 - late, 1] - heard[late:, 1]).max() < 1e-4


def test_a_loader_of_avsbench_semantic_sees_the_classes(stereo: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["export", stereo, "--format", "avss", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    numbers = json.loads((tmp_path / "label2idx.json").read_text())
    assert numbers == {"background": 0, "bird": 1, "cat": 2, "dog": 3}
    with open(tmp_path / "metadata.csv", newline="") as file:
        rows = {row["vid"]: row for row in csv.DictReader(file)}
    samples = list(Dataset(stereo).samples())
    assert len(rows) == len(samples)
    for sample in samples:
        row = rows[sample.key[:11]]
        folder = tmp_path / row["label"] / row["uid"]
        assert len(list((folder / "frames").iterdir())) == 5
        assert (folder / "frames" / "0.jpg").read_bytes() == sample.jpg
        semantic = np.asarray(Image.open(folder / "labels_semantic" / "0.png"))
        classes = np.asarray(Image.open(io.BytesIO(sample.classes_png)))
        assert (semantic == np.where(classes == 255, 0, classes)).all()
        colours = np.asarray(Image.open(folder / "labels_rgb" / "0.png").convert("RGB"))
        for number, colour in ((0, (0, 0, 0)), (1, (128, 0, 0)), (2, (0, 128, 0)), (3, (128, 128, 0))):
            assert ((colours == colour).all(axis=2) == (semantic == number)).all()
        heard = {"off_screen": "off-the-screen", "silence": "background", "noise": "background"}
        assert row["a_obj"] == (sample.record["category"].replace("+", "_") or heard[sample.record["kind"]])
        wave, rate = soundfile.read(folder / "audio.wav", dtype="int16")
        flac, _ = soundfile.read(io.BytesIO(sample.flac), dtype="int16")
        assert (rate, wave.shape) == (16_000, (80_000,))
        assert np.abs(wave[:24_000] - flac.mean(axis=1)).max() <= 1


def test_what_a_layout_cannot_hold_is_refused(dataset: str, stereo: str, tmp_path: Path) -> None:
    refusals = [
        ("vpo", dataset, "holds no scenes"),
        ("vpo", generated_shards.write_scenes(tmp_path / "bells"), "nothing of VPO's 21 classes"),
        ("avss", dataset, "no class masks"),
    ]
    for layout, source, said in refusals:
        out = str(tmp_path / f"{layout} {said}")
        result = CliRunner().invoke(main, ["export", source, "--format", layout, "--out", out])
        assert result.exit_code == 1
        assert said in result.output


def test_vpo_comes_back_as_it_went_out(stereo: str, tmp_path: Path) -> None:
    exports.export(Dataset(stereo), "vpo", str(tmp_path / "out"), lambda *_: None)
    result = CliRunner().invoke(
        main, ["import", "vpo", str(tmp_path / "out"), "--out", str(tmp_path / "back")]
    )
    assert result.exit_code == 0, result.output
    assert verify(str(tmp_path / "back")) == []
    released = read_vpo(tmp_path / "out", "VPO-MS")
    back = list(Dataset(str(tmp_path / "back")).samples())
    before = {
        one.jpg: one for one in Dataset(stereo).samples() if one.record["kind"] in ("single", "mixture")
    }
    assert len(back) == len(before) == len(released)
    for sample in back:
        image = sample.record["image"]["id"].split(":")[1]
        _, _, sound, _ = released[image]
        heard, _ = soundfile.read(io.BytesIO(sample.flac))
        assert np.abs(heard - sound * sample.record["sound"]["scale"]).max() < 3 / 32768
        was = before[sample.jpg].record
        assert (sample.record["kind"], sample.record["category"]) == (was["kind"], was["category"])
        assert [one["pan"] for one in sample.record["sources"]] == [one["pan"] for one in was["sources"]]
        numbers, own = (
            np.asarray(Image.open(io.BytesIO(one.classes_png))) for one in (sample, before[sample.jpg])
        )
        for place, name in enumerate(("bird", "cat", "dog"), start=1):
            assert ((numbers == CLASSES.index(name) + 1) == (own == place)).all()


def test_vpo_s_regrouped_copy_is_read_as_recordings(stereo: str, tmp_path: Path) -> None:
    lines = ["uid,frame,mask,category,split,type"]
    mixtures = [one for one in Dataset(stereo).samples() if one.record["kind"] == "mixture"]
    for number, sample in enumerate(mixtures):
        folder = tmp_path / "copy" / "v2" / f"scene{number}"
        for name in ("frames", "labels_semantic"):
            (folder / name).mkdir(parents=True)
        (folder / "frames" / "0.jpg").write_bytes(sample.jpg)
        own = np.asarray(Image.open(io.BytesIO(sample.classes_png)))
        numbers = np.where(own == 255, 255, np.where(own > 0, own + CLASSES.index("bird"), 0)).astype(
            np.uint8
        )
        numbers[own == 2], numbers[own == 3] = CLASSES.index("cat") + 1, CLASSES.index("dog") + 1
        Image.fromarray(numbers).save(folder / "labels_semantic" / "0.png")
        soundfile.write(
            folder / "mono_audio.wav", soundfile.read(io.BytesIO(sample.flac))[0].mean(axis=1), 16_000
        )
        heard = [CLASSES.index(name) + 1 for name in sample.record["category"].split("+")]
        lines.append(f'scene{number},0.jpg,0.png,"{heard}",train,v2')
    lines += ["scene9,0.jpg,0.png,[99],train,v2", "scene9,0.jpg,0.png,birds,train,v2"]
    (tmp_path / "copy" / "vpo_data_clean.csv").write_text("\n".join(lines) + "\n")
    out = str(tmp_path / "out")
    result = CliRunner().invoke(
        main, ["import", "vpo", str(tmp_path / "copy"), "--out", out, "--may-drop", "1"]
    )
    assert result.exit_code == 0, result.output
    assert verify(out) == []
    found = list(Dataset(out).samples())
    assert {one.record["kind"] for one in found} == {"recording"}
    assert sorted(one.record["category"] for one in found) == sorted(
        one.record["category"] for one in mixtures
    )
    reasons = Dataset(out).table(format.REJECTIONS)["reason"].to_pylist()
    assert reasons == ["bad_row", "bad_row"]
