"""RMSNorm, one program for each row.

Legend: N rows, C width.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

WARPS = 8


@triton.jit
def norm_kernel(x, weight, y, factors, width, epsilon, BLOCK: tl.constexpr):
    """One row's norm and factor."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < width
    values = tl.load(x + row * width + column, mask=inside, other=0.0).to(tl.float32)
    factor = 1 / tl.sqrt(tl.sum(values * values, 0) / width + epsilon)
    scale = tl.load(weight + column, mask=inside, other=0.0).to(tl.float32)
    normed = scale * (values * factor)
    tl.store(y + row * width + column, normed.to(y.dtype.element_ty), mask=inside)
    tl.store(factors + row, factor)


@triton.jit
def norm_backward_kernel(grad, x, weight, factors, grad_x, width, BLOCK: tl.constexpr):
    """The gradient of one row."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < width
    place = row * width + column
    factor = tl.load(factors + row)
    normed = tl.load(x + place, mask=inside, other=0.0).to(tl.float32) * factor
    weighted = tl.load(grad + place, mask=inside, other=0.0).to(tl.float32)
    weighted *= tl.load(weight + column, mask=inside, other=0.0).to(tl.float32)
    shared = tl.sum(weighted * normed, 0) / width
    result = (weighted - normed * shared) * factor
    tl.store(grad_x + place, result.to(grad_x.dtype.element_ty), mask=inside)


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """See ``fused.norm``."""
    x = x.contiguous()
    (rows, width), y = x.shape, torch.empty_like(x)
    factors = x.new_empty(rows, dtype=torch.float32)
    block = triton.next_power_of_2(width)
    norm_kernel[(rows,)](x, weight, y, factors, width, epsilon, BLOCK=block, num_warps=WARPS)
    return y, factors


def rms_norm_backward(grad: Tensor, x: Tensor, weight: Tensor, factor: Tensor) -> Tensor:
    """See ``fused.norm``."""
    x = x.contiguous()
    (rows, width), grad_x = x.shape, torch.empty_like(x)
    block = triton.next_power_of_2(width)
    norm_backward_kernel[(rows,)](
        grad, x, weight, factor, grad_x, width, BLOCK=block, num_warps=WARPS
    )
    return grad_x
