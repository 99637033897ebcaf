"""Rotary position embedding, one program for each token.

Legend: T tokens, H query heads, J key heads, D head dimension.
"""

import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def rotary_kernel(
    query,
    key,
    value,
    out,
    cos,
    sin,
    query_stride,
    key_stride,
    value_stride,
    out_stride,
    angle_stride,
    query_heads,
    key_heads,
    heads,
    BACK: tl.constexpr,
    HEADS: tl.constexpr,
    HALF: tl.constexpr,
):
    """A token's heads, from query, key and value (which is not rotated) to ``out``."""
    token = tl.program_id(0).to(tl.int64)
    head = tl.arange(0, HEADS)[:, None]
    column = tl.arange(0, HALF)[None, :]
    is_query, is_rotated = head < query_heads, head < query_heads + key_heads
    is_key, is_value = (
        is_rotated & (head >= query_heads),
        (head < heads) & (head >= query_heads + key_heads),
    )
    from_query = query + token * query_stride + head * 2 * HALF + column
    from_key = key + token * key_stride + (head - query_heads) * 2 * HALF + column
    place = (head - query_heads - key_heads) * 2 * HALF + column
    from_value = value + token * value_stride + place
    first = tl.load(from_query, mask=is_query, other=0.0).to(tl.float32)
    second = tl.load(from_query + HALF, mask=is_query, other=0.0).to(tl.float32)
    first += tl.load(from_key, mask=is_key, other=0.0).to(tl.float32)
    second += tl.load(from_key + HALF, mask=is_key, other=0.0).to(tl.float32)
    first += tl.load(from_value, mask=is_value, other=0.0).to(tl.float32)
    second += tl.load(from_value + HALF, mask=is_value, other=0.0).to(tl.float32)
    angle = token * angle_stride + column
    cosine = tl.where(is_rotated, tl.load(cos + angle).to(tl.float32), 1.0)
    sine = tl.where(is_rotated, tl.load(sin + angle).to(tl.float32), 0.0)
    if BACK:
        sine = -sine
    to = out + token * out_stride + head * 2 * HALF + column
    inside = head < heads
    kind = out.dtype.element_ty
    tl.store(to, (first * cosine - second * sine).to(kind), mask=inside)
    tl.store(to + HALF, (second * cosine + first * sine).to(kind), mask=inside)


def _launch(
    parts: tuple[Tensor, Tensor, Tensor],
    heads: int,
    out: Tensor,
    cos: Tensor,
    sin: Tensor,
    back: bool,
) -> None:
    query, key, value = parts
    rotary_kernel[(len(out),)](
        query,
        key,
        value,
        out,
        cos,
        sin,
        query.stride(0),
        key.stride(0),
        value.stride(0),
        out.stride(0),
        cos.stride(0),
        query.shape[1],
        key.shape[1],
        heads,
        BACK=back,
        HEADS=triton.next_power_of_2(heads),
        HALF=out.shape[2] // 2,
    )


def rotate(states: Tensor, cos: Tensor, sin: Tensor, heads: int) -> None:
    """See ``fused.rotary``."""
    _launch((states[:, :heads], states[:, :0], states[:, :0]), heads, states, cos, sin, False)


def rotate_back(query: Tensor, key: Tensor, value: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """See ``fused.rotary``."""
    heads = query.shape[1] + 2 * key.shape[1]
    out = query.new_empty(len(query), heads, query.shape[2])
    parts = (query.contiguous(), key.contiguous(), value.contiguous())
    _launch(parts, heads, out, cos, sin, True)
    return out
