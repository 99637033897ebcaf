"""gpt-oss's gated unit, (up + 1) · gate · sigmoid(alpha · gate), forward and backward.

Legend: n rows, F intermediate width. ``gate_up`` is [n, 2F]: all gates, then all ups.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from animelm.model.compile import compiled

# Gradients of gate_up [n, 2F] and of the row weights [n], and the unit [n, F].
_Gradients = tuple[Tensor, Tensor, Tensor]


class _Parts(NamedTuple):
    """Parts of the unit, each [n, F]: sigmoid, gate · sigmoid, and the clamped up + 1."""

    sigmoid: Tensor
    glu: Tensor
    up: Tensor


@dataclass(frozen=True)
class SwiGLU:
    """The gated unit of one model. Gates are clamped from above at ``limit``, ups on both sides.

    Attributes:
        alpha: factor inside the sigmoid.
        limit: bound at which gates and ups are clamped.
        fused: whether each pass is compiled into one loop.
    """

    alpha: float
    limit: float
    fused: bool = False

    def forward(self, gate_up: Tensor) -> Tensor:
        """[n, 2F] -> [n, F]."""
        return _fused(self)[0](gate_up) if self.fused else _unit(self, gate_up)

    def backward(self, gate_up: Tensor, grad: Tensor, weights: Tensor) -> _Gradients:
        """Gradients through weights[:, None] · unit, and the unit itself.

        Args:
            gate_up: [n, 2F], the input of ``forward``.
            grad: [n, F], of the weighted unit.
            weights: [n], one per row.

        Returns:
            Gradients of ``gate_up`` [n, 2F] and of the weights [n], and the unit [n, F].
        """
        if self.fused:
            return _fused(self)[1](gate_up, grad, weights)
        return _gradients(self, gate_up, grad, weights)


def _parts(swiglu: SwiGLU, gate_up: Tensor) -> _Parts:
    gates, ups = gate_up.chunk(2, -1)
    gates = gates.clamp(max=swiglu.limit)
    ups = ups.clamp(-swiglu.limit, swiglu.limit).add_(1)
    sigmoid = torch.mul(gates, swiglu.alpha).sigmoid_()
    return _Parts(sigmoid, gates.mul_(sigmoid), ups)


def _unit(swiglu: SwiGLU, gate_up: Tensor) -> Tensor:
    parts = _parts(swiglu, gate_up)
    return parts.glu * parts.up


def _gradients(swiglu: SwiGLU, gate_up: Tensor, grad: Tensor, weights: Tensor) -> _Gradients:
    parts = _parts(swiglu, gate_up)
    unit = parts.glu * parts.up
    grad_weights = (grad * unit).sum(-1)
    grad = grad * weights[:, None]
    gates, ups = gate_up.chunk(2, -1)
    grad_ups = (grad * parts.glu).masked_fill_(ups.abs() > swiglu.limit, 0)
    # d(glu)/d(gate) = sigmoid + alpha · glu · (1 - sigmoid)
    slope = (1 - parts.sigmoid).mul_(parts.glu).mul_(swiglu.alpha).add_(parts.sigmoid)
    grad_gates = slope.mul_(parts.up).mul_(grad).masked_fill_(gates > swiglu.limit, 0)
    return torch.cat([grad_gates, grad_ups], -1), grad_weights, unit


@cache
def _fused(swiglu: SwiGLU) -> tuple[Callable[..., Tensor], Callable[..., _Gradients]]:
    """Forward and backward pass, compiled with the unit's constants."""

    def gated_unit(gate_up: Tensor) -> Tensor:
        return _unit(swiglu, gate_up)

    def gated_unit_backward(gate_up: Tensor, grad: Tensor, weights: Tensor) -> _Gradients:
        return _gradients(swiglu, gate_up, grad, weights)

    return compiled(gated_unit), compiled(gated_unit_backward)
