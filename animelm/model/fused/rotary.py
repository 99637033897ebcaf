"""Rotary position embedding (arXiv 2104.09864) of query and key where they lie side by side.

Legend: T tokens, H query heads, J key heads, D head dimension. Heads are rotated by halves: value i
and value i + D/2 are a pair.
"""

import torch
from torch import Tensor

from animelm.model.operators import operator

_KERNELS = "animelm.model.fused.kernels.rotary"


@operator("(Tensor(a!) states, Tensor cos, Tensor sin, int heads) -> ()", _KERNELS)
def rotate(states: Tensor, cos: Tensor, sin: Tensor, heads: int) -> None:
    """Rotates the first ``heads`` heads of ``states`` [T, heads and more, D] in place.

    Args:
        states: contiguous.
        cos, sin: [T, D/2].
        heads: those of query and key.
    """
    states[:, :heads] = _rotated(states[:, :heads], cos, sin)


@operator(
    "(Tensor query, Tensor key, Tensor value, Tensor cos, Tensor sin) -> Tensor",
    _KERNELS,
)
def rotate_back(query: Tensor, key: Tensor, value: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotates gradients of query [T, H, D] and key [T, J, D] back; with value's: [T, H + 2J, D]."""
    return torch.cat([_rotated(query, cos, -sin), _rotated(key, cos, -sin), value], 1)


def _rotated(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = states.float().chunk(2, -1)
    cos, sin = cos.float()[:, None], sin.float()[:, None]
    rotated = torch.cat([first * cos - second * sin, second * cos + first * sin], -1)
    return rotated.to(states.dtype)
