"""AVSBench-semantic end to end: its folder, shards, training by class, and the three variants against plain numpy."""

import io
import json
import re
from dataclasses import replace

import avss_folder
import generated_shards
import numpy as np
import pytest
import soundfile
import torch
from alone import ALONE, Quiet
from avss_folder import CLASSES, clip
from click.testing import CliRunner
from PIL import Image
from pycocotools import mask as coco

from avs_train import assembly, cli, loop
from avs_train import config as configuration
from avs_train.audio import MelStatistics
from avs_train.data import decode
from avs_train.data.samples import open_split
from avs_train.models import normalise
from avs_train.run_folder import RunError
from avs_train.vggish import log_mel
from pipelines.imports import avsbench, dataset
from shards.reader import Dataset

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE, MEASURED = 64, 24
SMALL = [
    f"image_size={SIZE}",
    f"evaluate.resolution={MEASURED}",
    "epochs=1",
    "pictures=2",
    "train.batch_size=4",
]


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> str:
    """9 clips, 21 frames to train on and 20 to measure; in one clip nothing that is seen sounds."""
    folder = avss_folder.write(
        tmp_path_factory.mktemp("avss"),
        [
            *(clip("v1s", "train", f"{name * 11}_0_5000", "dog") for name in "ab"),
            *(clip("v1m", "train", f"{name * 11}_1", "guitar_woman") for name in "cd"),
            *(clip("v2", "train", f"{name * 11}_0_10000", "man") for name in "e"),
            clip("v1m", "val", "fffffffffff", "guitar_woman"),
            clip("v1s", "test", "ggggggggggg_0_5000", "dog"),
            clip("v1m", "test", "hhhhhhhhhhh", "man_off-the-screen", seen=""),
            clip("v2", "test", "iiiiiiiiiii_0_10000", "guitar_woman"),
        ],
    )
    out = str(tmp_path_factory.mktemp("shards") / "avss")
    dataset.write(avsbench.read(str(folder)), str(folder), out)
    return out


def called(*arguments: str) -> str:
    done = CliRunner().invoke(cli.main, list(arguments))
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def run(shards, tmp_path_factory) -> tuple[str, str]:
    """A run of one epoch, and what measuring it says."""
    run = str(tmp_path_factory.mktemp("run") / "tiny")
    called("fit", "tiny_avss", "--data", shards, "--out", run, *SMALL)
    return run, called("eval", run, "--data", shards)


def by_numpy(predicted: list[np.ndarray], truth: list[np.ndarray], pads: np.ndarray, pad_count: int) -> dict:
    """mJ and F of the three variants, a frame and a class at a time.

    pads: what is predicted for a padding frame, whose truth is background.
    """

    def frame(p, t, k):
        known = t != 255
        hit, p_k, t_k = (int((each & known).sum()) for each in ((p == k) & (t == k), p == k, t == k))
        if p_k + t_k == 0:
            return None
        precision, recall = hit / p_k if p_k else 0.0, hit / t_k if t_k else 0.0
        f = 1.3 * precision * recall / (0.3 * precision + recall) if hit else 0.0
        return hit / (p_k + t_k - hit), f

    def means(ps, ts, first):
        scores = []
        for k in range(first, 71):
            met = [found for p, t in zip(ps, ts, strict=True) if (found := frame(p, t, k)) is not None]
            scores.append(np.mean(met, axis=0) if met else (0.0, 0.0))
        return np.mean(scores, axis=0)

    padded = [*predicted, *[pads] * pad_count], [*truth, *[np.zeros_like(pads)] * pad_count]
    pooled = [frame(np.concatenate(predicted), np.concatenate(truth), k) for k in range(71)]
    met = [found for found in pooled if found and found[1] > 0]
    return {
        "avss_official": means(*padded, 0),
        "avss_valid_frames": means(predicted, truth, 1),
        "dataset": (sum(j for j, _ in filter(None, pooled)) / 71, np.mean([f for _, f in met])),
    }


def test_eval_prints_each_variant_as_plain_numpy_has_it(shards, tmp_path):
    """Of an untrained model, which predicts many classes."""
    out = str(tmp_path / "eval.json")
    said = called("eval", "tiny_avss", "--data", shards, "--out", out, "--robustness", *SMALL)
    settings = configuration.load("tiny_avss", SMALL)
    model = assembly.open_model(settings, torch.device("cpu")).eval()

    @torch.inference_mode()
    def predicted(photo: np.ndarray, bands: torch.Tensor) -> np.ndarray:
        heard = torch.cat([(bands.mean(0) + 2) / 2, bands.std(0)])
        logits = model(normalise(torch.from_numpy(photo).permute(2, 0, 1)[None]), heard[None])
        grown = torch.nn.functional.interpolate(logits, (MEASURED, MEASURED), mode="bilinear")
        return grown[0].numpy().argmax(axis=0)

    guesses, truths = [], []
    for sample in Dataset(shards).samples("test"):
        photo = np.empty((SIZE, SIZE, 3), np.uint8)
        decode.image(sample.jpg, photo)
        wave = torch.from_numpy(soundfile.read(io.BytesIO(sample.flac), dtype="float32")[0])
        guesses.append(predicted(photo, log_mel(wave)[0]))
        drawn = np.asarray(Image.open(io.BytesIO(sample.classes_png)))
        rows, columns = (
            np.floor((np.arange(MEASURED) + 0.5) * side / MEASURED).astype(int) for side in drawn.shape
        )
        truths.append(drawn[rows][:, columns])
    pads = predicted(np.zeros((SIZE, SIZE, 3), np.uint8), torch.zeros(96, 64))
    wanted = by_numpy(guesses, truths, pads, 10)
    assert len({int(number) for guess in guesses for number in np.unique(guess)}) > 5
    with open(out) as file:
        told = json.load(file)
    for variant, (mj, f) in wanted.items():
        found = told["summary"]["semantic"][variant]
        assert (found["mJ"], found["F"]) == pytest.approx((mj, f), abs=1e-9)
        assert f"{variant}: mJ {mj:.4f}, F {f:.4f}" in said
    assert "20 samples, 10 frames of padding in avss_official" in said
    assert re.search(r"swapped audio: mJ \d", said)
    assert told["robustness"]["mJ"]["true"] == pytest.approx(wanted["avss_valid_frames"][0])


def test_the_report_has_the_three_variants(run):
    said = called("report", run[0])
    assert "## By class" in said
    assert re.search(
        r"\| tiny_avss \| avsbench_avss \| test \|( \d+\.\d\d / 0\.\d{3} \|){3} 20 \| 24 px", said
    )


def test_predict_tells_classes(shards, run, tmp_path):
    sample = next(Dataset(shards).samples("train"))
    (tmp_path / "photo.jpg").write_bytes(sample.jpg)
    (tmp_path / "sound.flac").write_bytes(sample.flac)
    seen, sound, out = (str(tmp_path / name) for name in ("photo.jpg", "sound.flac", "m.json"))
    called("predict", seen, sound, "--model", "tiny_avss", "--masks", out, "image_size=64")
    with open(out) as file:
        (told,) = json.load(file)["masks"]
    masks = [coco.decode(coco.frPyObjects(each, *each["size"])) for each in told["classes"].values()]
    assert len(masks) > 2
    assert np.array_equal(sum(masks), coco.decode(coco.frPyObjects(told["segmentation"], 60, 72)))
    assert Image.open(tmp_path / "photo-overlay.png").size == (72, 60)
    assert assembly.class_names(assembly.open_settings(run[0])[0]) == CLASSES


def test_the_loader_reads_the_class_of_each_pixel(shards):
    settings = configuration.load("tiny_avss", ["image_size=64"])
    split = open_split(shards, "train")
    loader = assembly.open_loader(
        settings, split, assembly.open_embeddings(settings, torch.device("cpu")), ALONE.device
    )
    samples = {sample.key: sample for sample in Dataset(shards).samples("train")}
    seen = set()
    loader.augment_seed = None
    for batch in loader.evaluation(4):
        for key, mask in zip(batch.keys, batch.mask.numpy(), strict=True):
            drawn = np.asarray(Image.open(io.BytesIO(samples[key].classes_png)))
            rows, columns = (np.floor((np.arange(64) + 0.5) * side / 64).astype(int) for side in drawn.shape)
            assert np.array_equal(mask, drawn[rows][:, columns])
            seen |= set(np.unique(mask).tolist())
    assert seen == {0, *(1 + CLASSES.index(name) for name in ("dog", "guitar", "man", "woman"))}


def test_a_frame_of_padding_is_heard_as_bands_of_zeros():
    waveform = torch.randn(15600) * 0.1
    encoder = MelStatistics()
    assert torch.equal(encoder(waveform), encoder.of_bands(log_mel(waveform)))
    assert torch.equal(encoder.of_bands(torch.zeros(1, 96, 64)), torch.cat([torch.ones(64), torch.zeros(64)]))


def test_other_classes_than_the_datasets_are_refused(shards, run, tmp_path):
    with pytest.raises(
        RunError, match=r"tells 6 classes, and .* has 70 and background: say model\.classes=71"
    ):
        loop.fit(
            configuration.load("tiny_avss", ["model.classes=6"]), shards, tmp_path / "run", ALONE, Quiet()
        )
    other = generated_shards.write_scenes(tmp_path / "other", samples=5)
    settings, _ = assembly.open_settings(run[0])
    with pytest.raises(RunError, match=r"has 3 and background: say model\.classes=4"):
        assembly.refuse_other_classes(settings, open_split(other, "train"))
    with pytest.raises(RunError, match="was trained to tell other classes"):
        assembly.refuse_other_classes(
            settings, replace(open_split(shards, "test"), classes=(*CLASSES[1:], CLASSES[0]))
        )


def test_a_scene_is_heard_as_it_was_mixed(tmp_path):
    """Its sound is its own: two scenes of one clip do not sound alike, and none is drawn again."""
    data = generated_shards.write_scenes(tmp_path / "scenes")
    settings = configuration.load("tiny", ["model.classes=4", "data.audio=frozen", "image_size=64"])
    split = open_split(data, "train")
    loader = assembly.open_loader(
        settings, split, assembly.open_embeddings(settings, ALONE.device), ALONE.device
    )
    flacs = {sample.key: sample.flac for sample in Dataset(data).samples()}
    for batch in loader.evaluation(5):
        assert batch.clips == batch.keys
        for key in batch.keys:
            assert np.array_equal(batch.waveforms[key], decode.waveform(flacs[key]))
    with pytest.raises(RunError, match="does not say how they were mixed"):
        loop.fit(configuration.load("tiny", ["model.classes=4"]), data, tmp_path / "run", ALONE, Quiet())
