"""Measure masks over a split: every rank takes its share, every rank gets the whole result."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from avs_train import semantic_metrics
from avs_train.data.loader import Batch, Loader
from avs_train.distributed import Place
from avs_train.losses import likeliest, upsample
from avs_train.metrics import VARIANTS, FrameScores, mean_f, mean_iou, score_frames
from avs_train.semantic_evaluation import SemanticEvaluation, padded, padding_frames

# (image (n, 3, S, S) uint8 or embeddings (n, C, h, w), audio (n, 128) float32, true mask (n, M, M) uint8) on the
# device -> logits (n, 1, s, s)
Predict = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Evaluation:
    """All frames of a split, in the order of samples.parquet.

    masks: (n, ceil(s * s / 8)) uint8, predicted masks at the size of the logits, packed to bits; empty if not kept.
    """

    keys: tuple[str, ...]
    categories: tuple[str, ...]
    videos: tuple[str, ...]
    scores: FrameScores
    masks: np.ndarray
    corrupt: dict[str, str]

    @property
    def mj(self) -> float:
        return mean_iou(self.scores)

    def summary(self) -> dict[str, Any]:
        """mJ, mF of every variant, and both per category; plain numbers for JSON."""
        return {
            "samples": len(self.keys),
            "mJ": self.mj,
            "mF": {variant: mean_f(self.scores, self.videos, variant) for variant in VARIANTS},
            "corrupt": self.corrupt,
            "categories": {category: self._of(category) for category in sorted(set(self.categories))},
        }

    def _of(self, category: str) -> dict[str, Any]:
        rows = [index for index, value in enumerate(self.categories) if value == category]
        scores, videos = self.scores.take(rows), [self.videos[row] for row in rows]
        return {"samples": len(rows), "mJ": mean_iou(scores), "mF_dataset": mean_f(scores, videos, "dataset")}


def video_of(image_id: str, sample_id: str) -> str:
    """What a sample is scored with: the frames of its video, whose id stands before `#`; a photo's sample alone, also
    where several samples share the photo."""
    video, frame, _ = image_id.partition("#")
    return video if frame else sample_id


@torch.inference_mode()
def evaluate(
    predict: Predict,
    loader: Loader,
    place: Place,
    *,
    batch_size: int,
    keep_masks: bool = False,
    curves: bool = True,
    on_batch: Callable[[Batch, torch.Tensor], None] = lambda batch, shown: None,
) -> Evaluation | SemanticEvaluation:
    """Predict and measure every sample of the loader's split; by class, where the loader reads classes.

    Args:
        predict: what makes logits; also given the true masks, which only an oracle uses.
        keep_masks: keep what was predicted, as `Evaluation.masks`.
        curves: also what mF needs; without, only `iou` and `has_object` of the scores are there.
        on_batch: told each batch and (n, M, M) on the device, above 0 where something sounds: progress and pictures.
    """
    rows: list[int] = []
    parts: list[Any] = []
    split = loader.split
    classes = 1 + len(split.classes) if loader.classes else 0
    masks: list[np.ndarray] = []
    for batch in loader.evaluation(batch_size, place.rank, place.world):
        image, audio, truth = to_device(batch, loader, place.device)
        small = predict(image, audio, truth)
        rows += batch.rows
        if classes:
            shown = likeliest(small, truth.shape[-1])
            every = torch.ones(len(truth), dtype=torch.bool)
            parts.append(semantic_metrics.count_classes(shown, truth, classes, every))
        else:
            shown = upsample(small, truth.shape[-1])
            parts.append(score_frames(shown, truth, curves))
        if keep_masks:
            sounding = small.argmax(1) > 0 if classes else small > 0
            masks.append(np.packbits(sounding.flatten(1).cpu().numpy(), axis=1))
        on_batch(batch, shown)
    gathered = place.gather((rows, parts, masks, loader.corruption.found))
    order = np.argsort(np.array([row for each in gathered for row in each[0]], dtype=np.int64), kind="stable")
    all_rows = sorted(row for each in gathered for row in each[0])
    samples = [split.row(row) for row in all_rows]
    keys = tuple(sample.key for sample in samples)
    videos = tuple(video_of(sample.image_id, sample.sample_id) for sample in samples)
    measured = [part for each in gathered for part in each[1]]
    kept = (
        np.concatenate([part for each in gathered for part in each[2]])[order]
        if keep_masks
        else np.empty((0, 0))
    )
    corrupt = {key: reason for each in gathered for key, reason in each[3].items()}
    if classes:
        counts = semantic_metrics.joined(measured).take(order)
        if frames := padding_frames(sample.image_id for sample in samples):
            pads = padded(predict, loader, place.device, classes, frames)
            counts = semantic_metrics.joined([counts, pads])
        return SemanticEvaluation(keys, counts, split.classes, kept, corrupt)
    categories = tuple(sample.category for sample in samples)
    return Evaluation(keys, categories, videos, _joined(measured).take(order), kept, corrupt)


def to_device(
    batch: Batch, loader: Loader, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Image (n, 3, S, S) uint8, or image embeddings (n, C, h, w) where the loader keeps them; audio (n, 128) float32;
    mask (n, M, M) uint8; on the device."""
    if loader.images and batch.stored:
        image = loader.images.resolve(batch.stored, batch.image, device)
    else:
        image = batch.image.to(device, non_blocking=True).permute(0, 3, 1, 2)
    audio = loader.embeddings.resolve(batch.clips, batch.waveforms).to(device, non_blocking=True)
    return image, audio, batch.mask.to(device, non_blocking=True)


def _joined(parts: Iterable[FrameScores]) -> FrameScores:
    found = list(parts)
    return FrameScores(
        *(
            np.concatenate([getattr(part, name) for part in found])
            for name in ("iou", "has_object", "f_sigmoid", "f_logits")
        )
    )
