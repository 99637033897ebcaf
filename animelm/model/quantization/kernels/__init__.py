"""Triton kernels that dequantize 4-bit weights on a GPU; Triton is imported with them alone."""

from functools import cache
from importlib.util import find_spec

import torch

# The first compute capability whose GPUs compute bf16.
_CAPABILITY = 8


@cache
def kernels_serve(device: torch.device) -> bool:
    """Whether the kernels run on ``device``: a GPU that computes bf16, with Triton installed."""
    return (
        device.type == "cuda"
        and find_spec("triton") is not None
        and torch.cuda.get_device_capability(device)[0] >= _CAPABILITY
    )
