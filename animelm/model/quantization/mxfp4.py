"""MXFP4, the format in which gpt-oss is released (OCP Microscaling Formats 1.0).

A block is 32 neighboring values of a row. Each value is an E2M1 float of 4 bits, two per byte with
the first one in the low nibble; one byte per block holds the power of two that scales them.

Legend: O output width, I input width.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor

from animelm.errors import UserError
from animelm.model.operators import operator
from animelm.model.quantization.kernels import kernels_serve
from animelm.model.quantization.packed_linear import PackedLinear

BLOCK = 32
# The values of the 16 E2M1 codes; the upper eight are the lower eight with a minus sign.
_MAGNITUDES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
E2M1 = torch.tensor([*_MAGNITUDES, *(-magnitude for magnitude in _MAGNITUDES)])
SCALE_BIAS = 127
# The tables hold doubled values, so that the largest scale, 2^128, can be halved to stay finite.
_DOUBLED = 2 * E2M1
# Number of values dequantized at a time, few enough for the processor's cache.
_CHUNK = 2**18
# A type of the size of one table entry, which is four values.
_ENTRY = {torch.bfloat16: np.int64, torch.float16: np.int64, torch.float32: np.complex128}


class LinearMXFP4(PackedLinear):
    """A frozen linear layer that keeps the released bytes unchanged.

    Attributes:
        weight: uint8 [O, I / 2].
        scales: uint8 [O, I / 32], the exponent plus 127.
    """

    block_size = BLOCK

    def _empty_scales(self, device) -> tuple[Tensor, ...]:
        if self.in_features % BLOCK:
            raise UserError(
                f"quantization mxfp4 needs rows of a multiple of {BLOCK} values, and a layer of "
                f"this model has {self.in_features}; use nf4"
            )
        shape = (self.out_features, self.in_features // BLOCK)
        return (torch.empty(shape, dtype=torch.uint8, device=device),)

    def _unpack(self, weight: Tensor, scales: Tensor, out: Tensor) -> Tensor:
        return dequantize_mxfp4(weight, scales, out.dtype, out)

    @classmethod
    def _unpack_all(cls, packed: Tensor, scales: Sequence[Tensor], out: Tensor) -> None:
        unpack_mxfp4(packed, *scales, out)


def dequantize_mxfp4(
    packed: Tensor, scales: Tensor, dtype: torch.dtype, out: Tensor | None = None
) -> Tensor:
    """The values of packed rows.

    Every E2M1 value times a power of two is exact in bf16 and fp32.

    Args:
        packed: uint8 [O, I / 2].
        scales: uint8 [O, I / 32].
        dtype: a float type.
        out: contiguous [O, I] in ``dtype`` to write into; default: a new tensor.

    Returns:
        [O, I] in ``dtype``.
    """
    if out is None:
        shape = (packed.shape[0], 2 * packed.shape[1])
        out = torch.empty(shape, dtype=dtype, device=packed.device)
    if kernels_serve(packed.device):
        unpack_mxfp4(packed, scales, out)
        return out
    if packed.device.type == "cpu" and dtype in (torch.bfloat16, torch.float32):
        return _dequantize_by_table(packed.detach(), scales, out)
    return out.copy_(_dequantize_by_index(packed, scales, dtype))


@operator(
    "(Tensor packed, Tensor scales, Tensor(a!) out) -> ()",
    "animelm.model.quantization.kernels.unpack",
)
def unpack_mxfp4(packed: Tensor, scales: Tensor, out: Tensor) -> None:
    """``dequantize_mxfp4`` of weights whose rows follow each other, in one operation."""
    dequantize_mxfp4(packed, scales, out.dtype, out)


def _dequantize_by_index(packed: Tensor, scales: Tensor, dtype: torch.dtype) -> Tensor:
    if dtype not in (torch.bfloat16, torch.float32):
        return _dequantize_by_index(packed, scales, torch.float32).to(dtype)
    pairs = _pairs(dtype, packed.device)[packed.int()]
    blocks = pairs.view(*scales.shape, BLOCK)
    return blocks.mul_(_factors(scales, dtype)).view(packed.shape[0], -1)


def _dequantize_by_table(packed: Tensor, scales: Tensor, out: Tensor) -> Tensor:
    (rows, width), dtype = out.shape, out.dtype
    blocks = out.view(*scales.shape, BLOCK)
    # NumPy's take is three times as fast as any of PyTorch's indexing, but has no bf16.
    table, entries = _quadruples(dtype), _as_entries(out)
    # A copy, because FSDP2 cannot free its gathered tensors once NumPy holds them.
    patterns = packed.clone(memory_format=torch.contiguous_format).view(torch.uint16).numpy()
    factors = _factors(scales, dtype)
    step = max(1, _CHUNK // width)
    for first in range(0, rows, step):
        part = slice(first, first + step)
        # clip: every index is in the table, so NumPy need not check.
        np.take(table, patterns[part], out=entries[part], mode="clip")
        blocks[part].mul_(factors[part])
    return out


def _as_entries(values: Tensor) -> np.ndarray:
    raw = values.view(torch.int16) if values.dtype == torch.bfloat16 else values
    return raw.numpy().view(_ENTRY[values.dtype])


def _factors(scales: Tensor, dtype: torch.dtype) -> Tensor:
    return powers(dtype, scales.device)[scales.int()].unsqueeze(-1)


@cache
def powers(dtype: torch.dtype, device: torch.device) -> Tensor:
    """[256], the factor on doubled values for each scale byte."""
    return torch.pow(2.0, torch.arange(256) - SCALE_BIAS - 1).to(device, dtype)


@cache
def _pairs(dtype: torch.dtype, device: torch.device) -> Tensor:
    """[256, 2], the two values of each byte, doubled."""
    byte = torch.arange(256)
    return _DOUBLED[torch.stack([byte & 15, byte >> 4], -1)].to(device, dtype)


@cache
def _quadruples(dtype: torch.dtype) -> np.ndarray:
    """[65536], the four values of each two bytes (little-endian), doubled, as one number."""
    pattern = torch.arange(2**16)
    nibbles = torch.stack([pattern >> shift & 15 for shift in (0, 4, 8, 12)], -1)
    return _as_entries(_DOUBLED[nibbles].to(dtype)).reshape(-1)


def encode_mxfp4(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Quantizes floats to the released format of gpt-oss, to write a checkpoint.

    The scale of a block is the largest power of two that keeps its largest value below 8, as the
    specification recommends; values round to the nearest, and above 6 to 6.

    Args:
        weight: [..., O, I], I a multiple of 32.

    Returns:
        Blocks uint8 [..., O, I / 32, 16] and scales uint8 [..., O, I / 32].
    """
    blocks = weight.float().unflatten(-1, (-1, BLOCK))
    return pack_blocks(blocks, recommended_exponents(blocks))


def recommended_exponents(blocks: Tensor) -> Tensor:
    """The exponents that the specification recommends for blocks [..., 32], int32 [...]."""
    largest = blocks.abs().amax(-1)
    exponent = torch.frexp(largest).exponent - 3  # frexp: mantissa below 1; E2M1 goes to 2^3
    return exponent.masked_fill(largest == 0, 0).clamp(-SCALE_BIAS, SCALE_BIAS)


def pack_blocks(blocks: Tensor, exponent: Tensor) -> tuple[Tensor, Tensor]:
    """Rounds blocks [..., 32] to the nearest values at the scale 2^``exponent`` of each.

    Returns:
        Bytes uint8 [..., 16] and scales uint8 [...].
    """
    codes = nearest_codes(torch.ldexp(blocks, -exponent.unsqueeze(-1)))
    return pack_codes(codes), (exponent + SCALE_BIAS).to(torch.uint8)


def nearest_codes(relative: Tensor) -> Tensor:
    """The codes of the nearest E2M1 values, uint8; above 6, that of 6."""
    magnitudes = E2M1[:8].to(relative.device)
    code = torch.bucketize(relative.abs().contiguous(), (magnitudes[1:] + magnitudes[:-1]) / 2)
    return (code + 8 * (relative < 0)).to(torch.uint8)


def pack_codes(codes: Tensor) -> Tensor:
    """Two codes a byte, the first in the low nibble: [..., 32] to [..., 16]."""
    return codes[..., 0::2] | (codes[..., 1::2] << 4)
