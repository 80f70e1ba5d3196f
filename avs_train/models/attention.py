"""Self-attention of SAM's encoder: windows or the whole grid, with decomposed relative positions.

The relative-position bias of a query at (i, j) for a key at (k, l) is q·Rh[i-k] + q·Rw[j-l] (MViTv2,
arXiv 2112.01526, section 4.1). Written as a dot product it needs no bias matrix: append q·Rh[i-:] and
q·Rw[j-:] to the query and one-hot row and column numbers to the key. Then a plain flash attention gives the
exact result and exact gradients, and saves memory linear in the number of tokens.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEAD_MULTIPLE = 8  # flash kernels want head widths in multiples of 8


class WindowAttention(nn.Module):
    """Multi-head self-attention over a grid of tokens, inside square windows or over all of it.

    Args:
        dim: token width C.
        heads: number of heads; divides `dim`.
        grid: tokens a side of the input.
        window: tokens a side of a window; 0 attends over the whole grid.
        bias_up_to: with at most this many tokens in a window, add the relative positions as a bias matrix
            instead of appending them to queries and keys. Same result; faster or slower by device and size.
    """

    def __init__(self, dim: int, heads: int, grid: int, window: int, *, bias_up_to: int) -> None:
        super().__init__()
        self.heads = heads
        self.head_dim = dim // heads
        self.side = window or grid
        self.as_bias = self.side**2 <= bias_up_to
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * self.side - 1, self.head_dim))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * self.side - 1, self.head_dim))

        places = torch.arange(self.side)
        self.register_buffer("distance", places[:, None] - places[None, :] + self.side - 1, persistent=False)
        self.distance: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C), in the precision of the projections."""
        batch, height, width, dim = x.shape
        down, across = -(-height // self.side), -(-width // self.side)

        qkv = self._pad(self.qkv(x.to(self.qkv.weight.dtype)), down * self.side, across * self.side)
        qkv = qkv.view(batch, down, self.side, across, self.side, 3, self.heads, self.head_dim)
        qkv = qkv.permute(5, 0, 1, 3, 6, 2, 4, 7)
        q, k, v = qkv.reshape(3, batch * down * across, self.heads, self.side**2, self.head_dim).unbind(0)

        out = self._attend_with_bias(q, k, v) if self.as_bias else self._attend(q, k, v)

        out = out.view(batch, down, across, self.heads, self.side, self.side, self.head_dim)
        out = out.permute(0, 1, 4, 2, 5, 3, 6).reshape(batch, down * self.side, across * self.side, dim)
        return self.proj(out[:, :height, :width])

    def _pad(self, qkv: Tensor, height: int, width: int) -> Tensor:
        """Fill up to whole windows. SAM pads with zeros before the projection, so a pad's qkv is the bias."""
        bias = self.qkv.bias.to(qkv.dtype)
        batch, rows, columns, channels = qkv.shape
        if columns < width:
            qkv = torch.cat([qkv, bias.expand(batch, rows, width - columns, channels)], dim=2)
        if rows < height:
            qkv = torch.cat([qkv, bias.expand(batch, height - rows, width, channels)], dim=1)
        return qkv

    def _relative(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """q·Rh and q·Rw, each (n, heads, side * side, side): one number a query and key row (or column)."""
        grid = q.unflatten(2, (self.side, self.side))
        rows = torch.einsum("nhijc,ikc->nhijk", grid, self.rel_pos_h.to(q.dtype)[self.distance])
        columns = torch.einsum("nhijc,jkc->nhijk", grid, self.rel_pos_w.to(q.dtype)[self.distance])
        return rows.flatten(2, 3), columns.flatten(2, 3)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Relative positions inside the dot product. q, k, v: (n, heads, tokens, head_dim)."""
        spare = -(self.head_dim + 2 * self.side) % HEAD_MULTIPLE
        rows, columns = self._relative(q)
        one_hot = torch.eye(self.side, dtype=k.dtype, device=k.device)
        places = torch.cat(
            [one_hot.repeat_interleave(self.side, 0), one_hot.repeat(self.side, 1)], dim=1
        ).expand(*k.shape[:2], -1, -1)
        q = F.pad(torch.cat([q * self.head_dim**-0.5, rows, columns], dim=-1), (0, spare))
        k = F.pad(torch.cat([k, places], dim=-1), (0, spare))
        v = F.pad(v, (0, 2 * self.side + spare))
        return F.scaled_dot_product_attention(q, k, v, scale=1.0)[..., : self.head_dim]

    def _attend_with_bias(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Relative positions as a (tokens, tokens) bias, for windows of few tokens."""
        rows, columns = self._relative(q)
        bias = (rows.unsqueeze(-1) + columns.unsqueeze(-2)).flatten(-2)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
