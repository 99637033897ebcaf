"""Converts MXFP4 to NF4 without dequantizing, bit for bit as bitsandbytes packs the values.

An NF4 block is two neighboring MXFP4 blocks. The NF4 byte depends only on the MXFP4 byte, the
largest E2M1 magnitude in the NF4 block, and the ratio of its scale to the byte's own, a power of
two: it is looked up in a table.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from animelm.model.quantization.mxfp4 import BLOCK, E2M1, SCALE_BIAS, dequantize_mxfp4
from animelm.model.quantization.nf4 import largest_of_rows, quantize_nf4
from animelm.model.quantization.threads import in_threads

_MAGNITUDES = 8
# The largest magnitude is at most 12 times the smallest one, so its scale is at most 3 powers of
# two below the other. From 9 powers above on, every value becomes level 0.
_LEAST, _STEPS = -3, 13
# Pairs of blocks converted at a time, few enough for the processor's cache.
_CHUNK = 2**12
# Outside these the factors of bitsandbytes leave the range of float32.
_SCALES = range(16, 240)


def nf4_from_mxfp4(packed: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
    """Converts MXFP4 rows to NF4.

    Args:
        packed: uint8 [O, I / 2].
        scales: uint8 [O, I / 32].

    Returns:
        What ``quantize_nf4`` returns for the values.
    """
    if scales.numel() % 2 or scales.min() not in _SCALES or scales.max() not in _SCALES:
        return quantize_nf4(dequantize_mxfp4(packed, scales, torch.bfloat16))
    pairs = packed.reshape(-1, 2, BLOCK // 2).numpy()
    exponents = scales.reshape(-1, 2).numpy().astype(np.int32)
    levels = np.empty_like(pairs)
    largest = np.empty(len(pairs), dtype=np.float32)
    table = _table()

    def pack(first: int) -> None:
        part = slice(first, first + _CHUNK)
        rows, largest[part] = _table_rows(pairs[part], exponents[part])
        np.take(table, rows[:, :, None] | pairs[part], out=levels[part], mode="clip")

    in_threads(pack, range(0, len(pairs), _CHUNK))
    return torch.from_numpy(levels).view(-1, 1), torch.from_numpy(largest)


def _table_rows(pairs: np.ndarray, exponents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index in the table of each MXFP4 block's row, and the largest value of each pair."""
    magnitudes = np.maximum(pairs & 7, pairs >> 4 & 7)
    codes = largest_of_rows(magnitudes.reshape(-1, BLOCK // 2)).reshape(-1, 2)
    sizes = np.ldexp(E2M1.numpy()[codes], exponents - SCALE_BIAS)
    second = (sizes[:, 1] > sizes[:, 0])[:, None]
    code = np.where(second, codes[:, 1:], codes[:, :1]).astype(np.int32)
    above = np.where(second, exponents[:, 1:], exponents[:, :1]) - exponents
    steps = np.clip(above - _LEAST, 0, _STEPS - 1)
    return (code * _STEPS + steps << 8).astype(np.intp), sizes.max(-1)


@cache
def _table() -> np.ndarray:
    """[8 · 13 · 256], the NF4 byte for each largest magnitude, power of two between, and byte."""
    powers = 2.0 ** (torch.arange(_STEPS) + _LEAST)
    largest = (E2M1[:_MAGNITUDES, None] * powers).view(-1, 1)
    # One block per row: the 16 values, clamped to the largest, and the largest itself.
    blocks = torch.zeros(len(largest), 64)
    blocks[:, :16] = torch.minimum(torch.maximum(E2M1, -largest), largest)
    blocks[:, 16:17] = largest
    pairs = quantize_nf4(blocks)[0].view(len(largest), -1)[:, :8]
    levels = torch.stack([pairs >> 4, pairs & 15], -1).flatten(1)
    byte = torch.arange(256)
    return (levels[:, byte & 15] << 4 | levels[:, byte >> 4]).flatten().numpy()
