"""mJ and F of semantic segmentation (AVSBench-semantic), in the three variants that published numbers use.

A frame is measured once: for every class the pixels predicted, true, and both. The variants differ in what follows:

| variant             | frames               | classes in the mean     | averages                                    |
|---------------------|----------------------|-------------------------|---------------------------------------------|
| `avss_official`     | all, padding as well | all, the background too | per frame, then over frames where the class |
|                     |                      |                         | is seen or predicted, then over classes     |
| `avss_valid_frames` | those of the clip    | all but the background  | the same                                    |
| `dataset`           | those of the clip    | all, the background too | one confusion matrix of all pixels          |

`avss_official` is AVSBench's code with its peculiarities: clips are padded to 10 frames whose truth is background, and
these count; its `no_background` leaves out the last class and keeps the background. A class that is never seen nor
predicted counts as 0, but for F of `dataset`, which leaves out every class without a right pixel. F has beta^2 = 0.3
at the predicted class. Never compare numbers of two variants.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from avs_train.losses import IGNORED

VARIANTS = ("avss_official", "avss_valid_frames", "dataset")
_BETA2 = 0.3


@dataclass(frozen=True)
class ClassCounts:
    """Pixels of n frames by class: (n, K) int64 each. valid: (n,) bool, False for padding."""

    predicted: np.ndarray
    true: np.ndarray
    both: np.ndarray
    valid: np.ndarray

    def take(self, rows: np.ndarray) -> "ClassCounts":
        return ClassCounts(self.predicted[rows], self.true[rows], self.both[rows], self.valid[rows])


def joined(parts: Iterable[ClassCounts]) -> ClassCounts:
    """The frames of all parts, in their order."""
    found = list(parts)
    return ClassCounts(
        *(
            np.concatenate([getattr(part, name) for part in found])
            for name in ("predicted", "true", "both", "valid")
        )
    )


def count_classes(
    predicted: torch.Tensor, truth: torch.Tensor, classes: int, valid: torch.Tensor
) -> ClassCounts:
    """Count frames on whatever device they are on.

    Args:
        predicted: (n, H, W) class indices, the argmax of logits.
        truth: (n, H, W) class indices; pixels of IGNORED count nowhere.
        valid: (n,) bool, False for frames that pad a clip.
    """
    frames = len(truth)
    known = truth != IGNORED
    offsets = torch.arange(frames, device=truth.device)[:, None, None] * classes

    def counted(values: torch.Tensor, where: torch.Tensor) -> np.ndarray:
        flat = (values.long() + offsets)[where]
        return torch.bincount(flat, minlength=frames * classes).view(frames, classes).cpu().numpy()

    return ClassCounts(
        counted(predicted, known),
        counted(truth, known),
        counted(truth, known & (predicted == truth)),
        valid.cpu().numpy(),
    )


def summary(counts: ClassCounts, variant: str) -> dict[str, Any]:
    """mJ and F in [0, 1]; `seen`, how many classes are seen or predicted at all; of the official one `no_background`.

    Raises:
        ValueError: a variant that is none of VARIANTS.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant {variant!r}: choose {', '.join(VARIANTS)}")
    rows = slice(None) if variant == "avss_official" else counts.valid
    predicted, true, both = (each[rows] for each in (counts.predicted, counts.true, counts.both))
    if variant == "dataset":
        predicted, true, both = (each.sum(axis=0, keepdims=True) for each in (predicted, true, both))
    union = predicted + true - both
    iou, f = _ratio(both, union), _f(predicted, true, both)
    met = (union > 0).sum(axis=0)
    iou, f = (_ratio(each.sum(axis=0), met) for each in (iou, f))
    if variant == "dataset":
        f = f[both[0] > 0]
        return {"mJ": float(iou.mean()), "F": float(f.mean()) if len(f) else 0.0, "seen": int(met.sum())}
    some = slice(0 if variant == "avss_official" else 1, None)
    found: dict[str, Any] = _means(iou[some], f[some]) | {"seen": int((met[some] > 0).sum())}
    if variant == "avss_official":
        found["no_background"] = _means(iou[:-1], f[:-1])
    return found


def per_class(counts: ClassCounts) -> list[dict[str, Any]]:
    """IoU and F of each class as `avss_valid_frames` has them, and in how many `frames` it is seen or predicted."""
    predicted, true, both = (each[counts.valid] for each in (counts.predicted, counts.true, counts.both))
    union = predicted + true - both
    met = (union > 0).sum(axis=0)
    iou, f = (_ratio(each.sum(axis=0), met) for each in (_ratio(both, union), _f(predicted, true, both)))
    return [
        {"frames": int(frames), "mJ": float(j), "F": float(one)}
        for frames, j, one in zip(met, iou, f, strict=True)
    ]


def _means(iou: np.ndarray, f: np.ndarray) -> dict[str, float]:
    return {"mJ": float(iou.mean()), "F": float(f.mean())}


def _f(predicted: np.ndarray, true: np.ndarray, both: np.ndarray) -> np.ndarray:
    """(1 + b2) P R / (b2 P + R) with P = both / predicted and R = both / true; 0 where that is 0 / 0."""
    return _ratio((1 + _BETA2) * both, _BETA2 * true + predicted)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return numerator / np.where(denominator > 0, denominator, 1)
