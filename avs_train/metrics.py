"""mJ and mF of audio-visual segmentation, in the variants that published numbers use.

A frame is measured once, on its own: its IoU and its F curve. Everything else is a mean of those, so the result does
not depend on batches, ranks or devices. The variants differ in what mF thresholds, where it takes the maximum, and
whether a group of videos without any object counts:

| variant             | thresholds  | maximum of the mean curve of  | a group without an object | as                |
|---------------------|-------------|-------------------------------|---------------------------|-------------------|
| `sama`              | the logits  | every video, then their mean  | counts as 0               | the released SAMA |
| `avsbench`          | the sigmoid | every 4 videos, then the mean | counts as 0               | AVSBench          |
| `sama_nonempty`     | the logits  | every video, then their mean  | is left out               | ours              |
| `avsbench_nonempty` | the sigmoid | every 4 videos, then the mean | is left out               | ours              |
| `dataset`           | the sigmoid | the whole set, once           | is left out               | ours              |

mJ is the same in all: sigmoid > 0.5, IoU per frame, mean over frames; a frame whose mask is empty scores its true
negatives / pixels. A frame with an empty mask never enters a curve. Never compare numbers of two variants.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch


@dataclass(frozen=True)
class Variant:
    """How one mF is made. videos: in a group, 0 for all. empty_counts: a group without an object scores 0."""

    logits: bool
    videos: int
    empty_counts: bool


VARIANTS = {
    "sama": Variant(logits=True, videos=1, empty_counts=True),
    "avsbench": Variant(logits=False, videos=4, empty_counts=True),
    "sama_nonempty": Variant(logits=True, videos=1, empty_counts=False),
    "avsbench_nonempty": Variant(logits=False, videos=4, empty_counts=False),
    "dataset": Variant(logits=False, videos=0, empty_counts=False),
}
THRESHOLDS = torch.linspace(0, 1 - 1e-10, 255, dtype=torch.float64).float()
_BETA2 = 0.3


@dataclass(frozen=True)
class FrameScores:
    """What each of n frames scores.

    iou: (n,) float64. has_object: (n,) bool, the true mask is not empty. marked: (n,) float64, the share of all pixels
    that is predicted. f_sigmoid, f_logits: (n, 255) float64, the F measure at each threshold; (n, 0) where it was not
    asked for.
    """

    iou: np.ndarray
    has_object: np.ndarray
    marked: np.ndarray
    f_sigmoid: np.ndarray
    f_logits: np.ndarray

    def take(self, rows: Sequence[int] | np.ndarray) -> "FrameScores":
        chosen = np.asarray(rows)
        return FrameScores(*(getattr(self, each.name)[chosen] for each in fields(self)))

    @staticmethod
    def joined(parts: Iterable["FrameScores"]) -> "FrameScores":
        """The frames of all parts, in their order."""
        found = list(parts)
        return FrameScores(
            *(np.concatenate([getattr(part, each.name) for part in found]) for each in fields(FrameScores))
        )


def score_frames(logits: torch.Tensor, mask: torch.Tensor, curves: bool = True) -> FrameScores:
    """Measure frames on whatever device they are on.

    Args:
        logits: (n, M, M) float32, any finite range.
        mask: (n, M, M) uint8 or bool, 0 or 1.
        curves: also the F curves, which cost more than all the rest.
    """
    truth = mask.bool()
    probability = logits.sigmoid()
    predicted = probability > 0.5
    intersection = (predicted & truth).sum((1, 2)).double()
    union = (predicted | truth).sum((1, 2)).double()
    has_object = truth.any(dim=2).any(dim=1)
    true_negative = (~predicted & ~truth).sum((1, 2)).double() / truth[0].numel()
    iou = torch.where(has_object, intersection / union.clamp(min=1), true_negative)
    return FrameScores(
        iou.cpu().numpy(),
        has_object.cpu().numpy(),
        (predicted.sum((1, 2)).double() / truth[0].numel()).cpu().numpy(),
        *(_f_curves(each, truth) if curves else np.empty((len(truth), 0)) for each in (probability, logits)),
    )


def mean_iou(scores: FrameScores) -> float:
    """mJ in [0, 1]; NaN for no frames."""
    return float(scores.iou.mean()) if len(scores.iou) else float("nan")


def mean_f(scores: FrameScores, videos: Sequence[str], variant: str = "dataset") -> float:
    """mF in [0, 1]; NaN when no frame has an object and none of its groups counts.

    Args:
        videos: the video of each frame; frames of one video need not be neighbours, videos count in order of
            appearance.
        variant: one of VARIANTS.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant {variant!r}: mF has the variants {', '.join(VARIANTS)}")
    made = VARIANTS[variant]
    curves = scores.f_logits if made.logits else scores.f_sigmoid
    number = {video: index for index, video in enumerate(dict.fromkeys(videos))}
    group = np.array([number[video] // (made.videos or len(number)) for video in videos], dtype=np.int64)
    maxima = []
    for index in range(int(group.max(initial=-1)) + 1):
        members = scores.has_object & (group == index)
        if members.any():
            maxima.append(curves[members].mean(axis=0).max())
        elif made.empty_counts:
            maxima.append(0.0)
    return float(np.mean(maxima)) if maxima else float("nan")


def _f_curves(values: torch.Tensor, truth: torch.Tensor) -> np.ndarray:
    """(n, 255) float64: F with beta^2 = 0.3 of `values >= threshold` against the truth, per frame.

    One histogram a frame instead of 255 comparisons: a value counts for every threshold not above it.
    """
    frames, bins = len(values), len(THRESHOLDS) + 1
    bin_of = torch.bucketize(values.flatten(1).float(), THRESHOLDS.to(values.device), right=True)
    flat = (bin_of + torch.arange(frames, device=values.device)[:, None] * bins).flatten()

    def at_or_above(selected: torch.Tensor) -> torch.Tensor:
        counts = torch.bincount(selected, minlength=frames * bins).view(frames, bins)
        return counts.flip(1).cumsum(1).flip(1)[:, 1:].double()

    predicted = at_or_above(flat)
    correct = at_or_above(flat[truth.flatten()])
    precision = correct / predicted.clamp(min=1)
    recall = correct / truth.flatten(1).sum(1).double().clamp(min=1)[:, None]
    weighted = _BETA2 * precision + recall
    f = (1 + _BETA2) * precision * recall / weighted.clamp(min=torch.finfo(torch.float64).tiny)
    return f.cpu().numpy()
