"""What a semantic evaluation says: pixels by class of every frame, and the three variants' figures of them."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from avs_train.data.loader import Loader
from avs_train.losses import likeliest
from avs_train.semantic_metrics import VARIANTS, ClassCounts, count_classes, per_class, summary
from shards.records import NEGATIVES

# As of `evaluate`, with logits of classes.
Predict = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]

CLIP_FRAMES = 10  # AVSBench-semantic's code fills every clip up to so many


@dataclass(frozen=True)
class SemanticEvaluation:
    """All frames of a split, in the order of samples.parquet; after them, in `counts` alone, those that pad clips.

    masks: as of `Evaluation`, where something sounds.
    """

    keys: tuple[str, ...]
    counts: ClassCounts
    classes: tuple[str, ...]
    masks: np.ndarray
    corrupt: dict[str, str]
    kinds: tuple[str, ...] = ()

    @property
    def fpr(self) -> float | None:
        """As of `Evaluation`."""
        marked = [value for found in self._negatives().values() for value in found]
        return float(np.mean(marked)) if marked else None

    def _negatives(self) -> dict[str, np.ndarray]:
        """By kind of negatives, of each the share of its pixels that is marked as of any class."""
        predicted = self.counts.predicted[: len(self.kinds)]
        marked = predicted[:, 1:].sum(axis=1) / np.maximum(predicted.sum(axis=1), 1)
        kinds = np.array(self.kinds, dtype=object)
        return {kind: marked[kinds == kind] for kind in NEGATIVES if kind in self.kinds}

    @property
    def mj(self) -> float:
        """What selects the best checkpoint: mJ of `avss_valid_frames`."""
        return float(summary(self.counts, "avss_valid_frames")["mJ"])

    def summary(self) -> dict[str, Any]:
        """Every variant, and IoU and F of each class; plain numbers for JSON."""
        return {
            "samples": len(self.keys),
            "padding": len(self.counts.valid) - len(self.keys),
            "semantic": {variant: summary(self.counts, variant) for variant in VARIANTS},
            "corrupt": self.corrupt,
            "negatives": {
                kind: {"samples": len(marked), "FPR": float(marked.mean())}
                for kind, marked in self._negatives().items()
            },
            "classes": {
                name: found
                for name, found in zip(("background", *self.classes), per_class(self.counts), strict=True)
                if found["frames"]
            },
        }


def padding_frames(image_ids: Iterable[str]) -> int:
    """How many frames fill the clips up to CLIP_FRAMES; a photo, whose id has no `#`, is of no clip."""
    frames = Counter(video for video, frame, _ in (each.partition("#") for each in image_ids) if frame)
    return sum(max(0, CLIP_FRAMES - number) for number in frames.values())


@torch.inference_mode()
def padded(predict: Predict, loader: Loader, device: torch.device, classes: int, frames: int) -> ClassCounts:
    """Counts of frames that pad clips: a black photo, log-mel bands of zeros, and background as the truth.

    All of them are the same, so that one is predicted.
    """
    size = loader.mask_size
    photo = torch.zeros(1, 3, loader.size, loader.size, dtype=torch.uint8, device=device)
    sound = loader.embeddings.encoder.of_bands(torch.zeros(1, 96, 64)).to(device)[None]
    truth = torch.zeros(1, size, size, dtype=torch.uint8, device=device)
    one = count_classes(
        likeliest(predict(photo, sound, truth), size), truth, classes, torch.zeros(1, dtype=torch.bool)
    )
    return ClassCounts(
        *(np.repeat(getattr(one, name), frames, axis=0) for name in ("predicted", "true", "both", "valid"))
    )
