"""Self-attention of SAM's encoder: windows or the whole grid, with decomposed relative positions.

The relative-position bias of a query at (i, j) for a key at (k, l) is q·Rh[i-k] + q·Rw[j-l] (MViTv2,
arXiv 2112.01526, section 4.1). Written as a dot product it needs no bias matrix: append q·Rh[i-:] and
q·Rw[j-:] to the query and one-hot row and column numbers to the key. Then a plain flash attention gives the
exact result and exact gradients, and keeps memory linear in the number of tokens. On a CPU that triples the
arithmetic of a kernel that is no faster than a matrix product, so there `ChunkedAttention` does it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avs_train.models.chunked_attention import ChunkedAttention
from avs_train.models.projection import Projection

HEAD_MULTIPLE = 8  # flash kernels want head widths in multiples of 8


class WindowAttention(nn.Module):
    """Multi-head self-attention over a grid of tokens, inside square windows or over all of it.

    Args:
        dim: token width C.
        heads: number of heads; divides `dim`.
        grid: tokens a side of the input.
        window: tokens a side of a window; 0 attends over the whole grid.
    """

    def __init__(self, dim: int, heads: int, grid: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.head_dim = dim // heads
        self.side = window or grid
        self.qkv = Projection(dim, 3 * dim)
        self.proj = Projection(dim, dim)
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

    def in_pieces(self, q: Tensor) -> bool:
        """Whether `ChunkedAttention` does the work: where there is no fast flash kernel."""
        return q.device.type == "cpu"

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q, k, v: (n, heads, tokens, head_dim) -> (n, heads, tokens, head_dim)."""
        row = self.rel_pos_h.to(q.dtype)[self.distance]  # (side, side, head_dim): query row, key row
        column = self.rel_pos_w.to(q.dtype)[self.distance]
        if self.in_pieces(q):
            # contiguous: a head whose rows lie apart would be copied for every piece
            flat = (x.flatten(0, 1).contiguous() for x in (q, k, v))
            with torch.autocast("cpu", enabled=False):
                return ChunkedAttention.apply(*flat, row, column).view_as(q)

        grid = q.unflatten(2, (self.side, self.side))
        to_row = torch.einsum("nhijc,ikc->nhijk", grid, row).flatten(2, 3)
        to_column = torch.einsum("nhijc,jkc->nhijk", grid, column).flatten(2, 3)
        one_hot = torch.eye(self.side, dtype=k.dtype, device=k.device)
        places = torch.cat([one_hot.repeat_interleave(self.side, 0), one_hot.repeat(self.side, 1)], dim=1)
        places = places.expand(*k.shape[:2], -1, -1)

        spare = -(self.head_dim + 2 * self.side) % HEAD_MULTIPLE
        q = F.pad(torch.cat([q * self.head_dim**-0.5, to_row, to_column], dim=-1), (0, spare))
        k = F.pad(torch.cat([k, places], dim=-1), (0, spare))
        v = F.pad(v, (0, 2 * self.side + spare))
        return F.scaled_dot_product_attention(q, k, v, scale=1.0)[..., : self.head_dim]
