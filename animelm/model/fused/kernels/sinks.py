"""Sinks of attention, one program for each token.

Legend: T tokens, H heads, D head dimension.
"""

import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def sink_kernel(
    out, logarithms, sinks, tokens, heads, dimension, HEADS: tl.constexpr, BLOCK: tl.constexpr
):
    """All heads of one token."""
    token = tl.program_id(0).to(tl.int64)
    head = tl.arange(0, HEADS)
    is_head = head < heads
    before = tl.load(logarithms + head.to(tl.int64) * tokens + token, mask=is_head, other=0.0)
    sink = tl.load(sinks + head, mask=is_head, other=0.0).to(tl.float32)
    larger = tl.maximum(before, sink)
    after = larger + tl.log(tl.exp(before - larger) + tl.exp(sink - larger))
    share = tl.exp(before - after)[:, None]
    column = tl.arange(0, BLOCK)[None, :]
    inside = is_head[:, None] & (column < dimension)
    place = out + (token * heads + head[:, None]) * dimension + column
    values = tl.load(place, mask=inside, other=0.0).to(tl.float32) * share
    tl.store(place, values.to(out.dtype.element_ty), mask=inside)
    tl.store(logarithms + head.to(tl.int64) * tokens + token, after, mask=is_head)


def give_to_sinks(out: Tensor, logarithms: Tensor, sinks: Tensor) -> None:
    """See ``fused.attention``; ``out`` and ``logarithms`` are contiguous."""
    tokens, heads, dimension = out.shape
    sink_kernel[(tokens,)](
        out,
        logarithms,
        sinks,
        tokens,
        heads,
        dimension,
        HEADS=triton.next_power_of_2(heads),
        BLOCK=triton.next_power_of_2(dimension),
    )
