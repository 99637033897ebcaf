"""NF4 (QLoRA, arXiv 2305.14314): quantising as bitsandbytes does, to the bit, but faster.

A block of 64 neighbouring values is divided by its largest magnitude; each quotient becomes the
number of the nearest of 16 levels. Two numbers stand in a byte, the first one in the high nibble.

bitsandbytes searches the level of every value. Here a table answers from the upper 16 bits of the
quotient, and only where a bound between two levels shares those bits is the quotient looked at.
"""

from ctypes import c_longlong
from functools import cache

import numpy as np
import torch
from bitsandbytes.cextension import ErrorHandlerMockBNBNativeLibrary, lib
from bitsandbytes.functional import get_4bit_type, get_ptr
from torch import Tensor

from animelm.model.quantization.threads import in_threads

BLOCK = 64
# So many blocks at a time stay in the processor's cache from the first pass to the last.
_CHUNK = 2**11
_SMALLEST = 1e-38  # bitsandbytes' own guard against a block of zeros
_UNDECIDED = 16
_CPU_KERNELS = {
    torch.float32: "cdequantize_blockwise_cpu_nf4_fp32",
    torch.bfloat16: "cdequantize_blockwise_cpu_nf4_bf16",
}


def quantize_nf4(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Packs a weight.

    Args:
        weight: any float type and shape; blocks run through its flattened values.

    Returns:
        Packed values uint8 [values / 2, 1] and a float32 scale a block, as bitsandbytes gives them.
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
    """Writes the values of a weight into ``out`` [O, I], of a float type, and returns it.

    Args:
        packed: uint8, two values a byte.
        scales: float32, one a block.
        out: contiguous.
    """
    rows, width = out.shape
    # Blocks run on from row to row, and bitsandbytes' kernel for CPUs takes each row to begin one.
    # Where the width is no multiple of a block it must see a single row.
    rows, width = (rows, width) if width % BLOCK == 0 else (1, rows * width)
    kernel = _CPU_KERNELS.get(out.dtype) if out.device.type == "cpu" else None
    if kernel is None or isinstance(lib, ErrorHandlerMockBNBNativeLibrary):
        shape = (rows, width)
        values = torch.ops.bitsandbytes.dequantize_4bit(
            packed, scales, BLOCK, "nf4", shape, out.dtype
        )
        return out.copy_(values.view(out.shape))
    # bitsandbytes' operator makes a new tensor each time. At 32 MiB a piece that costs as much as
    # the unpacking in page faults, and leaves the heap full of holes.
    sizes = (c_longlong(BLOCK), c_longlong(rows), c_longlong(width))
    getattr(lib, kernel)(get_ptr(packed.contiguous()), get_ptr(scales), get_ptr(out), *sizes)
    return out


def largest_of_rows(values: np.ndarray) -> np.ndarray:
    """The largest value of each row [N, M]; for short rows faster than ``max`` along them."""
    return np.maximum.reduce(np.ascontiguousarray(values.T), axis=0)


def _float32(values: Tensor) -> np.ndarray:
    if values.dtype != torch.bfloat16:
        return values.numpy().astype(np.float32, copy=False)
    # The bits of a bf16 are the upper half of the float32's; a shift is faster than a conversion.
    return (values.view(torch.uint16).numpy().astype(np.uint32) << 16).view(np.float32)


def _levels(quotients: np.ndarray) -> np.ndarray:
    """Numbers 0 to 15 of the levels, uint8; a quotient on a bound gets the lower level."""
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
    """[15], halfway between neighbouring levels."""
    levels = get_4bit_type("nf4", device="cpu")
    return ((levels[1:] + levels[:-1]) / 2).numpy()


@cache
def _table() -> np.ndarray:
    """[65536], the level for the upper half of a float32's bits; plus 16 where two are possible.

    In that case the lower one.
    """
    upper = np.arange(2**16, dtype=np.uint32) << 16
    ends = np.stack([upper, upper | 0xFFFF]).view(np.float32)
    first, last = np.sort(np.searchsorted(_bounds(), ends), axis=0).astype(np.uint8)
    return np.where(first == last, first, first + _UNDECIDED).astype(np.uint8)
