"""Frozen projections in float32 on a CPU, by oneDNN.

PyTorch gives float32 products to MKL; on the AMD EPYC that was measured, oneDNN is twice as fast. The operator
is the one that PyTorch's own compiler emits for frozen weights; it is not public, so where it is gone `F.linear` works.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (..., n) times weight (m, n) transposed, plus bias (m,); no gradient.

    One dimension of each must have stride 1 and the other no gap: with others it took seconds instead of a millisecond.
    """
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def onednn_fits(x: Tensor) -> bool:
    """Whether `onednn_linear` takes this tensor and is worth it: eager float32 on a CPU that has oneDNN."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and not torch.compiler.is_compiling()
    )


class FrozenLinear(torch.autograd.Function):
    """`onednn_linear` whose gradient reaches the input only, so nothing but the weight is kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return onednn_linear(x.contiguous(), weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        return onednn_linear(grads[0].contiguous(), weight.t()), None, None


class Projection(nn.Linear):
    """A linear layer of the encoder: (..., in) -> (..., out), the input cast to the precision of the weights."""

    def forward(self, input: Tensor) -> Tensor:
        x = input.to(self.weight.dtype)
        if onednn_fits(x) and not self.weight.requires_grad and not torch.is_autocast_enabled("cpu"):
            return FrozenLinear.apply(x, self.weight, self.bias)
        return F.linear(x, self.weight, self.bias)
