"""AP-SAM: frozen SAM, the sound given to the mask decoder as one prompt token (arXiv 2305.11019, Table 4)."""

import torch
from torch import Tensor, nn

from avs_train.models.adapters import AUDIO_DIM
from avs_train.models.decoder import MaskDecoder
from avs_train.models.encoder import ImageEncoder
from avs_train.models.prompt_encoder import PromptEncoder


class ApSam(nn.Module):
    """Image and sound to the mask of what sounds; the encoder never hears the sound.

    So `embed` depends on the image alone and its result may be cached: `decode(embed(image), audio)` is
    `forward(image, audio)`.

    forward: image (B, 3, S, S) normalised, audio (B, 128) VGGish -> logits (B, 1, S/4, S/4).
    """

    def __init__(
        self,
        *,
        image_encoder: ImageEncoder,
        prompt_encoder: PromptEncoder,
        mask_decoder: MaskDecoder,
        dim: int,
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        self.audio_projection = nn.Linear(AUDIO_DIM, dim)

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        return self.decode(self.image_encoder(image), audio)

    @torch.no_grad()
    def embed(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, dim, S/16, S/16), the part that does not depend on the sound."""
        return self.image_encoder(image)

    def decode(self, features: Tensor, audio: Tensor) -> Tensor:
        """(B, dim, h, w) and (B, 128) -> logits (B, 1, 4h, 4w)."""
        sparse = self.audio_projection(audio.to(self.audio_projection.weight.dtype)).unsqueeze(1)
        return self.mask_decoder(
            features, self.prompt_encoder.positions(), sparse, self.prompt_encoder.no_mask()
        )
