"""The training loss: binary cross-entropy and soft IoU on the full-size mask (paper, section 4.3)."""

import torch
import torch.nn.functional as F


def upsample(logits: torch.Tensor, size: int) -> torch.Tensor:
    """(B, 1, s, s) mask logits to (B, size, size) float32, bilinear by pixel centres."""
    resized = F.interpolate(logits.float(), (size, size), mode="bilinear", align_corners=False)
    return resized.squeeze(1)


def mask_loss(
    logits: torch.Tensor, mask: torch.Tensor, bce_weight: float = 1.0, iou_weight: float = 1.0
) -> torch.Tensor:
    """bce_weight * BCE + iou_weight * (1 - soft IoU), each a mean over the batch.

    A mean of equal parts is the mean of the whole, so micro-batches and ranks add up to the joint batch.

    Args:
        logits: (B, M, M) float32.
        mask: (B, M, M) uint8 or bool, 0 or 1.
    """
    target = mask.to(logits.dtype)
    loss = logits.new_zeros(())
    if bce_weight:
        loss = loss + bce_weight * F.binary_cross_entropy_with_logits(logits, target)
    if iou_weight:
        loss = loss + iou_weight * (1 - soft_iou(logits.sigmoid(), target)).mean()
    return loss


def soft_iou(probability: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """sum(p g) / sum(p + g - p g) per sample; (B, M, M) float32 twice to (B,), 1 where both are empty."""
    intersection = (probability * target).sum((-2, -1))
    union = (probability + target).sum((-2, -1)) - intersection
    epsilon = 1e-6
    return (intersection + epsilon) / (union + epsilon)
