"""Which compute type is fast here.

It is measured, because bf16 is 3.5 times faster on one server and 260 times slower on another.
"""

import random
import time
from functools import cache
from typing import Literal

import torch

ComputeType = Literal["auto", "float32", "bfloat16"]
# Experts get another number of tokens at every step, and a library that prepares each new shape
# pays for it each time. So the shapes measured are drawn anew, from numbers that no seed governs.
_ROWS, _SHAPES = range(300, 600), 6


def choose_compute_dtype(
    requested: ComputeType = "auto", device: str = "cpu", width: int = 256
) -> torch.dtype:
    """The requested type; for "auto", the faster of fp32 and bf16 on ``device``.

    Matrix products of changing shapes are measured, forward and backward, which takes some
    milliseconds. Of one shape, repeated, bf16 was twice as fast as fp32 on a server where training
    in it took more than twice as long. The measurement still varies from run to run on a busy
    machine: set the type where it matters.

    Args:
        requested: a type by name, or "auto".
        device: "cpu" or "cuda".
        width: the model's hidden width; wider products favour bf16.
    """
    if requested != "auto":
        return getattr(torch, requested)
    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return _faster_type(device, width)


@cache
def _faster_type(device: str, width: int) -> torch.dtype:
    types = (torch.float32, torch.bfloat16)
    seconds = {dtype: _matmul_seconds(dtype, device, width) for dtype in types}
    return min(seconds, key=lambda dtype: seconds[dtype])


def _matmul_seconds(dtype: torch.dtype, device: str, width: int) -> float:
    weight = torch.ones(width, width, dtype=dtype, device=device)
    down = torch.ones(16, width, dtype=dtype, device=device)  # an adapter's narrow product
    weight @ weight  # the first product also starts the threads
    total = 0.0
    for rows in random.Random().sample(_ROWS, _SHAPES):
        x = torch.ones(rows, width, dtype=dtype, device=device)
        begin = time.perf_counter()
        y = x @ weight.T
        y @ weight
        y.T @ x
        hidden = x @ down.T
        hidden.T @ x
        hidden @ down
        total += time.perf_counter() - begin
        if total > 1.0:  # emulated bf16: one shape is answer enough
            break
    return total
