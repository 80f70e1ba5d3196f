"""The vanilla SAM baseline: all masks that SAM proposes for an image, and the one nearest to the truth.

The proposals are those of SAM's automatic mask generator with its default settings (arXiv 2304.02643,
appendix B): a grid of points, three masks a point, filtered by predicted IoU and stability, then by box
non-maximum suppression. Choosing by the true mask makes the baseline an oracle: it tells what SAM's masks
allow, not what SAM knows of the sound.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import masks_to_boxes, nms

from avs_train.models.sam import Sam


@dataclass(frozen=True)
class ProposalOptions:
    """SAM's own defaults."""

    points_per_side: int = 32
    points_at_once: int = 64
    min_predicted_iou: float = 0.88
    min_stability: float = 0.95
    stability_offset: float = 1.0  # logits: IoU of the masks cut this far above and below zero
    max_box_iou: float = 0.7


DEFAULTS = ProposalOptions()


@torch.no_grad()
def propose(model: Sam, image: Tensor, options: ProposalOptions = DEFAULTS) -> Tensor:
    """Distinct masks of one image, the surest first.

    Args:
        image: (3, S, S) normalised.

    Returns:
        bool (n, S, S); n may be 0.
    """
    side = image.shape[-1]
    features = model.embed(image.unsqueeze(0))
    centres = (
        (torch.arange(options.points_per_side, device=image.device) + 0.5) * side / options.points_per_side
    )
    points = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), dim=-1).flatten(0, 1)

    kept_masks, kept_scores = [], []
    for some in points.split(options.points_at_once):
        logits, scores = (x.flatten(0, 1).float() for x in model.propose(features, some))
        sure = scores > options.min_predicted_iou
        logits = F.interpolate(logits[sure].unsqueeze(1), (side, side), mode="bilinear").squeeze(1)
        stable = stability(logits, options.stability_offset) >= options.min_stability
        masks = logits[stable] > 0
        inside = masks.any(dim=(1, 2))
        kept_masks.append(masks[inside])
        kept_scores.append(scores[sure][stable][inside])
    masks, scores = torch.cat(kept_masks), torch.cat(kept_scores)
    return masks[nms(masks_to_boxes(masks), scores, options.max_box_iou)]


def stability(logits: Tensor, offset: float) -> Tensor:
    """(n, H, W) -> (n,) IoU of the masks cut at +offset and -offset; NaN where both are empty."""
    inner = (logits > offset).sum(dim=(1, 2))
    outer = (logits > -offset).sum(dim=(1, 2))
    return inner / outer


@torch.no_grad()
def oracle(model: Sam, image: Tensor, truth: Tensor, options: ProposalOptions = DEFAULTS) -> Tensor:
    """For each image the proposal with the highest IoU with the true mask, as logits.

    Args:
        image: (B, 3, S, S) normalised.
        truth: (B, 1, H, W), 0 or 1.

    Returns:
        float32 (B, 1, S, S): +10 inside the chosen proposal, -10 outside; all -10 where there is none.
    """
    chosen = []
    for one, true in zip(image, truth[:, 0] > 0.5, strict=True):
        masks = propose(model, one, options)
        best = torch.zeros(one.shape[1:], dtype=torch.bool, device=one.device)
        if len(masks):
            at_truth = F.interpolate(masks.unsqueeze(1).float(), true.shape, mode="nearest-exact")[:, 0] > 0.5
            overlap = (at_truth & true).sum(dim=(1, 2)) / (at_truth | true).sum(dim=(1, 2)).clamp(min=1)
            best = masks[overlap.argmax()]
        chosen.append(best)
    return torch.stack(chosen).unsqueeze(1).float() * 20 - 10
