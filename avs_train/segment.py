"""Masks of what boxes are around, by SAM: photos prepared, prompted, measured as its authors do (arXiv 2304.02643)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from avs_train import checkpoints
from avs_train.layouts import CheckpointError
from avs_train.model_config import SIZES, ModelConfig
from avs_train.models import build_model, normalise
from avs_train.models.proposals import DEFAULTS, stability
from avs_train.models.sam import Sam

SIDE = 1024  # pixels, of what SAM sees
_MOST_PIXELS = 32 << 20  # of the masks that are made at once


@dataclass(frozen=True)
class Outlined:
    """What is in a box: (height, width) bool at the photo's size, how good SAM thinks that it is, and how stable."""

    mask: np.ndarray
    predicted_iou: float
    stability: float


def open_sam(checkpoint: Path, device: torch.device, side: int = SIDE) -> tuple[Sam, str]:
    """SAM with an official checkpoint, of the size that this is of, and that size's name.

    Raises:
        CheckpointError: no checkpoint of SAM.
    """
    width = (
        checkpoints.read(checkpoint).get("image_encoder.patch_embed.proj.weight", torch.empty(0)).shape[:1]
    )
    size = next((name for name, size in SIZES.items() if width == (size.dim,)), None)
    if size is None:
        raise CheckpointError(f"{checkpoint}: no weights of SAM; give sam_vit_h_4b8939.pth or one of its kin")
    model = build_model(ModelConfig("sam", size, side), device)
    assert isinstance(model, Sam)
    checkpoints.load_sam(model, checkpoint)
    return model.to(device).eval(), size


@torch.inference_mode()
def outline(
    model: Sam, photos: Sequence[np.ndarray], boxes: Sequence[np.ndarray], side: int = SIDE
) -> Iterator[list[Outlined]]:
    """For each photo what is in each of its boxes.

    Args:
        photos: (height, width, 3) uint8 RGB each.
        boxes: (n, 4) left, top, right, bottom in the photo's pixels, for each photo.
    """
    device = model.mask_decoder.iou_token.weight.device
    scaled = [_scaled(photo, side) for photo in photos]
    images = [normalise(torch.from_numpy(each).to(device).permute(2, 0, 1)[None]) for each in scaled]
    features = model.embed(torch.cat([_padded(image, side) for image in images]))
    for photo, small, feature, around in zip(photos, scaled, features, boxes, strict=True):
        size, inner = photo.shape[:2], small.shape[:2]
        factors = np.array([inner[1] / size[1], inner[0] / size[0]] * 2)
        prompts = torch.from_numpy(around * factors).to(device, feature.dtype)
        found: list[Outlined] = []
        for some in prompts.split(max(1, _MOST_PIXELS // max(side * side, size[0] * size[1]))):
            logits, scores = model.outline(feature[None], some)
            logits = F.interpolate(logits.float(), (side, side), mode="bilinear")[..., : inner[0], : inner[1]]
            logits = F.interpolate(logits, size, mode="bilinear")[:, 0]
            stable = stability(logits, DEFAULTS.stability_offset).nan_to_num(0.0)
            told = zip((logits > 0).cpu().numpy(), scores[:, 0].tolist(), stable.tolist(), strict=True)
            found += [Outlined(*each) for each in told]
        yield found


def _scaled(photo: np.ndarray, side: int) -> np.ndarray:
    """(h, w, 3) uint8, its longer side `side` pixels long."""
    height, width = photo.shape[:2]
    factor = side / max(height, width)
    size = (int(width * factor + 0.5), int(height * factor + 0.5))
    return np.array(
        Image.fromarray(photo).resize((max(1, size[0]), max(1, size[1])), Image.Resampling.BILINEAR)
    )


def _padded(image: torch.Tensor, side: int) -> torch.Tensor:
    """(1, 3, h, w) to (1, 3, side, side), zeros on the right and below."""
    return F.pad(image, (0, side - image.shape[3], 0, side - image.shape[2]))
