"""Rounds merged weights to MXFP4 so that as much as possible of what was trained survives.

Legend: O output width, I input width.
"""

from typing import Literal

import torch
from torch import Tensor

from animelm.model.quantization.mxfp4 import (
    BLOCK,
    dequantize_mxfp4,
    encode_mxfp4,
    pack_blocks,
    recommended_exponents,
)

Rounding = Literal["nearest", "search"]


def round_to_mxfp4(weight: Tensor, rounding: Rounding) -> tuple[Tensor, Tensor]:
    """Packs a matrix.

    Args:
        weight: float32 [O, I], I a multiple of 32.
        rounding: nearest takes the scales that the specification recommends; search takes, for each
            block, that scale or one of its two neighbors, whichever leaves the least square error.

    Returns:
        Blocks uint8 [O, I / 32, 16] and scales uint8 [O, I / 32].
    """
    if rounding == "nearest":
        return encode_mxfp4(weight)
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
