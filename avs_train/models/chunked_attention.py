"""Exact attention with relative positions for CPUs: a cache-sized piece of the score matrix at a time.

Keeps queries, keys and values for the backward pass and computes the scores again there, as flash attention
does (arXiv 2205.14135). PyTorch's own CPU flash kernel takes no bias that needs gradients, and widening
its heads by the relative positions triples the arithmetic of a global block.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

PIECE = 1 << 20  # scores at a time: 4 MiB in float32, about a core's share of the cache


class ChunkedAttention(torch.autograd.Function):
    """softmax(q·k / sqrt(d) + q·row + q·column) v for every head of every window.

    Args:
        q, k, v: (n, side * side, d), one entry a head and window.
        row: (side, side, d), the vector for a query in row i and a key in row k at [i, k].
        column: (side, side, d), the same for columns.

    Returns:
        (n, side * side, d)
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, row: Tensor, column: Tensor) -> Tensor:
        ctx.save_for_backward(q, k, v, row, column)
        out = torch.empty_like(v)
        for heads, queries, rows in _pieces(len(q), len(row)):
            weights = _weights(q[heads, queries], k[heads], row[rows], column)
            out[heads, queries] = torch.bmm(weights, v[heads])
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        (d_out,) = grads
        q, k, v, row, column = ctx.saved_tensors
        side, scale = len(row), q.shape[-1] ** -0.5
        d_q = torch.empty_like(q)
        # Sums over pieces, so not in bfloat16; transposed, because transposing the scores would copy them.
        kind = torch.promote_types(q.dtype, torch.float32)
        d_k, d_v = (q.new_zeros(x.transpose(1, 2).shape, dtype=kind) for x in (k, v))
        d_row, d_column = torch.zeros_like(row), torch.zeros_like(column)
        for heads, queries, rows in _pieces(len(q), side):
            piece, d_piece = q[heads, queries], d_out[heads, queries]
            weights = _weights(piece, k[heads], row[rows], column)
            d_v[heads] += torch.bmm(d_piece.transpose(1, 2), weights)
            d_weights = torch.bmm(d_piece, v[heads].transpose(1, 2))
            d_scores = torch.ops.aten._softmax_backward_data(d_weights, weights, -1, weights.dtype)
            d_k[heads] += torch.bmm(piece.transpose(1, 2), d_scores)
            d_dot, d_to_row, d_to_column = _gather(d_scores, k[heads], side)
            d_grid = d_dot * scale
            d_grid += torch.einsum("nijk,ikc->nijc", d_to_row, row[rows])
            d_grid += torch.einsum("nijk,jkc->nijc", d_to_column, column)
            d_q[heads, queries] = d_grid.flatten(1, 2)
            if ctx.needs_input_grad[3]:
                grid = piece.unflatten(1, (-1, side))
                d_row[rows] += torch.einsum("nijk,nijc->ikc", d_to_row, grid)
                d_column += torch.einsum("nijk,nijc->jkc", d_to_column, grid)
        d_k, d_v = (x.transpose(1, 2).to(q.dtype) for x in (d_k.mul_(scale), d_v))
        return d_q, d_k, d_v, d_row, d_column


def _pieces(entries: int, side: int) -> Iterator[tuple[slice, slice, slice]]:
    """Slices of entries, of queries, and of the grid rows that those queries are: about PIECE scores each."""
    tokens = side**2
    together = max(1, PIECE // tokens**2)
    rows = max(1, min(side, PIECE // (tokens * side)))
    for entry in range(0, entries, together):
        for top in range(0, side, rows):
            bottom = min(top + rows, side)
            yield slice(entry, entry + together), slice(top * side, bottom * side), slice(top, bottom)


def _weights(q: Tensor, k: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Attention weights (n, queries, keys) of some whole grid rows of queries."""
    scale, side = q.shape[-1] ** -0.5, len(column)
    grid = q.unflatten(1, (-1, side))
    to_row = torch.einsum("nijc,ikc->nijk", grid, row)
    to_column = torch.einsum("nijc,jkc->nijk", grid, column)
    if _inside(k, side):
        widened = torch.cat([grid * scale, to_row, to_column], dim=-1).flatten(1, 2)
        return torch.bmm(widened, _with_places(k, side).transpose(1, 2)).softmax(-1)
    bias = (to_row.unsqueeze(-1) + to_column.unsqueeze(-2)).flatten(3).flatten(1, 2)
    return bias.baddbmm_(q, k.transpose(1, 2), alpha=scale).softmax(-1)


def _gather(d_scores: Tensor, k: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """What the scores send back to q (before scaling), to q·row and to q·column: (n, rows, side, ...)."""
    if _inside(k, side):
        parts = torch.bmm(d_scores, _with_places(k, side)).unflatten(1, (-1, side))
        return parts.split([k.shape[-1], side, side], dim=-1)
    by_place = d_scores.unflatten(2, (side, side)).unflatten(1, (-1, side))
    return torch.bmm(d_scores, k).unflatten(1, (-1, side)), by_place.sum(-1), by_place.sum(-2)


def _inside(k: Tensor, side: int) -> bool:
    """Whether row and column numbers fit beside a key: then a wider product is faster than adding a bias."""
    return 2 * side <= k.shape[-1]


def _with_places(k: Tensor, side: int) -> Tensor:
    """Keys with their row and column as one-hot numbers: (n, side * side, d + 2 * side)."""
    one_hot = torch.eye(side, dtype=k.dtype)
    places = torch.cat([one_hot.repeat_interleave(side, 0), one_hot.repeat(side, 1)], dim=1)
    return torch.cat([k, places.expand(len(k), -1, -1)], dim=-1)
