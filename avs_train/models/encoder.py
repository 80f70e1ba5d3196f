"""SAM's image encoder (arXiv 2304.02643, appendix A; ViTDet, arXiv 2203.16527) with room for audio adapters.

Parameter names are upstream's, so official checkpoints load one to one. Nothing between the blocks is kept.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from avs_train.models.attention import WindowAttention
from avs_train.models.layers import LayerNorm, LayerNorm2d, MLPBlock


class PatchEmbed(nn.Module):
    """Non-overlapping patches to tokens: (B, 3, S, S) -> (B, S/patch, S/patch, C)."""

    def __init__(self, patch: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, kernel_size=patch, stride=patch)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image.to(self.proj.weight.dtype)).permute(0, 2, 3, 1)


class Block(nn.Module):
    """A transformer block. The residual stream keeps its own precision (float32)."""

    def __init__(self, dim: int, heads: int, grid: int, window: int) -> None:
        super().__init__()
        self.norm1 = LayerNorm(dim, eps=1e-6)
        self.attn = WindowAttention(dim, heads, grid, window)
        self.norm2 = LayerNorm(dim, eps=1e-6)
        self.mlp = MLPBlock(dim, 4 * dim, nn.GELU)

    def forward(self, x: Tensor, added: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C). `added` (B, C) goes to every token before the block."""
        x = x + added[:, None, None, :].to(x.dtype)
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ImageEncoder(nn.Module):
    """Image to a grid of features: (B, 3, S, S) -> (B, out_dim, S/patch, S/patch) float32.

    Args:
        global_blocks: indexes of the blocks that attend over the whole grid; the others use windows.
        checkpointing: recompute each block in the backward pass instead of keeping its activations.
    """

    def __init__(
        self,
        *,
        image_size: int,
        patch: int,
        dim: int,
        depth: int,
        heads: int,
        window: int,
        global_blocks: Sequence[int],
        out_dim: int,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        grid = image_size // patch
        self.checkpointing = checkpointing
        self.patch_embed = PatchEmbed(patch, dim)
        self.pos_embed = nn.Parameter(torch.empty(1, grid, grid, dim))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self.blocks = nn.ModuleList(
            Block(dim, heads, grid, 0 if index in global_blocks else window) for index in range(depth)
        )
        self.neck = nn.Sequential(
            nn.Conv2d(dim, out_dim, kernel_size=1, bias=False),
            LayerNorm2d(out_dim),
            nn.Conv2d(out_dim, out_dim, kernel_size=3, padding=1, bias=False),
            LayerNorm2d(out_dim),
        )

    def forward(self, image: Tensor, added: Tensor | None = None) -> Tensor:
        """`added` (depth, B, C): joins every token at the input of each block; None adds nothing."""
        x = self.patch_embed(image) + self.pos_embed
        if added is None:  # a compiled block wants the same arguments always, or it is compiled twice
            added = x.new_zeros(len(self.blocks), len(x), x.shape[-1])
        for block, extra in zip(self.blocks, added, strict=True):
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, extra, use_reentrant=False)
            else:
                x = block(x, extra)
        x = x.permute(0, 3, 1, 2)
        for layer in self.neck:
            x = layer(x.to(layer.weight.dtype))
        return x
