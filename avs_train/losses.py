"""The training loss: binary cross-entropy and soft IoU on the full-size mask (paper, section 4.3).

What an empty target, where nothing that is seen sounds, means to it (`train.negatives`):

- `bce`, the default: cross-entropy with a mask of zeros. As CAVP (arXiv 2304.02970), to which a photo and a sound that
  do not belong together are all background, and AVSBench-Robust (arXiv 2502.00358) and EASE, which give an empty mask.
- `bce_iou`: and 1 - soft IoU of the background, which is the mean probability. As AVSBench's mJ, by which a frame
  without an object scores its true negatives / pixels.

Soft IoU of an empty object says nothing: whatever is marked, it is 0 and has no gradient. So it is left out, and counts
0. AVSBench-Robust also trains a classifier that tells whether sound and photo match; none of our models has one.
"""

import torch
import torch.nn.functional as F

IGNORED = 255  # class index of pixels that do not count


def loss_of(
    logits: torch.Tensor,
    target: torch.Tensor,
    ce_weight: float = 1.0,
    iou_weight: float = 1.0,
    negatives: str = "bce",
) -> torch.Tensor:
    """`mask_loss` of one logit a pixel, `semantic_loss` of several, where background is a class as others are.

    Args:
        logits: (B, 1 or K, s, s). target: (B, M, M) uint8, 0 or 1 or the number of a class.
    """
    if logits.shape[1] > 1:
        return semantic_loss(logits.float(), target, ce_weight, iou_weight)
    return mask_loss(upsample(logits, target.shape[-1]), target, ce_weight, iou_weight, negatives)


def upsample(logits: torch.Tensor, size: int) -> torch.Tensor:
    """(B, 1, s, s) mask logits to (B, size, size) float32, bilinear by pixel centres."""
    resized = F.interpolate(logits.float(), (size, size), mode="bilinear", align_corners=False)
    return resized.squeeze(1)


def likeliest(logits: torch.Tensor, size: int) -> torch.Tensor:
    """(B, K, s, s) logits of classes to (B, size, size) uint8, the class of each pixel after `upsample`.

    One image at a time: 71 classes at 1024 pixels take 0.3 GB.
    """
    return torch.cat([upsample(one[None], size).argmax(1).to(torch.uint8) for one in logits])


def mask_loss(
    logits: torch.Tensor,
    mask: torch.Tensor,
    bce_weight: float = 1.0,
    iou_weight: float = 1.0,
    negatives: str = "bce",
) -> torch.Tensor:
    """bce_weight * BCE + iou_weight * (1 - soft IoU), each a mean over the batch.

    A mean of equal parts is the mean of the whole, so micro-batches and ranks add up to the joint batch.

    Args:
        logits: (B, M, M) float32.
        mask: (B, M, M) uint8 or bool, 0 or 1.
        negatives: what an empty mask means, `bce` or `bce_iou`.
    """
    target = mask.to(logits.dtype)
    loss = logits.new_zeros(())
    if bce_weight:
        loss = loss + bce_weight * F.binary_cross_entropy_with_logits(logits, target)
    if iou_weight:
        probability = logits.sigmoid()
        empty = probability.mean((-2, -1)) if negatives == "bce_iou" else torch.zeros_like(loss)
        shown = target.amax((-2, -1)) > 0
        loss = loss + iou_weight * torch.where(shown, 1 - soft_iou(probability, target), empty).mean()
    return loss


def soft_iou(probability: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """sum(p g) / sum(p + g - p g) per sample; (B, M, M) float32 twice to (B,), 1 where both are empty."""
    intersection = (probability * target).sum((-2, -1))
    union = (probability + target).sum((-2, -1)) - intersection
    epsilon = 1e-6
    return (intersection + epsilon) / (union + epsilon)


def semantic_loss(
    logits: torch.Tensor, classes: torch.Tensor, ce_weight: float = 1.0, iou_weight: float = 1.0
) -> torch.Tensor:
    """ce_weight * cross-entropy + iou_weight * (1 - soft IoU, mean over the classes that an image shows).

    Cross-entropy is a mean over pixels. At the size of the logits: 71 full-size masks would take 0.3 GB an image.

    Args:
        logits: (B, K, s, s) float32.
        classes: (B, M, M) uint8 class indices, IGNORED where no class is known; M a multiple of s.
    """
    step = classes.shape[-1] // logits.shape[-1]
    target = classes[:, step // 2 :: step, step // 2 :: step].long()  # nearest by pixel centres
    known = target != IGNORED
    loss = ce_weight * F.cross_entropy(logits, target, ignore_index=IGNORED, reduction="sum")
    loss = loss / known.sum().clamp(min=1)  # 0, not NaN, where no class is known
    if iou_weight:
        truth = F.one_hot(target.where(known, 0), logits.shape[1]).permute(0, 3, 1, 2) * known[:, None]
        shown = truth.flatten(2).any(-1)
        overlap = soft_iou(logits.softmax(1) * known[:, None], truth.to(logits.dtype))
        loss = loss + iou_weight * (1 - (overlap * shown).sum(1) / shown.sum(1).clamp(min=1)).mean()
    return loss
