"""Semantic segmentation: metrics against plain loops over pixels, the head's sizes, and what it begins from."""

import math

import numpy as np
import pytest
import torch
from alone import ALONE, Quiet
from generated_shards import write_dataset
from torch import nn

from avs_train import checkpoints, loop
from avs_train import config as configuration
from avs_train.losses import IGNORED, semantic_loss
from avs_train.models import ModelConfig, build_model, trainable_parameters
from avs_train.run_folder import RunError
from avs_train.semantic_metrics import VARIANTS, count_classes, summary

CLASSES = 6


def frames(seed=0, n=8, size=9):
    """Predictions that follow the truth loosely; the last class is never seen; two frames pad a clip."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, CLASSES - 1, (n, size, size))
    truth[rng.random(truth.shape) < 0.4] = 0
    predicted = np.where(rng.random(truth.shape) < 0.5, truth, rng.integers(0, CLASSES - 1, truth.shape))
    truth[rng.random(truth.shape) < 0.05] = IGNORED
    predicted[0] = 0
    truth[0] = 0
    valid = np.ones(n, bool)
    valid[[5, 7]] = False
    truth[~valid] = 0
    return predicted, truth, valid


def plain(predicted, truth, valid, variant):
    """The definition, a pixel at a time."""
    chosen = [i for i in range(len(truth)) if variant == "avss_official" or valid[i]]
    groups = [chosen] if variant == "dataset" else [[i] for i in chosen]
    ious = {k: [] for k in range(CLASSES)}
    fs = {k: [] for k in range(CLASSES)}
    for group in groups:
        for k in range(CLASSES):
            hit = p = t = 0
            for i in group:
                for y in range(truth.shape[1]):
                    for x in range(truth.shape[2]):
                        if truth[i, y, x] == IGNORED:
                            continue
                        p += predicted[i, y, x] == k
                        t += truth[i, y, x] == k
                        hit += predicted[i, y, x] == k and truth[i, y, x] == k
            if p + t == 0:
                continue
            ious[k].append(hit / (p + t - hit))
            precision, recall = hit / p if p else math.nan, hit / t if t else math.nan
            below = 0.3 * precision + recall
            fs[k].append(1.3 * precision * recall / below if below else math.nan)
    if variant == "dataset":
        defined = [f for k in range(CLASSES) for f in fs[k] if not math.isnan(f)]
        return sum(v[0] if v else 0 for v in ious.values()) / CLASSES, sum(defined) / len(defined)
    iou = [sum(ious[k]) / len(ious[k]) if ious[k] else 0.0 for k in range(CLASSES)]
    f = [sum(0 if math.isnan(v) else v for v in fs[k]) / len(fs[k]) if fs[k] else 0.0 for k in range(CLASSES)]
    first = 0 if variant == "avss_official" else 1
    return np.mean(iou[first:]), np.mean(f[first:])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seed", [0, 1])
def test_each_variant_is_its_definition(variant, seed):
    predicted, truth, valid = frames(seed)
    counts = count_classes(
        *(torch.from_numpy(x) for x in (predicted, truth)), CLASSES, torch.from_numpy(valid)
    )
    found = summary(counts, variant)
    assert (found["mJ"], found["F"]) == pytest.approx(plain(predicted, truth, valid, variant), abs=1e-12)
    assert found["seen"] == CLASSES - 1 - (variant == "avss_valid_frames")


def test_the_variants_differ_and_frames_may_come_in_parts():
    predicted, truth, valid = (torch.from_numpy(x) for x in frames())
    whole = count_classes(predicted, truth, CLASSES, valid)
    parts = [
        count_classes(predicted[i : i + 3], truth[i : i + 3], CLASSES, valid[i : i + 3]) for i in (0, 3, 6)
    ]
    for name in ("predicted", "true", "both", "valid"):
        assert np.array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(whole, name))
    assert len({round(summary(whole, variant)["mJ"], 6) for variant in VARIANTS}) == 3
    with pytest.raises(ValueError, match="avss_official, avss_valid_frames, dataset"):
        summary(whole, "best")


def test_the_originals_no_background_leaves_out_the_last_class():
    """Perfect but for the last class, which is predicted nowhere: without it all is 1."""
    truth = torch.arange(CLASSES).repeat(6).view(1, 6, 6)
    predicted = truth.clone()
    predicted[truth == CLASSES - 1] = 0
    predicted[0, :, 0] = 0  # stays right: these are background
    found = summary(count_classes(predicted, truth, CLASSES, torch.tensor([True])), "avss_official")
    assert found["no_background"]["mJ"] == pytest.approx((0.5 + 4) / 5)
    assert found["mJ"] == pytest.approx((0.5 + 4) / 6)


def test_a_perfect_model_gets_what_its_classes_allow():
    truth = torch.tensor([[[1, 2], [3, 0]]])
    found = {v: summary(count_classes(truth, truth, 71, torch.tensor([True])), v) for v in VARIANTS}
    assert found["avss_official"]["mJ"] == pytest.approx(4 / 71)
    assert found["avss_valid_frames"]["mJ"] == pytest.approx(3 / 70)
    assert (found["dataset"]["mJ"], found["dataset"]["F"]) == pytest.approx((4 / 71, 1.0))


def test_the_loss_is_its_definition():
    torch.manual_seed(0)
    logits = torch.randn(2, CLASSES, 4, 4)
    classes = torch.randint(0, CLASSES, (2, 8, 8)).to(torch.uint8)
    classes[:, :2, :2] = IGNORED
    target = classes[:, 1::2, 1::2].long().numpy()
    p = logits.softmax(1).numpy().astype(np.float64)
    entropy, ious = [], []
    for b in range(2):
        own = []
        for y in range(4):
            for x in range(4):
                if target[b, y, x] != IGNORED:
                    entropy.append(-np.log(p[b, target[b, y, x], y, x]))
        for k in range(CLASSES):
            true, known = target[b] == k, target[b] != IGNORED
            if true.any():
                hit = (p[b, k] * true).sum()
                own.append(hit / ((p[b, k] * known).sum() + true.sum() - hit))
        ious.append(np.mean(own))
    assert semantic_loss(logits, classes, 1, 0).item() == pytest.approx(np.mean(entropy), rel=1e-5)
    assert semantic_loss(logits, classes, 2, 3).item() == pytest.approx(
        2 * np.mean(entropy) + 3 * (1 - np.mean(ious)), rel=1e-5
    )


def test_seventy_one_classes_add_a_token_each():
    config = configuration.load("sama_avs_avss").model
    with torch.device("meta"):
        semantic, binary = build_model(config), build_model(ModelConfig())
        logits = semantic.mask_decoder(
            torch.empty(2, 256, 64, 64), semantic.prompt_encoder.positions(), torch.empty(2, 0, 256),
            semantic.prompt_encoder.no_mask(),
        )  # fmt: skip
    assert logits.shape == (2, 71, 256, 256)

    def count(model: nn.Module) -> int:
        return sum(p.numel() for p in model.parameters()) - sum(
            p.numel() for p in model.image_encoder.parameters()
        )

    assert count(semantic) - count(binary) == 71 * 256 == 18_176
    assert count(semantic) == 6_846_948


def test_every_trained_parameter_of_the_semantic_model_gets_a_gradient():
    torch.manual_seed(0)
    model = build_model(ModelConfig(size="tiny", image_size=64, classes=CLASSES))
    logits = model(torch.randn(2, 3, 64, 64), torch.rand(2, 128))
    semantic_loss(logits, torch.randint(0, CLASSES, (2, 64, 64))).backward()
    for name, parameter in trainable_parameters(model).items():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_classes_begin_from_the_single_mask(tmp_path):
    torch.manual_seed(0)
    sam = build_model(ModelConfig("sam", "tiny", 64)).state_dict()
    checkpoints.write(tmp_path / "sam.pth", sam, {})
    model = build_model(ModelConfig(size="tiny", image_size=64, classes=CLASSES))
    checkpoints.load_sam(model, tmp_path / "sam.pth")
    tokens, single = model.mask_decoder.class_tokens.weight, sam["mask_decoder.mask_tokens.weight"][0]
    assert (tokens - single).abs().max() < 0.6 * single.std()
    assert len({round(float(token.sum()), 5) for token in tokens}) == CLASSES


def test_binary_masks_do_not_train_classes(tmp_path):
    data = write_dataset(tmp_path / "data", {"train": 4, "val": 2}, size=64)
    settings = configuration.load("tiny", ["model.classes=6", "train.batch_size=2"])
    with pytest.raises(RunError, match=r"tells 6 classes, and the masks of .* say only what sounds"):
        loop.fit(settings, data, tmp_path / "run", ALONE, Quiet())
    assert ModelConfig("ap_sam", classes=6).faults() == [
        "classes=6: only sama tells classes; leave it out for ap_sam"
    ]
    assert "2 to 255" in ModelConfig(classes=1).faults()[0]
