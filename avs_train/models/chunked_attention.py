"""Exact attention with relative positions for CPUs: a cache-sized piece of the score matrix at a time.

Keeps queries, keys and values for the backward pass and computes the scores again there, as flash attention
does (arXiv 2205.14135). PyTorch's own CPU flash kernel takes no bias that needs gradients, and widening
its heads by the relative positions triples the arithmetic of a global block.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from avs_train.models.projection import onednn_fits, onednn_linear

PIECE = 1 << 20  # scores at a time: 4 MiB in float32, about a core's share of the cache


class ChunkedAttention(torch.autograd.Function):
    """softmax(q·k / sqrt(d) + q·row + q·column) v for every head of every window.

    Args:
        q, k, v: (n, side * side, d), contiguous, one entry a head and window.
        row: (side, side, d), the vector for a query in row i and a key in row k at [i, k].
        column: (side, side, d), the same for columns.

    Returns:
        (n, side * side, d)
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, row: Tensor, column: Tensor) -> Tensor:
        ctx.save_for_backward(q, k, v, row, column)
        attend = _Weights(q, k, row, column)
        out = torch.empty_like(v)
        for heads, queries in _pieces(len(q), len(row)):
            _product(attend(heads, queries), v[heads], out[heads, queries])
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, row, column = ctx.saved_tensors
        d_out = grads[0].contiguous()
        side, scale = len(row), q.shape[-1] ** -0.5
        attend = _Weights(q, k, row, column)
        # Sums over pieces, so not in bfloat16; transposed, because transposing the scores would copy them.
        kind = torch.promote_types(q.dtype, torch.float32)
        d_k, d_v = (q.new_zeros(x.transpose(1, 2).shape, dtype=kind) for x in (k, v))
        d_q = torch.empty_like(q)
        d_to_row, d_to_column = (q.new_empty(*q.shape[:2], side) for _ in range(2))
        d_scores_buffer = torch.empty_like(attend.scores)
        for heads, queries in _pieces(len(q), side):
            piece, d_piece = q[heads, queries], d_out[heads, queries]
            weights = attend(heads, queries)
            _add_product(d_v[heads], d_piece.transpose(1, 2), weights)
            d_weights = _product(d_piece, v[heads].transpose(1, 2), _like(attend.scores, weights))
            d_scores = torch.ops.aten._softmax_backward_data.out(
                d_weights, weights, -1, weights.dtype, grad_input=_like(d_scores_buffer, weights)
            )
            _add_product(d_k[heads], piece.transpose(1, 2), d_scores)
            _product(d_scores, k[heads], d_q[heads, queries])
            by_place = d_scores.unflatten(2, (side, side))
            torch.sum(by_place, -1, out=d_to_row[heads, queries])
            torch.sum(by_place, -2, out=d_to_column[heads, queries])
        d_to_row, d_to_column, grid = (x.unflatten(1, (side, side)) for x in (d_to_row, d_to_column, q))
        d_grid = d_q.mul_(scale).unflatten(1, (side, side))
        d_grid += torch.einsum("nijk,ikc->nijc", d_to_row, row)
        d_grid += torch.einsum("nijk,jkc->nijc", d_to_column, column)
        d_k, d_v = (x.transpose(1, 2).to(q.dtype) for x in (d_k.mul_(scale), d_v))
        if not ctx.needs_input_grad[3]:
            return d_q, d_k, d_v, None, None
        d_row = torch.einsum("nijk,nijc->ikc", d_to_row, grid)
        d_column = torch.einsum("nijk,nijc->jkc", d_to_column, grid)
        return d_q, d_k, d_v, d_row, d_column


class _Weights:
    """Attention weights of any piece, in buffers that every piece uses again: new memory costs page faults.

    Called with slices of entries and queries -> (n, queries, keys), good until the next call.
    """

    def __init__(self, q: Tensor, k: Tensor, row: Tensor, column: Tensor) -> None:
        tokens, side = q.shape[1], len(row)
        grid = q.unflatten(1, (side, side))
        self.to_row = torch.einsum("nijc,ikc->nijk", grid, row).flatten(1, 2)
        self.to_column = torch.einsum("nijc,jkc->nijk", grid, column).flatten(1, 2)
        self.scale = q.shape[-1] ** -0.5
        self.q, self.k = q, k
        # Where row and column numbers fit beside a key, a wider product is faster than adding a bias.
        self.inside = 2 * side <= q.shape[-1]
        if self.inside:
            self.q = torch.cat([q * self.scale, self.to_row, self.to_column], dim=-1)
            one_hot = torch.eye(side, dtype=k.dtype)
            places = torch.cat([one_hot.repeat_interleave(side, 0), one_hot.repeat(side, 1)], dim=1)
            self.k = torch.cat([k, places.expand(len(k), -1, -1)], dim=-1)
        heads, queries = next(_pieces(len(q), side))
        shape = (min(heads.stop, len(q)), queries.stop, tokens)
        self.scores, self.weights = q.new_empty(shape), q.new_empty(shape)

    def __call__(self, heads: slice, queries: slice) -> Tensor:
        q, k = self.q[heads, queries], self.k[heads].transpose(1, 2)
        scores = self.scores[: len(q), : q.shape[1]]
        _product(q, k, scores)
        if not self.inside:
            to_row, to_column = self.to_row[heads, queries], self.to_column[heads, queries]
            bias = _like(self.weights, scores)
            grid = bias.unflatten(2, (to_row.shape[-1], -1))
            torch.add(to_row.unsqueeze(-1), to_column.unsqueeze(-2), out=grid)
            torch.add(bias, scores, alpha=self.scale, out=scores)
        return torch.softmax(scores, -1, out=_like(self.weights, scores))


def _like(buffer: Tensor, piece: Tensor) -> Tensor:
    """The part of a buffer that has the size of a piece; contiguous, as a piece cuts entries or queries."""
    return buffer[: len(piece), : piece.shape[1]]


def _product(a: Tensor, b: Tensor, out: Tensor) -> Tensor:
    """a b for each entry, written to `out`."""
    if len(a) == 1 and onednn_fits(a):
        return out.copy_(onednn_linear(a[0], b[0].t()).unsqueeze(0))
    return torch.bmm(a, b, out=out)


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """total += a b, where the total may be of higher precision than the product."""
    if len(a) == 1 and onednn_fits(a):
        total += onednn_linear(a[0], b[0].t())
    elif total.dtype == a.dtype:
        total.baddbmm_(a, b)
    else:
        total += torch.bmm(a, b)


def _pieces(entries: int, side: int) -> Iterator[tuple[slice, slice]]:
    """Slices of entries and of queries: about PIECE scores each, in whole grid rows of queries."""
    tokens = side**2
    together = max(1, PIECE // tokens**2)
    rows = max(1, min(side, PIECE // (tokens * side)))
    for entry in range(0, entries, together):
        for top in range(0, side, rows):
            yield slice(entry, entry + together), slice(top * side, min(top + rows, side) * side)
