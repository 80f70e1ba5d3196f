"""SAMA: SAM whose frozen encoder hears the sound through adapters (arXiv 2305.11019)."""

from torch import Tensor, nn

from avs_train.models.adapters import AudioAdapters
from avs_train.models.decoder import MaskDecoder
from avs_train.models.encoder import ImageEncoder
from avs_train.models.prompt_encoder import PromptEncoder


class Sama(nn.Module):
    """Image and sound to the mask of what sounds.

    forward: image (B, 3, S, S) normalised, audio (B, 128) VGGish -> logits (B, 1, S/4, S/4).
    """

    def __init__(
        self,
        *,
        image_encoder: ImageEncoder,
        adapters: AudioAdapters,
        prompt_encoder: PromptEncoder,
        mask_decoder: MaskDecoder,
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.adapters = adapters
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        features = self.image_encoder(image, self.adapters(audio))
        sparse = features.new_empty(len(features), 0, features.shape[1])
        return self.mask_decoder(
            features, self.prompt_encoder.positions(), sparse, self.prompt_encoder.no_mask()
        )
