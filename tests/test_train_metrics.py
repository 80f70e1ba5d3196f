"""mJ and mF against a plain numpy transcription of their definitions."""

import numpy as np
import pytest
import torch

from avs_train.evaluate import video_of
from avs_train.losses import mask_loss, soft_iou, upsample
from avs_train.metrics import VARIANTS, mean_f, mean_iou, score_frames

RNG = np.random.default_rng(0)


def frames(n=22, size=24):
    """Logits that follow the truth loosely, some frames without an object."""
    truth = np.zeros((n, size, size), np.uint8)
    for i in range(n):
        if i % 5 != 3:
            y, x = RNG.integers(0, size - 8, 2)
            truth[i, y : y + 8, x : x + 8] = 1
    logits = (truth * 2.0 - 1 + RNG.normal(0, 1.5, truth.shape)).astype(np.float32)
    return logits, truth


def plain_mj(logits, truth):
    values = []
    for z, g in zip(logits, truth, strict=True):
        p = 1 / (1 + np.exp(-z.astype(np.float64))) > 0.5
        if g.sum() == 0:
            values.append(np.sum(~p) / g.size)
        else:
            values.append(np.sum(p & (g == 1)) / np.sum(p | (g == 1)))
    return np.mean(values)


def plain_f_curve(values, truth):
    curve = []
    for threshold in np.linspace(0, 1 - 1e-10, 255).astype(np.float32):
        predicted = values >= threshold
        correct = np.sum(predicted & (truth == 1))
        precision, recall = correct / (predicted.sum() + 1e-20), correct / (truth.sum() + 1e-20)
        f = 1.3 * precision * recall / (0.3 * precision + recall) if precision + recall else 0.0
        curve.append(f)
    return np.array(curve)


def plain_mf(logits, truth, groups, sigmoid, empty_counts=True):
    values = torch.from_numpy(logits).sigmoid().numpy() if sigmoid else logits
    maxima = []
    for group in dict.fromkeys(groups):
        members = [i for i, each in enumerate(groups) if each == group and truth[i].any()]
        if members:
            maxima.append(np.mean([plain_f_curve(values[i], truth[i]) for i in members], axis=0).max())
        elif empty_counts:
            maxima.append(0.0)
    return np.mean(maxima)


def test_mj_is_the_mean_of_per_frame_iou():
    logits, truth = frames()
    scores = score_frames(torch.from_numpy(logits), torch.from_numpy(truth))
    assert mean_iou(scores) == pytest.approx(plain_mj(logits, truth), abs=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
def test_mf_in_each_variant(variant):
    logits, truth = frames()
    truth[10:20] = 0  # videos 5 to 9, and with them the second half of group 1 and the first of group 2
    truth[0:8] = 0  # group 0
    videos = [f"v{i // 2}" for i in range(len(logits))]  # 11 videos of 2 frames
    groups = {
        "avsbench": [i // 8 for i in range(22)],
        "sama": [i // 2 for i in range(22)],
        "dataset": [0] * 22,
    }
    source = variant.removesuffix("_nonempty")
    scores = score_frames(torch.from_numpy(logits), torch.from_numpy(truth))
    expected = plain_mf(
        logits, truth, groups[source], sigmoid=source != "sama", empty_counts=variant == source
    )
    assert mean_f(scores, videos, variant) == pytest.approx(expected, abs=1e-9)


def test_a_video_without_any_object_counts_as_nothing_in_the_originals():
    """8 videos of 5 frames, one of them empty: 7/8 of what the other videos alone give."""
    logits, truth = frames(40)
    truth[truth.sum((1, 2)) == 0, 4:9, 4:9] = 1
    truth[15:20] = 0
    videos = [f"v{i // 5}" for i in range(40)]
    scores = score_frames(torch.from_numpy(logits), torch.from_numpy(truth))
    assert mean_f(scores, videos, "sama") == pytest.approx(7 / 8 * mean_f(scores, videos, "sama_nonempty"))
    assert mean_f(scores, videos, "avsbench") == mean_f(
        scores, videos, "avsbench_nonempty"
    )  # 4 videos a group
    empty = score_frames(torch.from_numpy(logits), torch.zeros(40, 24, 24))
    assert mean_f(empty, videos, "sama") == 0
    assert np.isnan(mean_f(empty, videos, "dataset"))


def test_samples_of_one_photo_are_scored_alone_and_frames_of_one_video_together():
    photo = (
        ("avs_synthetic:lvis_12", "avs_synthetic:lvis_12|cat"),
        ("avs_synthetic:lvis_12", "avs_synthetic:lvis_12|dog"),
    )
    assert len({video_of(*ids) for ids in photo}) == 2
    frame = ("avsbench_s4:abc#1", "avsbench_s4:abc#1|dog|1"), ("avsbench_s4:abc#2", "avsbench_s4:abc#2|dog|2")
    assert {video_of(*ids) for ids in frame} == {"avsbench_s4:abc"}


def test_the_variants_differ():
    logits, truth = frames()
    truth[:4] = 0
    videos = [f"v{i}" for i in range(len(logits))]
    scores = score_frames(torch.from_numpy(logits), torch.from_numpy(truth))
    assert len({round(mean_f(scores, videos, variant), 6) for variant in VARIANTS}) == len(VARIANTS)


def test_batches_and_order_change_nothing():
    logits, truth = (torch.from_numpy(each) for each in frames())
    whole = score_frames(logits, truth)
    parts = [score_frames(logits[i : i + 5], truth[i : i + 5]) for i in range(0, 22, 5)]
    for name in ("iou", "has_object", "f_sigmoid", "f_logits"):
        assert np.array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(whole, name))


def test_curves_are_left_out_where_nobody_asks():
    logits, truth = (torch.from_numpy(each) for each in frames())
    scores = score_frames(logits, truth, curves=False)
    assert mean_iou(scores) == mean_iou(score_frames(logits, truth))
    assert scores.f_sigmoid.shape == scores.f_logits.shape == (22, 0)


def test_a_perfect_mask_scores_one_and_a_missed_one_zero():
    truth = torch.zeros(2, 8, 8, dtype=torch.uint8)
    truth[:, 2:5, 2:5] = 1
    logits = torch.stack([truth[0] * 20.0 - 10, 10 - truth[1] * 20.0])
    scores = score_frames(logits, truth)
    assert scores.iou.tolist() == [1.0, 0.0]
    assert mean_f(scores.take([0]), ["a"]) == pytest.approx(1.0)


def test_an_unknown_variant_is_refused():
    with pytest.raises(ValueError, match="sama, avsbench, sama_nonempty, avsbench_nonempty, dataset"):
        mean_f(score_frames(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2)), ["a"], "best")


def test_the_loss_is_its_definition():
    logits, truth = frames(n=4)
    p, g = 1 / (1 + np.exp(-logits.astype(np.float64))), truth.astype(np.float64)
    bce = -(g * np.log(p) + (1 - g) * np.log(1 - p)).mean()
    missed = [
        1 - (a * b).sum() / (a + b - a * b).sum() if b.any() else 0.0 for a, b in zip(p, g, strict=True)
    ]
    z, m = torch.from_numpy(logits), torch.from_numpy(truth)
    assert mask_loss(z, m, 1, 0).item() == pytest.approx(bce, rel=1e-5)
    assert mask_loss(z, m, 0, 1).item() == pytest.approx(np.mean(missed), rel=1e-4)
    assert mask_loss(z, m, 2, 3).item() == pytest.approx(2 * bce + 3 * np.mean(missed), rel=1e-5)


def test_equal_parts_of_a_batch_add_up_to_its_loss():
    logits, truth = (torch.from_numpy(each) for each in frames(n=8))
    parts = [mask_loss(logits[i : i + 2], truth[i : i + 2]) / 4 for i in range(0, 8, 2)]
    assert sum(parts).item() == pytest.approx(mask_loss(logits, truth).item(), rel=1e-5)


def test_two_empty_masks_agree_and_gradients_stay_finite():
    logits = torch.full((1, 8, 8), -60.0, requires_grad=True)
    loss = mask_loss(logits, torch.zeros(1, 8, 8))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-4)
    assert torch.isfinite(logits.grad).all()
    assert soft_iou(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2)).item() == 1


def test_upsampling_keeps_the_corners_half_a_pixel_out():
    up = upsample(torch.tensor([[[[0.0, 4.0]] * 2]]), 4)
    assert torch.allclose(up[0, 0], torch.tensor([0.0, 1.0, 3.0, 4.0]))
