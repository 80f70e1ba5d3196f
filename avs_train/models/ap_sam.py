"""AP-SAM: frozen SAM, the sound given to the mask decoder as one prompt token (arXiv 2305.11019, Table 4)."""

import torch
from torch import Tensor, nn

from avs_train.models.adapters import AUDIO_DIM
from avs_train.models.decoder import MaskDecoder
from avs_train.models.encoder import ImageEncoder
from avs_train.models.prompt_encoder import PromptEncoder


class ApSam(nn.Module):
    """Image and sound to the mask of what sounds; the encoder never hears the sound.

    So `embed` depends on the image alone and its result may be kept: `forward` takes it in place of the image.

    Args:
        embedding_dtype: image embeddings are rounded to it, so that kept ones are as good as new ones.

    forward: image (B, 3, S, S) normalised or its embedding (B, dim, S/16, S/16), audio (B, 128) VGGish -> logits
    (B, 1, S/4, S/4).
    """

    def __init__(
        self,
        *,
        image_encoder: ImageEncoder,
        prompt_encoder: PromptEncoder,
        mask_decoder: MaskDecoder,
        dim: int,
        embedding_dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        self.audio_projection = nn.Linear(AUDIO_DIM, dim)
        self.embedding_dtype = embedding_dtype

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        is_image = image.shape[1] == 3
        features = self.image_encoder(image).to(self.embedding_dtype) if is_image else image
        sparse = self.audio_projection(audio.to(self.audio_projection.weight.dtype)).unsqueeze(1)
        return self.mask_decoder(
            features.to(sparse.dtype), self.prompt_encoder.positions(), sparse, self.prompt_encoder.no_mask()
        )

    @torch.no_grad()
    def embed(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) normalised -> (B, dim, S/16, S/16) in `embedding_dtype`."""
        return self.image_encoder(image).to(self.embedding_dtype)
