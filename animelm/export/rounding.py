"""Rounds merged weights to MXFP4 so that as much as possible of what was trained survives.

A trained update is often smaller than the steps of the format, so rounding to the nearest value
takes most of it back. An update B A acts on a layer's input only through A: where the errors of a
row cancel out in the directions of A's rows, the update acts as before. So each column's error is
made up for in the columns after it, as GPTQ does (arXiv 2210.17323), with the matrix of the layer's
inputs replaced by what is known of them without any data: I + c · Aᵀ A.

Legend: O output width, I input width, R rank.
"""

from typing import Literal

import torch
from torch import Tensor

from animelm.model.quantization.mxfp4 import (
    BLOCK,
    E2M1,
    SCALE_BIAS,
    dequantize_mxfp4,
    encode_mxfp4,
    nearest_codes,
    pack_blocks,
    pack_codes,
    recommended_exponents,
)

Rounding = Literal["nearest", "search", "inputs"]
# Weight of the directions of A against all others; with 10, less of small updates was kept.
_EMPHASIS = 1000.0


def round_to_mxfp4(
    weight: Tensor, rounding: Rounding, lora_a: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Packs a matrix.

    Args:
        weight: float32 [O, I], I a multiple of 32.
        rounding: nearest takes the scales that the specification recommends; search takes, for each
            block, that scale or one of its two neighbors, whichever leaves the least square error;
            inputs searches, and carries errors on so that they cancel out in ``lora_a``.
        lora_a: A of the update that the weight contains, [R, I]; without it, inputs is search.

    Returns:
        Blocks uint8 [O, I / 32, 16] and scales uint8 [O, I / 32].
    """
    if rounding == "nearest":
        return encode_mxfp4(weight)
    if rounding == "search" or lora_a is None or not lora_a.any():
        return _searched(weight)
    factor, rest = _error_factor(lora_a), weight.clone()
    blocks, scales = [], []
    for first in range(0, weight.shape[1], BLOCK):
        last = first + BLOCK
        block, scale, errors = _carried(rest[:, first:last], factor[first:last, first:last])
        rest[:, last:] -= errors @ factor[first:last, last:]
        blocks.append(block)
        scales.append(scale)
    return torch.stack(blocks, 1), torch.cat(scales, 1)


def _searched(weight: Tensor) -> tuple[Tensor, Tensor]:
    blocks = weight.unflatten(-1, (-1, BLOCK))
    exponents = recommended_exponents(blocks)
    best, scales = pack_blocks(blocks, exponents)
    error = _square_error(weight, best, scales)
    for shift in (-1, 1):
        packed, shifted = pack_blocks(blocks, exponents + shift)
        other = _square_error(weight, packed, shifted)
        better = other < error
        best = torch.where(better.unsqueeze(-1), packed, best)
        scales, error = torch.where(better, shifted, scales), torch.minimum(other, error)
    return best, scales


def _square_error(weight: Tensor, packed: Tensor, scales: Tensor) -> Tensor:
    """Sum of the squares of each block's errors, [O, I / 32]."""
    values = dequantize_mxfp4(packed.flatten(1), scales, torch.float32)
    return (values - weight).square().unflatten(-1, (-1, BLOCK)).sum(-1)


def _error_factor(lora_a: Tensor) -> Tensor:
    """The upper Cholesky factor of (I + c Aᵀ A)⁻¹, [I, I]; c by the mean square of A's rows."""
    emphasis = _EMPHASIS * len(lora_a) / lora_a.square().sum()
    small = torch.eye(len(lora_a)) / emphasis + lora_a @ lora_a.T
    inverse = torch.eye(lora_a.shape[1]) - lora_a.T @ torch.linalg.solve(small, lora_a)
    return torch.linalg.cholesky(inverse, upper=True)


def _carried(block: Tensor, factor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Packs 32 columns one after the other, each with the errors of those before it.

    Args:
        block: float32 [O, 32].
        factor: their part of the factor, [32, 32].

    Returns:
        Bytes uint8 [O, 16], scales uint8 [O, 1], and errors [O, 32] to carry on.
    """
    scales = _searched(block.contiguous())[1]
    exponents = scales[:, 0].int() - SCALE_BIAS
    rest, errors = block.clone(), torch.empty_like(block)
    codes = torch.empty(block.shape, dtype=torch.uint8)
    for column in range(BLOCK):
        wanted = rest[:, column]
        codes[:, column] = nearest_codes(torch.ldexp(wanted, -exponents))
        rounded = torch.ldexp(E2M1[codes[:, column].int()], exponents)
        errors[:, column] = (wanted - rounded) / factor[column, column]
        rest[:, column + 1 :] -= errors[:, column, None] * factor[column, column + 1 :]
    return pack_codes(codes), scales, errors
