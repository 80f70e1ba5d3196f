"""Does the mask follow the sound? The same photos with their own sound, another category's, and none.

After AVSBench-Robust (arXiv 2502.00358). A model that only looks keeps its mask whatever it hears.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from avs_train.data.loader import Batch, Loader
from avs_train.data.pairing import Hearing, frozen, silent, swapped
from avs_train.data.samples import Split
from avs_train.distributed import Place
from avs_train.evaluate import Evaluation, Predict, evaluate
from avs_train.semantic_evaluation import SemanticEvaluation

SOUNDS = ("true", "swapped", "silent")


@dataclass(frozen=True)
class Robustness:
    """The three evaluations of one split."""

    true: Evaluation | SemanticEvaluation
    swapped: Evaluation | SemanticEvaluation
    silent: Evaluation | SemanticEvaluation

    def summary(self) -> dict[str, Any]:
        """mJ against the true mask under each sound, and the IoU of each mask with the one under the true sound."""
        return {
            "mJ": {name: getattr(self, name).mj for name in SOUNDS},
            "agreement": {name: agreement(self.true, getattr(self, name)) for name in ("swapped", "silent")},
        }


def agreement(first: Evaluation | SemanticEvaluation, second: Evaluation | SemanticEvaluation) -> float:
    """Mean IoU of two predictions of the same samples; 1 when the sound changes nothing. Two empty masks agree."""
    place = {key: index for index, key in enumerate(second.keys)}
    both = [(index, place[key]) for index, key in enumerate(first.keys) if key in place]
    a, b = first.masks[[i for i, _ in both]], second.masks[[j for _, j in both]]
    intersection = np.bitwise_count(a & b).sum(axis=1, dtype=np.int64)
    union = np.bitwise_count(a | b).sum(axis=1, dtype=np.int64)
    return float(np.where(union == 0, 1.0, intersection / np.maximum(union, 1)).mean())


def measure(
    predict: Predict,
    open_loader: Callable[[Hearing], Loader],
    split: Split,
    place: Place,
    *,
    batch_size: int,
    seed: int = 0,
    on_sound: Callable[[str], None] = lambda name: None,
    on_batch: Callable[[Batch, torch.Tensor], None] = lambda batch, shown: None,
) -> Robustness:
    """Evaluate one split under the three sounds.

    Raises:
        SettingError: the split has one category, so there is nothing to swap.
    """
    found = {}
    for name, hearing in zip(SOUNDS, (frozen, swapped(split.clips, seed), silent), strict=True):
        on_sound(name)
        found[name] = evaluate(
            predict, open_loader(hearing), place, batch_size=batch_size, keep_masks=True, on_batch=on_batch
        )
    return Robustness(**found)
