"""Chooses the compute type that is faster on this machine.

It is measured, because bf16 is 3.5 times faster on one server and 260 times slower on another.
"""

import time
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from animelm.errors import UserError
from animelm.model.lora.linear import ActiveLora
from animelm.model.moe.expert_pass import ExpertLayers, expert_pass
from animelm.model.moe.projection import AdaptedLinear
from animelm.model.moe.swiglu import SwiGLU
from animelm.model.quantization.linear4bit import Linear4bit

ComputeType = Literal["auto", "float32", "bfloat16"]
_RANK, _DROPOUT = 16, 0.05
# Experts get a different number of tokens at every step, which costs a library that compiles each
# new shape.
_TOKENS = (150, 190, 230)
# Wider experts would take seconds and give the same answer.
_WIDEST = 2048
# A processor that only emulates bf16 is recognized by one small product.
_EMULATED = 4.0


def choose_compute_dtype(
    requested: ComputeType = "auto", device: str = "cpu", hidden: int = 256, intermediate: int = 256
) -> torch.dtype:
    """The requested type; for "auto", the faster of fp32 and bf16 on ``device``.

    One 4-bit expert of the model's widths is run forward and backward in both types, including
    dequantization, LoRA and dropout. Matrix products alone would mislead: at a width of 256 they
    are twice as fast in bf16 on a server where training in bf16 is slower. The processor time of
    one thread is measured, so that other work on the machine does not matter. It takes from
    milliseconds to a second.

    Args:
        requested: a type by name, or "auto".
        device: "cpu" or "cuda".
        hidden: the model's hidden width.
        intermediate: width inside its experts, or inside the MLP of a dense model.

    Raises:
        UserError: "auto" on a GPU that only emulates bf16, such as a T4 or a V100.
    """
    if requested != "auto":
        return getattr(torch, requested)
    if device == "cuda":
        if not torch.cuda.is_bf16_supported(including_emulation=False):
            raise UserError(
                f"--model.compute.dtype=auto: {torch.cuda.get_device_name()} computes bfloat16 "
                "only by emulation, which is slower than float32; use a GPU of compute capability "
                "8 or above (Ampere or newer), or set float32 and expect it to be slow"
            )
        return torch.bfloat16
    return _faster_type(min(hidden, _WIDEST), min(intermediate, _WIDEST))


@cache
def _faster_type(hidden: int, intermediate: int) -> torch.dtype:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            if _product_seconds(torch.bfloat16) > _EMULATED * _product_seconds(torch.float32):
                return torch.float32
            types = (torch.float32, torch.bfloat16)
            seconds = {dtype: _expert_seconds(dtype, hidden, intermediate) for dtype in types}
    finally:
        torch.set_num_threads(threads)
    return min(seconds, key=lambda dtype: seconds[dtype])


def _product_seconds(dtype: torch.dtype) -> float:
    matrix = torch.ones(192, 192, dtype=dtype)
    matrix @ matrix  # compiles the kernel, which takes longer than a small product
    seconds = []
    for _ in range(3):
        begin = time.thread_time()
        matrix @ matrix
        seconds.append(time.thread_time() - begin)
    return min(seconds)


def _expert_seconds(dtype: torch.dtype, hidden: int, intermediate: int) -> float:
    expert = ExpertLayers(_adapted(hidden, 2 * intermediate), _adapted(intermediate, hidden))

    def run(tokens: int) -> float:
        x = torch.randn(tokens, hidden).to(dtype).requires_grad_()
        weights = torch.ones(tokens, 1, dtype=dtype, requires_grad=True)
        chosen = torch.zeros(tokens, 1, dtype=torch.int64)
        begin = time.thread_time()
        out = expert_pass(x, weights, chosen, [expert], SwiGLU(1.7, 7.0), recompute=False)
        torch.autograd.grad(out, [x, weights, *expert.parameters], out)
        return time.thread_time() - begin

    run(8)  # the first call also loads libraries
    return min(sum(map(run, _TOKENS)) for _ in range(2))


def _adapted(inputs: int, outputs: int) -> AdaptedLinear:
    layer = Linear4bit(inputs, outputs, bias=True)
    layer.load_packed(torch.zeros_like(layer.weight), torch.ones_like(layer.scales))
    assert layer.bias is not None
    layer.bias.data.zero_()

    def random(*shape: int) -> Tensor:
        return torch.randn(shape).mul_(0.01).requires_grad_()

    return AdaptedLinear(
        layer, ActiveLora(random(_RANK, inputs), random(outputs, _RANK), 2.0, _DROPOUT)
    )
