"""Self-attention of SAM's encoder: windows or the whole grid, with decomposed relative positions.

The relative-position bias of a query at (i, j) for a key at (k, l) is q·Rh[i-k] + q·Rw[j-l] (MViTv2,
arXiv 2112.01526, section 4.1). No path here makes the bias matrix, and all are exact, in value and gradient:

| path     | how                                                       | widths of q and k, of v (ViT-H, whole grid) |
|----------|-----------------------------------------------------------|---------------------------------------------|
| `flash`  | q·Rh and q·Rw joined to the query, one-hot row and column | 208, 208: a flash kernel wants one width    |
|          | numbers to the key: the bias is part of the dot product   |                                             |
| `narrow` | the same, the value left as it is: the memory-efficient   | 208, 80                                     |
|          | kernel takes another width for it                         |                                             |
| `flex`   | the bias as FlexAttention's score function; eager, it     | 80, 80                                      |
|          | holds all scores, so it is for compiled blocks            |                                             |

`choose` says which one a device takes by itself.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.flex_attention import flex_attention

from avs_train.models.layers import Linear

WIDTH_MULTIPLE = 8  # fused kernels want head widths in multiples of 8
WIDEST_FLASH = 256  # PyTorch's flash kernel takes no wider heads
# Where PyTorch's flash kernel refuses to train heads wider than 192 and up to 224: too little shared memory.
NO_WIDE_TRAINING = ((8, 6), (8, 9), (12, 0))


def choose(device: torch.device, head_dim: int, side: int, *, training: bool) -> str:
    """The path for heads of `head_dim` that attend over `side` x `side` tokens.

    `flash`, but for two cases on a GPU, where it is `narrow`: heads too wide for the flash kernel, and training heads
    that it does not train there, as those of ViT-H over the whole grid on A6000, L40S and RTX 30, 40 and 50 series.

    `flex` does the least arithmetic and is chosen by hand alone: it is fast only in compiled blocks, its gradient of
    the bias adds up atomically, slowly and never twice the same, and nothing here was measured on a GPU yet
    (`tests/benchmarks/bench_gpu.py`).
    """
    width = widened(head_dim, side)
    if device.type != "cuda" or width <= 128:
        return "flash"
    refused = training and 192 < width <= 224 and torch.cuda.get_device_capability(device) in NO_WIDE_TRAINING
    return "narrow" if refused or width > WIDEST_FLASH else "flash"


def widened(head_dim: int, side: int) -> int:
    """Width of a query with its relative positions joined."""
    return -(-(head_dim + 2 * side) // WIDTH_MULTIPLE) * WIDTH_MULTIPLE


class WindowAttention(nn.Module):
    """Multi-head self-attention over a grid of tokens, inside square windows or over all of it.

    Args:
        dim: token width C.
        heads: number of heads; divides `dim`.
        grid: tokens a side of the input.
        window: tokens a side of a window; 0 attends over the whole grid.

    Attributes:
        training_path, inference_path: one of PATHS, with and without gradients.
    """

    def __init__(self, dim: int, heads: int, grid: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.head_dim = dim // heads
        self.side = window or grid
        self.training_path = self.inference_path = "flash"
        self.qkv = Linear(dim, 3 * dim)
        self.proj = Linear(dim, dim)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * self.side - 1, self.head_dim))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * self.side - 1, self.head_dim))

        places = torch.arange(self.side)
        self.register_buffer("distance", places[:, None] - places[None, :] + self.side - 1, persistent=False)
        self.distance: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C), in the precision of the projections."""
        batch, height, width, dim = x.shape
        down, across = -(-height // self.side), -(-width // self.side)

        qkv = self._pad(self.qkv(x), down * self.side, across * self.side)
        qkv = qkv.view(batch, down, self.side, across, self.side, 3, self.heads, self.head_dim)
        qkv = qkv.permute(5, 0, 1, 3, 6, 2, 4, 7)
        q, k, v = qkv.reshape(3, batch * down * across, self.heads, self.side**2, self.head_dim).unbind(0)

        out = self._attend(q, k, v).view(batch, down, across, self.heads, self.side, self.side, self.head_dim)
        out = out.permute(0, 1, 4, 2, 5, 3, 6).reshape(batch, down * self.side, across * self.side, dim)
        # contiguous: a strided input would take a path six times slower in bfloat16
        return self.proj(out[:, :height, :width].contiguous())

    def _pad(self, qkv: Tensor, height: int, width: int) -> Tensor:
        """Fill up to whole windows. SAM pads with zeros before the projection, so a pad's qkv is the bias."""
        bias = self.qkv.bias.to(qkv.dtype)
        batch, rows, columns, channels = qkv.shape
        if columns < width:
            qkv = torch.cat([qkv, bias.expand(batch, rows, width - columns, channels)], dim=2)
        if rows < height:
            qkv = torch.cat([qkv, bias.expand(batch, height - rows, width, channels)], dim=1)
        return qkv

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q, k, v: (n, heads, tokens, head_dim) -> (n, heads, tokens, head_dim)."""
        grid = q.unflatten(2, (self.side, self.side))
        row = self.rel_pos_h.to(q.dtype)[self.distance]  # (side, side, head_dim): query row, key row
        column = self.rel_pos_w.to(q.dtype)[self.distance]
        to_row = torch.einsum("nhijc,ikc->nhijk", grid, row).flatten(2, 3)
        to_column = torch.einsum("nhijc,jkc->nhijk", grid, column).flatten(2, 3)
        path = self.training_path if torch.is_grad_enabled() else self.inference_path
        if path == "flex":
            return self._flex(q, k, v, to_row, to_column)

        one_hot = torch.eye(self.side, dtype=k.dtype, device=k.device)
        places = torch.cat([one_hot.repeat_interleave(self.side, 0), one_hot.repeat(self.side, 1)], dim=1)
        places = places.expand(*k.shape[:2], -1, -1)
        width = widened(self.head_dim, self.side)
        spare = width - self.head_dim - 2 * self.side
        q = F.pad(torch.cat([q * self.head_dim**-0.5, to_row, to_column], dim=-1), (0, spare))
        k = F.pad(torch.cat([k, places], dim=-1), (0, spare))
        if path == "flash":
            v = F.pad(v, (0, width - self.head_dim))
        return F.scaled_dot_product_attention(q, k, v, scale=1.0)[..., : self.head_dim]

    def _flex(self, q: Tensor, k: Tensor, v: Tensor, to_row: Tensor, to_column: Tensor) -> Tensor:
        side = self.side

        def biased(score: Tensor, n: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return score + to_row[n, head, query, key // side] + to_column[n, head, query, key % side]

        out = flex_attention(q, k, v, score_mod=biased)
        assert isinstance(out, Tensor)
        return out
