"""RMSNorm in one operation forward and one backward, for a weight that is not trained.

y = w · x · r with r = 1 / √(mean(x²) + ε), computed in float32 and rounded once. Kept for the
backward pass are x in its own type and r.

Legend: N rows, C width.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn

from animelm.model.operators import operator

_KERNELS = "animelm.model.fused.kernels.norm"


@operator("(Tensor x, Tensor weight, float epsilon) -> (Tensor, Tensor)", _KERNELS)
def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """The norm of x [N, C], and each row's factor r, float32 [N]."""
    wide = x.float()
    factor = torch.rsqrt(wide.square().mean(-1) + epsilon)
    return (weight * (wide * factor[:, None])).to(x.dtype), factor


@operator("(Tensor grad, Tensor x, Tensor weight, Tensor factor) -> Tensor", _KERNELS)
def rms_norm_backward(grad: Tensor, x: Tensor, weight: Tensor, factor: Tensor) -> Tensor:
    """Gradient of x, for ``grad`` [N, C] of the norm."""
    normed = x.float() * factor[:, None]
    weighted = grad.float() * weight
    shared = (weighted * normed).mean(-1, keepdim=True)
    return ((weighted - normed * shared) * factor[:, None]).to(x.dtype)


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, epsilon):
        y, factor = rms_norm(x, weight, epsilon)
        ctx.save_for_backward(x, weight, factor)
        return y

    @staticmethod
    def backward(ctx, grad):
        return rms_norm_backward(grad.contiguous(), *ctx.saved_tensors), None, None


def fused_norm_forward(norm: nn.Module, states: Tensor) -> Tensor:
    """In place of the forward pass of transformers' RMSNorm; states [..., C]."""
    module: Any = norm
    if module.weight.requires_grad and torch.is_grad_enabled():
        return cast(Tensor, type(norm).forward(norm, states))
    rows = states.reshape(-1, states.shape[-1])
    return _Norm.apply(rows, module.weight, module.variance_epsilon).view_as(states)
