"""Triton kernels of ``moe.grouped.operators``.

Legend: T tokens, K experts chosen per token, E experts, N = T·K rows sorted by expert, C hidden
width, F intermediate width, I and O widths of a layer, R LoRA rank, P columns of an update.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

ROWS = 256  # of a program that sorts
COLUMNS = 1024  # of a program that sums
WIDE = 8  # warps of a program for a whole row
TILE = 1024


@triton.jit
def sorted_rows_kernel(
    expert,
    order,
    token,
    place,
    starts,
    ends,
    rows,
    experts,
    chosen,
    STEPS: tl.constexpr,
    EXPERTS: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Tokens and places of some rows; the first program also finds where each expert begins."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    exists = row < rows
    choice = tl.load(order + row, mask=exists, other=0)
    tl.store(token + row, choice // chosen, mask=exists)
    tl.store(place + choice, row.to(tl.int64), mask=exists)
    if tl.program_id(0) == 0:
        number = tl.arange(0, EXPERTS)
        # Halves the span in which the first row of this or of a later expert lies.
        low = tl.zeros((EXPERTS,), dtype=tl.int32)
        high = low + rows
        for _ in tl.static_range(STEPS):
            middle = (low + high) // 2
            found = tl.load(expert + middle, mask=middle < rows, other=experts)
            smaller = (low < high) & (found < number)
            low, high = tl.where(smaller, middle + 1, low), tl.where(smaller, high, middle)
        tl.store(starts + number, low, mask=number < experts)
        # An expert ends where the next one begins.
        before = (number > 0) & (number <= experts)
        tl.store(ends + number - 1, low, mask=before)


def sorted_rows(
    expert: Tensor, order: Tensor, experts: int, chosen: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See ``operators``."""
    rows, (token, place) = len(order), (torch.empty_like(order) for _ in range(2))
    starts, ends = (order.new_empty(experts, dtype=torch.int32) for _ in range(2))
    sorted_rows_kernel[(triton.cdiv(rows, ROWS),)](
        expert,
        order,
        token,
        place,
        starts,
        ends,
        rows,
        experts,
        chosen,
        STEPS=rows.bit_length() + 1,
        EXPERTS=triton.next_power_of_2(experts + 1),
        ROWS=ROWS,
    )
    return token, place, starts, ends


@triton.jit
def combine_kernel(
    rows,
    place,
    weights,
    out,
    width,
    CHOSEN: tl.constexpr,
    WEIGHTED: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Some columns of one token's sum."""
    token = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < width
    total = tl.zeros((COLUMNS,), dtype=tl.float32)
    for choice in tl.static_range(CHOSEN):
        row = tl.load(place + token * CHOSEN + choice)
        values = tl.load(rows + row * width + column, mask=inside, other=0.0).to(tl.float32)
        if WEIGHTED:
            values *= tl.load(weights + token * CHOSEN + choice).to(tl.float32)
        total += values
    tl.store(out + token * width + column, total.to(out.dtype.element_ty), mask=inside)


def combine(rows: Tensor, place: Tensor, weights: Tensor | None) -> Tensor:
    """See ``operators``."""
    width, out = rows.shape[1], rows.new_empty(len(place), rows.shape[1])
    combine_kernel[(len(place), triton.cdiv(width, COLUMNS))](
        rows.contiguous(),
        place,
        rows if weights is None else weights.contiguous(),
        out,
        width,
        CHOSEN=place.shape[1],
        WEIGHTED=weights is not None,
        COLUMNS=COLUMNS,
    )
    return out


@triton.jit
def unit_parts(gate_up, row, column, width, alpha, limit):
    """Gate and up of some columns as they are; clamped; and the sigmoid."""
    place = gate_up + row * 2 * width + 2 * column
    raw_gate = tl.load(place, mask=column < width, other=0.0).to(tl.float32)
    raw_up = tl.load(place + 1, mask=column < width, other=0.0).to(tl.float32)
    gate = tl.minimum(raw_gate, limit)
    up = tl.minimum(tl.maximum(raw_up, -limit), limit) + 1
    return raw_gate, raw_up, gate, up, tl.sigmoid(alpha * gate)


@triton.jit
def gated_unit_kernel(gate_up, out, width, alpha, limit, BLOCK: tl.constexpr):
    """One row of the unit."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    _, _, gate, up, sigmoid = unit_parts(gate_up, row, column, width, alpha, limit)
    unit = up * gate * sigmoid
    tl.store(out + row * width + column, unit.to(out.dtype.element_ty), mask=column < width)


@triton.jit
def gated_unit_backward_kernel(
    gate_up,
    grad,
    weights,
    order,
    shares,
    grad_gate_up,
    grad_weights,
    weighted,
    width,
    share_stride,
    alpha,
    limit,
    SHARES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The gradients of one row."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < width
    raw_gate, raw_up, gate, up, sigmoid = unit_parts(gate_up, row, column, width, alpha, limit)
    unit = up * gate * sigmoid
    choice = tl.load(order + row)
    weight = tl.load(weights + choice).to(tl.float32)
    wide = tl.load(grad + row * width + column, mask=inside, other=0.0).to(tl.float32)
    of_weight = tl.sum(wide * unit, 0)
    if SHARES:
        of_weight += tl.load(shares + row * share_stride).to(tl.float32)
    tl.store(grad_weights + choice, of_weight.to(grad_weights.dtype.element_ty))
    wide *= weight
    slope = sigmoid * (1 + alpha * gate * (1 - sigmoid)) * up
    of_gate = tl.where(raw_gate > limit, 0.0, wide * slope)
    of_up = tl.where(tl.abs(raw_up) > limit, 0.0, wide * gate * sigmoid)
    kind = grad_gate_up.dtype.element_ty
    place = grad_gate_up + row * 2 * width + 2 * column
    tl.store(place, of_gate.to(kind), mask=inside)
    tl.store(place + 1, of_up.to(kind), mask=inside)
    tl.store(weighted + row * width + column, (unit * weight).to(kind), mask=inside)


def gated_unit(gate_up: Tensor, alpha: float, limit: float) -> Tensor:
    """See ``operators``."""
    rows, width = len(gate_up), gate_up.shape[1] // 2
    out = gate_up.new_empty(rows, width)
    block = triton.next_power_of_2(width)
    gated_unit_kernel[(rows,)](gate_up, out, width, alpha, limit, BLOCK=block, num_warps=WIDE)
    return out


def gated_unit_backward(
    gate_up: Tensor,
    grad: Tensor,
    weights: Tensor,
    order: Tensor,
    shares: Tensor | None,
    alpha: float,
    limit: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """See ``operators``."""
    rows, width = grad.shape
    weights = weights.contiguous()
    grad_gate_up, grad_weights = torch.empty_like(gate_up), torch.empty_like(weights)
    weighted = torch.empty_like(grad)
    gated_unit_backward_kernel[(rows,)](
        gate_up,
        grad,
        weights,
        order,
        grad if shares is None else shares,
        grad_gate_up,
        grad_weights,
        weighted,
        width,
        0 if shares is None else shares.stride(0),
        alpha,
        limit,
        SHARES=shares is not None,
        BLOCK=triton.next_power_of_2(width),
        num_warps=WIDE,
    )
    return grad_gate_up, grad_weights, weighted


@triton.jit
def pack_kernel(
    lora_a,
    lora_b,
    bias,
    padded_a,
    padded_b,
    scaling,
    rank,
    columns,
    inputs,
    outputs,
    count_a,
    count,
    HAS_LORA: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    TILE: tl.constexpr,
):
    """One tile of both padded matrices, one after the other: ``count_a`` values of A first."""
    at = tl.program_id(0).to(tl.int64) * TILE + tl.arange(0, TILE)
    is_a, exists = at < count_a, at < count
    row = at // inputs  # of [E · P, I]
    column = row % columns
    values = tl.zeros((TILE,), dtype=tl.float32)
    if HAS_LORA:
        place = (row // columns * rank + column) * inputs + at % inputs
        values = tl.load(lora_a + place, mask=is_a & (column < rank), other=0.0).to(tl.float32)
    tl.store(padded_a + at, values.to(padded_a.dtype.element_ty), mask=is_a)
    in_b = at - count_a
    row, column = in_b // columns, in_b % columns  # of [E · O, P]
    is_b = exists & (in_b >= 0)
    values = tl.zeros((TILE,), dtype=tl.float32)
    if HAS_LORA:
        mask = is_b & (column < rank)
        values = tl.load(lora_b + row * rank + column, mask=mask, other=0.0).to(tl.float32)
        values *= scaling
    if HAS_BIAS:
        values += tl.load(bias + row, mask=is_b & (column == rank), other=0.0).to(tl.float32)
    tl.store(padded_b + in_b, values.to(padded_b.dtype.element_ty), mask=is_b)


def pack_update(
    lora_a: Tensor | None,
    lora_b: Tensor | None,
    bias: Tensor | None,
    scaling: float,
    sizes: Sequence[int],
    columns: int,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """See ``operators``."""
    experts, outputs, inputs = sizes
    given = bias if lora_a is None else lora_a
    assert given is not None
    padded_a = given.new_empty(experts, columns, inputs, dtype=dtype)
    padded_b = given.new_empty(experts, outputs, columns, dtype=dtype)
    count = padded_a.numel() + padded_b.numel()
    pack_kernel[(triton.cdiv(count, TILE),)](
        given if lora_a is None else lora_a.contiguous(),
        given if lora_b is None else lora_b.contiguous(),
        given if bias is None else bias.contiguous(),
        padded_a,
        padded_b,
        scaling,
        0 if lora_a is None else lora_a.shape[1],
        columns,
        inputs,
        outputs,
        padded_a.numel(),
        count,
        HAS_LORA=lora_a is not None,
        HAS_BIAS=bias is not None,
        TILE=TILE,
    )
    return padded_a, padded_b


@triton.jit
def gradient_kernel(
    grad_a,
    grad_b,
    starts,
    ends,
    of_a,
    of_b,
    scaling,
    rank,
    columns,
    inputs,
    outputs,
    count_a,
    count,
    TILE: tl.constexpr,
):
    """One tile of both gradients, one after the other: ``count_a`` values of A first."""
    at = tl.program_id(0).to(tl.int64) * TILE + tl.arange(0, TILE)
    is_a = at < count_a
    row = at // inputs  # of [E · R, I]
    expert = row // rank
    full = tl.load(starts + expert, mask=is_a, other=0) < tl.load(ends + expert, mask=is_a, other=0)
    place = (expert * columns + row % rank) * inputs + at % inputs
    values = tl.load(grad_a + place, mask=is_a & full, other=0.0).to(tl.float32)
    tl.store(of_a + at, values.to(of_a.dtype.element_ty), mask=is_a)
    in_b = at - count_a
    is_b = (in_b >= 0) & (at < count)
    row = in_b // rank  # of [E · O, R]
    expert = row // outputs
    full = tl.load(starts + expert, mask=is_b, other=0) < tl.load(ends + expert, mask=is_b, other=0)
    place = row * columns + in_b % rank
    values = tl.load(grad_b + place, mask=is_b & full, other=0.0).to(tl.float32) * scaling
    tl.store(of_b + in_b, values.to(of_b.dtype.element_ty), mask=is_b)


def adapter_gradients(
    grad_a: Tensor,
    grad_b: Tensor,
    starts: Tensor,
    ends: Tensor,
    rank: int,
    scaling: float,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """See ``operators``."""
    (experts, columns, inputs), outputs = grad_a.shape, grad_b.shape[1]
    of_a = grad_a.new_empty(experts, rank, inputs, dtype=dtype)
    of_b = grad_b.new_empty(experts, outputs, rank, dtype=dtype)
    count = of_a.numel() + of_b.numel()
    gradient_kernel[(triton.cdiv(count, TILE),)](
        grad_a,
        grad_b,
        starts,
        ends,
        of_a,
        of_b,
        scaling,
        rank,
        columns,
        inputs,
        outputs,
        of_a.numel(),
        count,
        TILE=TILE,
    )
    return of_a, of_b
