"""SAM's mask decoder (arXiv 2304.02643, appendix A), with upstream's parameter names."""

import torch
from torch import Tensor, nn

from avs_train.models.layers import MLP, LayerNorm2d
from avs_train.models.transformer import TwoWayTransformer

PROPOSALS = 3  # masks that SAM offers for an ambiguous prompt, beside the single mask for a clear one


class MaskDecoder(nn.Module):
    """Image embedding and prompts to mask logits four times the embedding's side.

    Args:
        dim: width of embeddings and prompts; a multiple of 8 and of twice `heads`.
        hidden: width of the transformer's MLPs.
        iou_hidden: width of the head that predicts each mask's IoU.
        classes: a mask for each of so many classes instead of the single one; 0 for the single one. Each class has a
            token of its own, and all share the single mask's read-out.
    """

    def __init__(self, dim: int, heads: int, hidden: int, iou_hidden: int, classes: int = 0) -> None:
        super().__init__()
        self.classes = classes
        if classes:
            self.class_tokens = nn.Embedding(classes, dim)
        self.transformer = TwoWayTransformer(dim, heads, hidden)
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(1 + PROPOSALS, dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 4, kernel_size=2, stride=2),
            LayerNorm2d(dim // 4),
            nn.GELU(),
            nn.ConvTranspose2d(dim // 4, dim // 8, kernel_size=2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP(dim, dim, dim // 8, 3) for _ in range(1 + PROPOSALS)
        )
        self.iou_prediction_head = MLP(dim, iou_hidden, 1 + PROPOSALS, 3)

    def forward(self, image: Tensor, image_pe: Tensor, sparse: Tensor, dense: Tensor) -> Tensor:
        """The single mask, logits (B, 1, 4h, 4w), or that of each class, (B, classes, 4h, 4w).

        Args:
            image: (B, dim, h, w) from the encoder; B may be 1 for many prompts of one image.
            image_pe: (1, dim, h, w).
            sparse: (B, n, dim) prompt tokens; n may be 0.
            dense: (B or 1, dim, h or 1, w or 1), added to the image embedding.
        """
        tokens, pixels = self._decode(image, image_pe, sparse, dense)
        mine = tokens[:, 2 + PROPOSALS :][:, : self.classes] if self.classes else tokens[:, 1:2]
        return _masks(self.output_hypernetworks_mlps[0](mine), pixels)

    def answer(self, image: Tensor, image_pe: Tensor, sparse: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
        """The mask for a clear prompt: logits (B, 1, 4h, 4w) and its predicted IoU (B, 1)."""
        tokens, pixels = self._decode(image, image_pe, sparse, dense)
        weights = self.output_hypernetworks_mlps[0](tokens[:, 1:2])
        return _masks(weights, pixels), self.iou_prediction_head(tokens[:, 0])[:, :1]

    def propose(
        self, image: Tensor, image_pe: Tensor, sparse: Tensor, dense: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The masks for an ambiguous prompt: logits (B, 3, 4h, 4w) and their predicted IoU (B, 3)."""
        tokens, pixels = self._decode(image, image_pe, sparse, dense)
        heads = list(self.output_hypernetworks_mlps)[1:]
        weights = torch.stack([head(tokens[:, 2 + i]) for i, head in enumerate(heads)], dim=1)
        return _masks(weights, pixels), self.iou_prediction_head(tokens[:, 0])[:, 1:]

    def _decode(
        self, image: Tensor, image_pe: Tensor, sparse: Tensor, dense: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Output tokens (B, n, dim) in the order IoU, masks, classes, prompts; pixel features (B, dim/8, 4h, 4w)."""
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        if self.classes:
            own = torch.cat([own, self.class_tokens.weight])
        tokens = torch.cat([own.expand(len(sparse), -1, -1), sparse], dim=1)
        grid = image.shape[2:]
        image = (image + dense).expand(len(sparse), -1, -1, -1)
        tokens, image = self.transformer(tokens, _to_tokens(image), _to_tokens(image_pe))
        return tokens, self.output_upscaling(image.transpose(1, 2).unflatten(2, grid))


def _to_tokens(grid: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, h * w, C)."""
    return grid.flatten(2).transpose(1, 2)


def _masks(weights: Tensor, pixels: Tensor) -> Tensor:
    """(B, m, C) and (B, C, H, W) -> (B, m, H, W): each mask is a linear read-out of the pixel features."""
    return (weights @ pixels.flatten(2)).unflatten(2, pixels.shape[2:])
