"""Audio adapters of SAMA: the sound, projected for each encoder block (arXiv 2305.11019)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

AUDIO_DIM = 128  # a VGGish embedding
HIDDEN_DIM = 512


class AudioAdapters(nn.Module):
    """A first layer for each adapted block, and one second layer that all of them share.

    Args:
        depth: number of encoder blocks.
        blocks: indexes of the adapted blocks.
        dim: token width C of the encoder.
    """

    def __init__(self, depth: int, blocks: tuple[int, ...], dim: int) -> None:
        super().__init__()
        self.depth = depth
        self.first = nn.ModuleDict({str(block): nn.Linear(AUDIO_DIM, HIDDEN_DIM) for block in blocks})
        self.shared = nn.Linear(HIDDEN_DIM, dim)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, audio: Tensor) -> Tensor:
        """(B, 128) -> (depth, B, C), zeros for a block without adapter."""
        audio = audio.to(self.shared.weight.dtype)
        added = {int(block): self.shared(F.gelu(layer(audio))) for block, layer in self.first.items()}
        nothing = audio.new_zeros(len(audio), self.shared.out_features)
        return torch.stack([added.get(block, nothing) for block in range(self.depth)])
