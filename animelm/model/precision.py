"""Which compute type is fast here.

It is measured, because bf16 is 3.5 times faster on one server and 260 times slower on another.
"""

import time
from typing import Literal

import torch

ComputeType = Literal["auto", "float32", "bfloat16"]
_ROWS, _WIDTH, _REPEATS = 512, 256, 8


def choose_compute_dtype(requested: ComputeType = "auto", device: str = "cpu") -> torch.dtype:
    """The requested type; for "auto", the faster of fp32 and bf16 on ``device``.

    A matrix product is measured, which takes a few milliseconds where bf16 has instructions of its
    own.
    """
    if requested != "auto":
        return getattr(torch, requested)
    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    seconds = {dtype: _matmul_seconds(dtype, device) for dtype in (torch.float32, torch.bfloat16)}
    return min(seconds, key=lambda dtype: seconds[dtype])


def _matmul_seconds(dtype: torch.dtype, device: str) -> float:
    left = torch.ones(_ROWS, _WIDTH, dtype=dtype, device=device)
    right = torch.ones(_WIDTH, _WIDTH, dtype=dtype, device=device)
    best = float("inf")
    for _ in range(_REPEATS):
        begin = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - begin)
        if best > 0.05:  # emulated bf16: one product is answer enough
            break
    return best
