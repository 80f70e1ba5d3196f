"""Measure masks over a split: every rank takes its share, every rank gets the whole result."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from avs_train import scene_scores, semantic_metrics
from avs_train.data.loader import Batch, Loader
from avs_train.distributed import Place
from avs_train.losses import likeliest, upsample
from avs_train.metrics import VARIANTS, FrameScores, mean_f, mean_iou, score_frames
from avs_train.semantic_evaluation import SemanticEvaluation, padded, padding_frames
from shards.records import NEGATIVES, RECORDING

# (image (n, 3, S, S) uint8 or embeddings (n, C, h, w), audio (n, 128) float32, true mask (n, M, M) uint8) on the
# device -> logits (n, 1, s, s)
Predict = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Evaluation:
    """All frames of a split, in the order of samples.parquet.

    scores: of negatives (`shards.records.NEGATIVES`) against what could sound in the photo, if curves were asked for.
    masks: (n, ceil(s * s / 8)) uint8, predicted masks at the size of the logits, packed to bits; empty if not kept.
    kinds, photos: kind and image id of each. scenes: the dataset lays several sounds over a photo.
    """

    keys: tuple[str, ...]
    categories: tuple[str, ...]
    videos: tuple[str, ...]
    scores: FrameScores
    masks: np.ndarray
    corrupt: dict[str, str]
    kinds: tuple[str, ...]
    photos: tuple[str, ...]
    scenes: bool = False

    @property
    def positives(self) -> list[int]:
        """Where something sounds that is seen."""
        return [row for row, kind in enumerate(self.kinds) if kind not in NEGATIVES]

    @property
    def mj(self) -> float:
        """What selects the best checkpoint: mJ of positives."""
        return mean_iou(self.scores.take(self.positives))

    @property
    def fpr(self) -> float | None:
        """The share of pixels that negatives have marked, a mean over all of them; None where there is none."""
        rows = [row for row, kind in enumerate(self.kinds) if kind in NEGATIVES]
        return float(self.scores.marked[rows].mean()) if rows else None

    def summary(self) -> dict[str, Any]:
        """mJ, mF of every variant, and both per category, all of positives; of scenes what `scene_scores` says, else
        IIoU where photos have several samples. Plain numbers for JSON."""
        rows = self.positives
        scores, videos = self.scores.take(rows), [self.videos[row] for row in rows]
        told = {
            "samples": len(self.keys),
            "mJ": mean_iou(scores),
            "mF": {variant: mean_f(scores, videos, variant) for variant in VARIANTS},
            "corrupt": self.corrupt,
            "categories": self._by_category(),
        }
        if self.scenes and set(self.kinds) - {RECORDING}:
            told["scenes"] = scene_scores.summary(self.kinds, self.photos, self.videos, self.scores)
        elif found := scene_scores.lowest(self.photos, self.scores.iou):
            told["IIoU"] = found  # as of IS3, which is no dataset of scenes
        return told

    def _by_category(self) -> dict[str, Any]:
        """Of each category that sounds alone."""
        rows_of: dict[str, list[int]] = {}
        for row, (category, kind) in enumerate(zip(self.categories, self.kinds, strict=True)):
            if kind in ("single", RECORDING):
                rows_of.setdefault(category, []).append(row)
        return {category: self._of(rows_of[category]) for category in sorted(rows_of)}

    def _of(self, rows: list[int]) -> dict[str, Any]:
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
            parts.append(score_frames(shown, _measured(truth, batch, loader) if curves else truth, curves))
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
    kinds = tuple(sample.kind for sample in samples)
    corrupt = {key: reason for each in gathered for key, reason in each[3].items()}
    if classes:
        counts = semantic_metrics.joined(measured).take(order)
        if frames := padding_frames(sample.image_id for sample in samples):
            pads = padded(predict, loader, place.device, classes, frames)
            counts = semantic_metrics.joined([counts, pads])
        return SemanticEvaluation(keys, counts, split.classes, kept, corrupt, kinds)
    categories = tuple(sample.category for sample in samples)
    scores = FrameScores.joined(measured).take(order)
    photos = tuple(sample.image_id for sample in samples)
    return Evaluation(keys, categories, videos, scores, kept, corrupt, kinds, photos, split.scenes)


def _measured(truth: torch.Tensor, batch: Batch, loader: Loader) -> torch.Tensor:
    """What predictions are held against: true masks, and for negatives what could sound in the photo."""
    rows = [place for place, index in enumerate(batch.rows) if loader.split.row(index).is_negative]
    if not rows:
        return truth
    objects = torch.from_numpy(loader.objects([batch.rows[row] for row in rows]))
    truth = truth.clone()
    truth[rows] = objects.to(truth.device)
    return truth


def to_device(
    batch: Batch, loader: Loader, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Image (n, 3, S, S) uint8, or image embeddings (n, C, h, w) where the loader keeps them; audio (n, 128) float32;
    mask (n, M, M) uint8; on the device."""
    if loader.images and batch.stored:
        image = loader.images.resolve(batch.stored, batch.image, device)
    else:
        image = batch.image.to(device, non_blocking=True).permute(0, 3, 1, 2)
    audio = loader.embeddings.resolve(batch.clips, batch.waveforms, keep=not loader.remix).to(
        device, non_blocking=True
    )
    return image, audio, batch.mask.to(device, non_blocking=True)
