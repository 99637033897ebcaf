"""Dequantizes MXFP4 and NF4 in one pass, bit for bit as on a CPU.

Each value is a level times the scale of its block, both in float32, rounded once. The formats
differ in the order of a byte's two values, in the values of a block, and in how a scale is stored.
"""

from functools import cache

import torch
import triton
import triton.language as tl
from bitsandbytes.functional import get_4bit_type
from torch import Tensor

from animelm.model.quantization import mxfp4, nf4
from animelm.model.quantization.double_quantization import (
    NESTED_BLOCK,
    nested_blocks,
    nested_levels,
)

# How a block's scale is stored: as a float32; as a byte, an index in a table; as a byte whose level
# is itself scaled (double quantization).
FLOAT, BYTE, NESTED = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
TILE_BYTES = 1024


@triton.jit
def unpack_kernel(
    packed,
    scales,
    out,
    levels,
    scale_levels,
    largest_scales,
    mean_scales,
    count,
    scales_per_weight,
    nested_per_weight,
    KIND: tl.constexpr,
    LOW_FIRST: tl.constexpr,
    BLOCK_BYTES: tl.constexpr,
    NESTED_SCALES: tl.constexpr,
    BFLOAT16: tl.constexpr,
    TILE: tl.constexpr,
):
    """The two values of each of a tile's bytes; ``count`` bytes in all."""
    tile = tl.program_id(0).to(tl.int64) * TILE
    at = tile + tl.arange(0, TILE)
    exists = at < count
    byte = tl.load(packed + at, mask=exists, other=0).to(tl.int32)
    low, high = tl.load(levels + (byte & 15)), tl.load(levels + (byte >> 4))
    block = at // BLOCK_BYTES
    scale = tl.load(scales + block, mask=exists, other=0)
    if KIND == BYTE:
        scale = tl.load(scale_levels + scale.to(tl.int32))
    elif KIND == NESTED:
        weight = block // scales_per_weight
        nested = (block - weight * scales_per_weight) // NESTED_SCALES
        nested += weight * nested_per_weight
        largest = tl.load(largest_scales + nested, mask=exists, other=0.0)
        mean = tl.load(mean_scales + weight, mask=exists, other=0.0)
        scale = tl.load(scale_levels + scale.to(tl.int32)) * largest + mean
    if LOW_FIRST:
        values = tl.interleave(low * scale, high * scale)
    else:
        values = tl.interleave(high * scale, low * scale)
    if BFLOAT16:
        # To the nearest, ties to even, by the bits: the interpreter would cut them off.
        bits = values.to(tl.int32, bitcast=True)
        values = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).to(tl.int16)
        values = values.to(tl.bfloat16, bitcast=True)
    place = 2 * tile + tl.arange(0, 2 * TILE)
    tl.store(out + place, values.to(out.dtype.element_ty), mask=place < 2 * count)


def unpack_mxfp4(packed: Tensor, scales: Tensor, out: Tensor) -> None:
    """As ``mxfp4.dequantize_mxfp4``, into ``out``."""
    powers = mxfp4.powers(torch.float32, packed.device)
    _unpack(packed, scales, out, _mxfp4_levels(packed.device), BYTE, mxfp4.BLOCK, powers)


def unpack_nf4(packed: Tensor, scales: Tensor, out: Tensor) -> None:
    """As ``nf4.dequantize_nf4``."""
    _unpack(packed, scales, out, _nf4_levels(packed.device), FLOAT, nf4.BLOCK)


def unpack_nested_nf4(
    packed: Tensor, codes: Tensor, largest: Tensor, mean: Tensor, out: Tensor
) -> None:
    """NF4 whose scales are in 8 bits, of weights of one size whose parts are stacked.

    Args:
        packed: uint8, two values per byte.
        codes: [weights, scales].
        largest: [weights, blocks].
        mean: [weights, 1].
        out: contiguous, of any float type.
    """
    levels = nested_levels(packed.device)
    _unpack(
        packed,
        codes,
        out,
        _nf4_levels(packed.device),
        NESTED,
        nf4.BLOCK,
        levels,
        largest,
        mean,
    )


@cache  # else every call would wait for a copy to the device
def _mxfp4_levels(device: torch.device) -> Tensor:
    return (2 * mxfp4.E2M1).to(device)


@cache
def _nf4_levels(device: torch.device) -> Tensor:
    return get_4bit_type("nf4", device=device)


def _unpack(
    packed: Tensor,
    scales: Tensor,
    out: Tensor,
    levels: Tensor,
    kind: tl.constexpr,
    block: int,
    scale_levels: Tensor | None = None,
    largest: Tensor | None = None,
    mean: Tensor | None = None,
) -> None:
    packed, scales = packed.contiguous(), scales.contiguous()
    per_weight = scales.shape[-1]
    count = packed.numel()
    unpack_kernel[(triton.cdiv(count, TILE_BYTES),)](
        packed,
        scales,
        out,
        levels,
        # What a kind of scales does not need is never read.
        levels if scale_levels is None else scale_levels,
        levels if largest is None else largest.contiguous(),
        levels if mean is None else mean.contiguous(),
        count,
        per_weight,
        nested_blocks(per_weight),
        KIND=kind,
        LOW_FIRST=kind == BYTE,
        BLOCK_BYTES=block // 2,
        NESTED_SCALES=NESTED_BLOCK,
        BFLOAT16=out.dtype == torch.bfloat16,
        TILE=TILE_BYTES,
        enable_fp_fusion=False,  # a fused multiply-add would round once, where a CPU rounds twice
    )
