"""Vanilla SAM (arXiv 2304.02643): it hears nothing, and proposes masks for points on the image."""

import torch
from torch import Tensor, nn

from avs_train.models.decoder import MaskDecoder
from avs_train.models.encoder import ImageEncoder
from avs_train.models.prompt_encoder import PromptEncoder


class Sam(nn.Module):
    """Point prompts to masks. `avs_train.models.proposals` builds the oracle baseline on it."""

    def __init__(
        self, *, image_encoder: ImageEncoder, prompt_encoder: PromptEncoder, mask_decoder: MaskDecoder
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        """Image (B, 3, S, S) -> logits (B, 1, S/4, S/4) of the mask without a prompt; deaf to `audio`."""
        features = self.image_encoder(image)
        sparse = features.new_empty(len(features), 0, features.shape[1])
        return self.mask_decoder(
            features, self.prompt_encoder.positions(), sparse, self.prompt_encoder.no_mask()
        )

    @torch.no_grad()
    def embed(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) normalised -> image embeddings (B, dim, S/16, S/16)."""
        return self.image_encoder(image)

    @torch.no_grad()
    def propose(self, features: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Three masks for each foreground point of one image.

        Args:
            features: (1, dim, h, w) from `embed`.
            points: (n, 2) x, y in pixels of the input image.

        Returns:
            Logits (n, 3, 4h, 4w) and predicted IoU (n, 3).
        """
        sparse = self.prompt_encoder.foreground_points(points)
        return self.mask_decoder.propose(
            features, self.prompt_encoder.positions(), sparse, self.prompt_encoder.no_mask()
        )

    @torch.no_grad()
    def outline(self, features: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """The mask of what each box of one image is around.

        Args:
            features: (1, dim, h, w) from `embed`.
            boxes: (n, 4) left, top, right, bottom in pixels of the input image.

        Returns:
            Logits (n, 1, 4h, 4w) and predicted IoU (n, 1).
        """
        sparse = self.prompt_encoder.boxes(boxes)
        return self.mask_decoder.answer(
            features, self.prompt_encoder.positions(), sparse, self.prompt_encoder.no_mask()
        )
