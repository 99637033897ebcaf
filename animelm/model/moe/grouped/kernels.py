"""Grouped products as Triton kernels, for GPUs on which PyTorch's ``grouped_mm`` is a loop.

Each program computes one tile of the result. Which expert a tile of rows belongs to is computed by
the program itself from the experts' first rows and ends, so the host need not know them: as many
programs start as there can be tiles, and those beyond the last one end at once.

Legend: E experts, N rows sorted by expert, I and O widths.
"""

import triton
import triton.language as tl
from torch import Tensor

from animelm.model.moe.routing import Groups

_ROWS = 64
# The interpreter would multiply the bits of bf16 values, so there they are widened first.
_WIDEN = triton.knobs.runtime.interpret
_SMALLEST, _LARGEST = 16, 64
PRECISION = "ieee"  # else operands in float32 would be rounded to TF32


@triton.jit
def rows_kernel(
    x,
    weights,
    y,
    starts,
    ends,
    first,
    experts,
    inputs,
    outputs,
    expert_stride,
    input_stride,
    output_stride,
    ADD: tl.constexpr,
    PRECISION: tl.constexpr,
    WIDEN: tl.constexpr,
    EXPERTS: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_OUTPUTS: tl.constexpr,
    BLOCK_INPUTS: tl.constexpr,
):
    """One tile of y [N, O] = x [N, I] times its expert's matrix [I, O], or added to y."""
    tile = tl.program_id(0)
    numbers = tl.arange(0, EXPERTS)
    exists = numbers < experts
    start = tl.load(starts + first + numbers, mask=exists, other=0)
    end = tl.load(ends + first + numbers, mask=exists, other=0)
    tiles = (end - start + BLOCK_ROWS - 1) // BLOCK_ROWS
    tiles_so_far = tl.cumsum(tiles, 0)
    expert = tl.sum(((tiles_so_far <= tile) & exists).to(tl.int32), 0)
    if expert < experts:
        own = numbers == expert
        first_row = start + (tile - tiles_so_far + tiles) * BLOCK_ROWS
        row = tl.sum(tl.where(own, first_row, 0), 0) + tl.arange(0, BLOCK_ROWS)
        is_row = (row < tl.sum(tl.where(own, end, 0), 0))[:, None]
        column = tl.program_id(1) * BLOCK_OUTPUTS + tl.arange(0, BLOCK_OUTPUTS)
        is_column = (column < outputs)[None, :]
        row = row.to(tl.int64)[:, None]
        matrix = weights + expert.to(tl.int64) * expert_stride
        total = tl.zeros((BLOCK_ROWS, BLOCK_OUTPUTS), dtype=tl.float32)
        for begin in range(0, inputs, BLOCK_INPUTS):
            inner = begin + tl.arange(0, BLOCK_INPUTS)
            is_inner = inner < inputs
            left = tl.load(
                x + row * inputs + inner[None, :], mask=is_row & is_inner[None, :], other=0.0
            )
            right = tl.load(
                matrix + inner[:, None] * input_stride + column[None, :] * output_stride,
                mask=is_inner[:, None] & is_column,
                other=0.0,
            )
            if WIDEN:
                left, right = left.to(tl.float32), right.to(tl.float32)
            total = tl.dot(left, right, total, input_precision=PRECISION)
        place = y + row * outputs + column[None, :]
        if ADD:
            total += tl.load(place, mask=is_row & is_column, other=0.0).to(tl.float32)
        tl.store(place, total.to(y.dtype.element_ty), mask=is_row & is_column)


@triton.jit
def outer_kernel(
    x,
    y,
    out,
    starts,
    ends,
    inputs,
    outputs,
    PRECISION: tl.constexpr,
    WIDEN: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_OUTPUTS: tl.constexpr,
    BLOCK_INPUTS: tl.constexpr,
):
    """One tile of an expert's xᵀ y [I, O], for x [N, I] and y [N, O]; zero without rows."""
    expert = tl.program_id(2)
    start, end = tl.load(starts + expert), tl.load(ends + expert)
    left_column = tl.program_id(0) * BLOCK_INPUTS + tl.arange(0, BLOCK_INPUTS)
    right_column = tl.program_id(1) * BLOCK_OUTPUTS + tl.arange(0, BLOCK_OUTPUTS)
    is_left, is_right = (left_column < inputs)[:, None], (right_column < outputs)[None, :]
    total = tl.zeros((BLOCK_INPUTS, BLOCK_OUTPUTS), dtype=tl.float32)
    for begin in range(start, end, BLOCK_ROWS):
        row = begin + tl.arange(0, BLOCK_ROWS)
        is_row = row < end
        row = row.to(tl.int64)
        left = tl.load(
            x + row[None, :] * inputs + left_column[:, None],
            mask=is_left & is_row[None, :],
            other=0.0,
        )
        right = tl.load(
            y + row[:, None] * outputs + right_column[None, :],
            mask=is_row[:, None] & is_right,
            other=0.0,
        )
        if WIDEN:
            left, right = left.to(tl.float32), right.to(tl.float32)
        total = tl.dot(left, right, total, input_precision=PRECISION)
    matrix = out + expert.to(tl.int64) * inputs * outputs
    place = matrix + left_column[:, None] * outputs + right_column[None, :]
    tl.store(place, total.to(out.dtype.element_ty), mask=is_left & is_right)


def write_rows(
    y: Tensor, x: Tensor, weights: Tensor, groups: Groups, first: int = 0, add: bool = False
) -> None:
    """Writes or adds the products of rows x [N, I] with their experts' matrices to y [N, O].

    Args:
        y, x: contiguous.
        weights: [experts, I, O] with any strides, of the experts from ``first`` on. Rows of others
            are left alone.
        groups: the rows of all experts.
        first: number of the first expert.
        add: whether to add.
    """
    experts, inputs, outputs = weights.shape
    x = x.contiguous()
    blocks = tile_sizes(inputs, outputs)
    # Each expert's last tile may be partly empty.
    grid = (len(x) // _ROWS + experts, triton.cdiv(outputs, blocks["BLOCK_OUTPUTS"]))
    rows_kernel[grid](
        x,
        weights,
        y,
        groups.starts,
        groups.ends,
        first,
        experts,
        inputs,
        outputs,
        *weights.stride(),
        ADD=add,
        PRECISION=PRECISION,
        WIDEN=_WIDEN,
        EXPERTS=triton.next_power_of_2(experts),
        enable_fp_fusion=True,
        **blocks,
    )


def outer(x: Tensor, y: Tensor, groups: Groups) -> Tensor:
    """xᵀ y over each expert's rows: x [N, I], y [N, O] -> [E, I, O]; zero without rows."""
    x, y = x.contiguous(), y.contiguous()
    experts, inputs, outputs = len(groups.ends), x.shape[1], y.shape[1]
    out = x.new_empty(experts, inputs, outputs)
    blocks = tile_sizes(inputs, outputs)
    grid = (
        triton.cdiv(inputs, blocks["BLOCK_INPUTS"]),
        triton.cdiv(outputs, blocks["BLOCK_OUTPUTS"]),
        experts,
    )
    outer_kernel[grid](
        x,
        y,
        out,
        groups.starts,
        groups.ends,
        inputs,
        outputs,
        PRECISION=PRECISION,
        WIDEN=_WIDEN,
        enable_fp_fusion=True,
        **blocks,
    )
    return out


def tile_sizes(inputs: int, outputs: int) -> dict[str, int]:
    """Sizes of a tile, small along a LoRA rank."""
    return {
        "BLOCK_ROWS": _ROWS,
        "BLOCK_OUTPUTS": _block(outputs, 2 * _LARGEST if inputs >= _LARGEST else _LARGEST),
        "BLOCK_INPUTS": _block(inputs, _LARGEST),
    }


def _block(width: int, largest: int) -> int:
    return min(largest, max(_SMALLEST, triton.next_power_of_2(width)))
