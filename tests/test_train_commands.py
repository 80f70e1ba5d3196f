"""The commands as a user calls them, on generated shards, in one process."""

import json

import cv2
import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner
from generated_shards import scene, spoil, write_dataset

from avs_train import cli
from avs_train.data.samples import open_split
from avs_train.display import RunDisplay
from avs_train.metrics import VARIANTS

SMALL = [
    "model.image_size=64",
    "epochs=1",
    "train.batch_size=4",
    "workers=1",
    "log_every=2",
    "validate_first=false",
]


def call(*arguments, ok=True):
    result = CliRunner().invoke(cli.main, [str(argument) for argument in arguments])
    if ok and result.exception:
        raise AssertionError(result.output) from result.exception
    return result.output


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    torch.set_num_threads(1)
    return write_dataset(tmp_path_factory.mktemp("data"), {"train": 8, "val": 3, "test": 6}, size=64)


@pytest.fixture(scope="module")
def run(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "tiny"
    said = call("fit", "tiny", "--data", dataset, "--out", out, *SMALL)
    assert "val mJ" in said
    assert f"avs-train eval {out}" in said
    return out


def test_a_run_leaves_curves_pictures_and_logs(run):
    assert cv2.imread(str(run / "curves.png")).shape[2] == 3
    assert cv2.imread(str(run / "pictures" / "00000002.png")) is not None
    assert list((run / "tensorboard").glob("events.out.tfevents.*"))
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert {"train/loss", "speed/images_per_s", "speed/data_wait", "speed/memory_gb"} <= lines[0].keys()
    assert any("val/mJ" in line for line in lines)


def test_eval_robustness_and_report(dataset, run, monkeypatch):
    steps = []
    monkeypatch.setattr(RunDisplay, "step", lambda display, step, values: steps.append(step))
    said = call("eval", run, "--data", dataset, "--robustness", "evaluate.resolution=48")
    assert "swapped audio: mJ" in said
    assert max(steps) == steps[-1] == 6 * 4  # the split, and again under each of three sounds
    result = json.loads((run / "eval-generated-test.json").read_text())
    assert result["summary"]["samples"] == 6
    assert result["resolution"] == 48
    assert set(result["summary"]["mF"]) == set(VARIANTS)
    counts = [each["samples"] for each in result["summary"]["categories"].values()]
    assert counts == [2, 2, 2]
    mean = np.mean([each["mJ"] for each in result["summary"]["categories"].values()])
    assert result["summary"]["mJ"] == pytest.approx(mean)
    assert 0 <= result["robustness"]["agreement"]["swapped"] <= 1
    report = call("report", run.parent)
    assert "| SAMA-AVS | avsbench_s4 | 81.53 | 0.886 | – | – | – | – |" in report
    assert "| tiny | generated | test |" in report
    assert "Does the mask follow the sound?" in report


def test_predict_draws_the_photo(run, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(scene(0, "x", 90, "bell")[0])
    sound = np.sin(np.arange(44100 * 2) * 0.05)[:, None] * np.ones((1, 2))
    soundfile.write(tmp_path / "sound.wav", sound, 44100)
    said = call(
        "predict",
        tmp_path / "photo.jpg",
        tmp_path / "sound.wav",
        "--model",
        run,
        "--mask",
        tmp_path / "m.png",
    )
    assert "covers" in said
    assert cv2.imread(str(tmp_path / "photo-overlay.png")).shape == (90, 90, 3)
    assert set(np.unique(cv2.imread(str(tmp_path / "m.png"), 0))) <= {0, 255}
    (tmp_path / "text.wav").write_text("no sound")
    said = call("predict", tmp_path / "photo.jpg", tmp_path / "text.wav", "--model", run, ok=False)
    assert "holds no sound that can be heard: audio_unreadable: no known kind" in said


def test_embed_fills_a_table_once_and_training_uses_it(dataset, run, tmp_path):
    table = tmp_path / "embeddings.parquet"
    assert "36 clips" in call("embed", "tiny", "--data", dataset, "--out", table)
    before = table.read_bytes()
    call("embed", "tiny", "--data", dataset, "--out", table)
    assert table.read_bytes() == before
    call("fit", "tiny", "--data", dataset, "--out", tmp_path / "run", *SMALL, f"embeddings={table}")
    weights = [(folder / "last" / "weights.safetensors").read_bytes() for folder in (run, tmp_path / "run")]
    assert weights[0] == weights[1]


def test_corrupt_samples_are_named_at_the_end(tmp_path, dataset):
    url = write_dataset(tmp_path / "data", {"train": 8, "val": 3}, size=64)
    key = open_split(url, "train").row(0).key
    spoil(url, key)
    said = call("fit", "tiny", "--data", url, "--out", tmp_path / "run", *SMALL, "corrupt_tolerance=0.2")
    assert f"corrupt sample {key}" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fit", "tiny", "--data", "nowhere"], "nowhere holds no manifest.json"),
        (["fit", "tinny", "--data", "x"], "did you mean tiny?"),
        (["fit", "tiny", "--data", "x", "lr=fast"], "train.lr = 'fast': expected float"),
        (["eval", "tiny", "--data", "nowhere"], "nowhere holds no manifest.json"),
        (["report", "/"], "no eval-"),
    ],
)
def test_bad_input_is_one_clear_error(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = [str(tmp_path) if argument == "/" else argument for argument in arguments]
    text = call(*arguments, ok=False)
    assert "\nError: " in f"\n{text}"  # before it stands what is about to happen
    assert said in text


def test_vggish_without_weights_is_refused(dataset, tmp_path):
    said = call("fit", "tiny", "--data", dataset, "--out", tmp_path, *SMALL, "audio.encoder=vggish", ok=False)
    assert "audio.checkpoint is empty" in said


def test_a_frozen_encoder_without_weights_is_refused(dataset, tmp_path):
    said = call("fit", "tiny", "--data", dataset, "--out", tmp_path, *SMALL, "train_encoder=false", ok=False)
    assert "train.sam_checkpoint is empty" in said


def test_help_lists_configurations_and_keys():
    assert "few_shot_10" in call("fit", "--help")
    assert "train.lr=0.0002" in call("fit", "--help")
