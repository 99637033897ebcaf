"""Dropout by Triton's counter-based random numbers (Philox)."""

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE = 1024


@triton.jit(do_not_specialize=["seed"])
def dropout_kernel(
    x, total, out, seed, threshold, factor, count, ADD: tl.constexpr, TILE: tl.constexpr
):
    """One tile; each value is kept if its 32 random bits are at least ``threshold``."""
    at = tl.program_id(0).to(tl.int64) * TILE + tl.arange(0, TILE)
    exists = at < count
    bits = tl.randint(seed, at.to(tl.uint32)).to(tl.uint32, bitcast=True)
    values = tl.load(x + at, mask=exists, other=0.0).to(tl.float32)
    values = tl.where(bits.to(tl.int64) >= threshold, values * factor, 0.0)
    if ADD:
        values += tl.load(total + at, mask=exists, other=0.0).to(tl.float32)
    tl.store(out + at, values.to(out.dtype.element_ty), mask=exists)


def _launch(x: Tensor, total: Tensor, out: Tensor, seed: int, rate: float, add: bool) -> None:
    count = x.numel()
    dropout_kernel[(triton.cdiv(count, TILE),)](
        x,
        total,
        out,
        seed,
        round(rate * 2**32),
        1 / (1 - rate),
        count,
        ADD=add,
        TILE=TILE,
    )


def drop(x: Tensor, seed: int, rate: float) -> Tensor:
    """See ``fused.dropout``."""
    x = x.contiguous()
    out = torch.empty_like(x)
    _launch(x, x, out, seed, rate, add=False)
    return out


def add_dropped(total: Tensor, x: Tensor, seed: int, rate: float) -> None:
    """See ``fused.dropout``; ``total`` is contiguous."""
    _launch(x.contiguous(), total, total, seed, rate, add=True)
