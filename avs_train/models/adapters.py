"""Audio adapters of SAMA: the sound, projected for each encoder block (arXiv 2305.11019)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

AUDIO_DIM = 128  # a VGGish embedding
HIDDEN_DIM = 512


def placement(depth: int, count: int) -> tuple[int, ...]:
    """Indexes of the `count` blocks, evenly spaced from block 0, that get an adapter (paper, Table 7).

    Raises:
        ValueError: `count` does not divide `depth`, so no even spacing exists.
    """
    if count == 0:
        return ()
    if count < 0 or count > depth or depth % count:
        fitting = ", ".join(str(n) for n in range(1, depth + 1) if depth % n == 0)
        raise ValueError(
            f"adapters={count}: even spacing needs a divisor of the {depth} encoder blocks; "
            f"use 0 or one of {fitting}"
        )
    return tuple(range(0, depth, depth // count))


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
