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
from pipelines.publish import export_avss, export_vpo, exports
from shards import format
from shards.reader import Dataset


@pytest.fixture(scope="module")
def stereo(tmp_path_factory: pytest.TempPathFactory) -> str:
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


def test_a_loader_of_vpo_hears_and_sees_the_scenes(
    stereo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = {"bell": ("bell", 5), "drum": ("drum", 94), "flute": ("flute", 16)}
    monkeypatch.setattr(export_vpo, "CLASSES", numbers)
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
            expected[classes == place] = numbers[name][1]
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
    assert numbers == {"background": 0, "bell": 1, "drum": 2, "flute": 3}
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
    assert len(set(map(tuple, export_avss.PALETTE.tolist()))) == 256
    assert export_avss.PALETTE[[15, 8, 255]].tolist() == [[192, 128, 128], [64, 0, 0], [224, 224, 192]]


def test_what_a_layout_cannot_hold_is_refused(dataset: str, stereo: str, tmp_path: Path) -> None:
    refusals = [
        ("vpo", dataset, "holds no scenes"),
        ("vpo", stereo, "nothing of VPO's 21 classes"),
        ("avss", dataset, "no class masks"),
    ]
    for layout, source, said in refusals:
        out = str(tmp_path / f"{layout} {said}")
        result = CliRunner().invoke(main, ["export", source, "--format", layout, "--out", out])
        assert result.exit_code == 1
        assert said in result.output
