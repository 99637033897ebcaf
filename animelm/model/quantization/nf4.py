"""NF4 (QLoRA, arXiv 2305.14314): quantizes as bitsandbytes does, bit for bit, but faster.

A block of 64 neighboring values is divided by its largest magnitude; each quotient becomes the
index of the nearest of 16 levels. A byte holds two indices, the first one in the high nibble.

bitsandbytes searches the level of every value. Here it is looked up by the upper 16 bits of the
quotient; only where these bits do not decide is the whole quotient compared.
"""

from ctypes import c_longlong
from functools import cache

import numpy as np
import torch
from bitsandbytes.cextension import ErrorHandlerMockBNBNativeLibrary, lib
from bitsandbytes.functional import get_4bit_type, get_ptr
from torch import Tensor

from animelm.model.operators import operator
from animelm.model.quantization.threads import in_threads

BLOCK = 64
# Blocks quantized at a time, few enough for the processor's cache.
_CHUNK = 2**11
_SMALLEST = 1e-38  # bitsandbytes' own guard against a block of zeros
_UNDECIDED = 16
_CPU_KERNELS = {
    torch.float32: "cdequantize_blockwise_cpu_nf4_fp32",
    torch.bfloat16: "cdequantize_blockwise_cpu_nf4_bf16",
}


def quantize_nf4(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Quantizes a weight.

    Args:
        weight: any float type and shape; blocks run through its flattened values.

    Returns:
        Packed values uint8 [values / 2, 1] and a float32 scale per block, as bitsandbytes has them.
    """
    if weight.device.type != "cpu" or weight.numel() % BLOCK:
        return torch.ops.bitsandbytes.quantize_4bit(
            weight.float().contiguous(), BLOCK, "nf4", torch.uint8
        )
    blocks = weight.detach().contiguous().view(-1, BLOCK)
    packed = np.empty((len(blocks), BLOCK // 2), dtype=np.uint8)
    scales = np.empty((len(blocks), 1), dtype=np.float32)

    def pack(first: int) -> None:
        part = slice(first, first + _CHUNK)
        values = _float32(blocks[part])
        largest = largest_of_rows(np.abs(values))[:, None]
        scales[part] = largest
        quotients = values * (1 / np.maximum(largest, _SMALLEST, dtype=np.float32))
        packed[part] = _pairs(_levels(quotients.reshape(-1))).reshape(-1, BLOCK // 2)

    in_threads(pack, range(0, len(blocks), _CHUNK))
    return torch.from_numpy(packed).view(-1, 1), torch.from_numpy(scales).view(-1)


def dequantize_nf4(packed: Tensor, scales: Tensor, out: Tensor) -> Tensor:
    """Dequantizes a weight into ``out`` [O, I] of a float type, and returns it.

    Args:
        packed: uint8, two values per byte.
        scales: float32, one per block.
        out: contiguous.
    """
    rows, width = out.shape
    # Blocks may cross rows, but bitsandbytes' CPU kernel starts a block with each row. If the width
    # is not a multiple of the block, it gets the weight as a single row.
    rows, width = (rows, width) if width % BLOCK == 0 else (1, rows * width)
    kernel = _CPU_KERNELS.get(out.dtype) if out.device.type == "cpu" else None
    if kernel is None or isinstance(lib, ErrorHandlerMockBNBNativeLibrary):
        shape = (rows, width)
        values = torch.ops.bitsandbytes.dequantize_4bit(
            packed, scales, BLOCK, "nf4", shape, out.dtype
        )
        return out.copy_(values.view(out.shape))
    # bitsandbytes' operator allocates a new tensor each time. At 32 MiB each, the page faults cost
    # as much as the dequantization, and the heap fragments.
    sizes = (c_longlong(BLOCK), c_longlong(rows), c_longlong(width))
    getattr(lib, kernel)(get_ptr(packed.contiguous()), get_ptr(scales), get_ptr(out), *sizes)
    return out


@operator(
    "(Tensor packed, Tensor scales, Tensor(a!) out) -> ()",
    "animelm.model.quantization.kernels.unpack",
)
def unpack_nf4(packed: Tensor, scales: Tensor, out: Tensor) -> None:
    """``dequantize_nf4`` of weights that follow each other, in one operation."""
    dequantize_nf4(packed, scales, out)


def largest_of_rows(values: np.ndarray) -> np.ndarray:
    """The largest value of each row [N, M]; faster than ``max`` for short rows."""
    return np.maximum.reduce(np.ascontiguousarray(values.T), axis=0)


def _float32(values: Tensor) -> np.ndarray:
    if values.dtype != torch.bfloat16:
        return values.numpy().astype(np.float32, copy=False)
    # The bits of a bf16 are the upper half of the float32's; a shift is faster than a conversion.
    return (values.view(torch.uint16).numpy().astype(np.uint32) << 16).view(np.float32)


def _levels(quotients: np.ndarray) -> np.ndarray:
    """Indices 0 to 15 of the levels, uint8; a quotient on a bound gets the lower level."""
    levels = np.take(_table(), quotients.view(np.uint16)[1::2], mode="clip")
    undecided = np.flatnonzero(levels >= _UNDECIDED)
    lower = levels[undecided] - _UNDECIDED
    levels[undecided] = lower + (quotients[undecided] > _bounds()[lower])
    return levels


def _pairs(levels: np.ndarray) -> np.ndarray:
    pairs = levels.view(np.uint16)  # the first level is the low byte
    return (pairs << 4 | pairs >> 8).astype(np.uint8)


@cache
def _bounds() -> np.ndarray:
    """[15], midpoints of neighboring levels."""
    levels = get_4bit_type("nf4", device="cpu")
    return ((levels[1:] + levels[:-1]) / 2).numpy()


@cache
def _table() -> np.ndarray:
    """[65536], the level for the upper 16 bits of a float32.

    Where two levels are possible, the lower one plus 16.
    """
    upper = np.arange(2**16, dtype=np.uint32) << 16
    ends = np.stack([upper, upper | 0xFFFF]).view(np.float32)
    first, last = np.sort(np.searchsorted(_bounds(), ends), axis=0).astype(np.uint8)
    return np.where(first == last, first, first + _UNDECIDED).astype(np.uint8)
