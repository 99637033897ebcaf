"""Elementwise passes compiled into one loop each (``torch.compile``).

Run operator by operator, each operation reads and writes all of its tensor, and a bf16 value is
rounded after each. Compiled, the whole formula is computed in float32 while a value is in a
register. Compiling takes some seconds once; PyTorch keeps the result on disk for later runs.
"""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import torch
from torch import Tensor, nn
from torch._dynamo.exc import BackendCompilerFailed
from torch._inductor.exc import GPUTooOldForTriton, TritonMissing
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from animelm.errors import UserError

_Norm = Callable[[Tensor], Tensor]

# The first is what every other failure to compile comes as.
_NO_COMPILER = (BackendCompilerFailed, TritonMissing, GPUTooOldForTriton)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` of tensors of any number of rows, compiled at its first call.

    Raises:
        UserError: at that call, where there is no compiler.
    """
    fused = torch.compile(function, dynamic=True)

    @wraps(function)
    def call(*arguments: Any) -> Any:
        try:
            return fused(*arguments)
        except _NO_COMPILER as error:
            reason = " ".join(str(error).split("\n")[:2])  # which backend, and what it said
            raise UserError(
                f"--model.compute.compile_kernels=true: {function.__name__} could not be compiled "
                f"({reason}). On a CPU this needs a C++ compiler, such as g++, and on a GPU "
                "Triton and a C compiler; without these set "
                "--model.compute.compile_kernels=false"
            ) from error

    return call


def require_compiler(device: torch.device) -> None:
    """Compiles a trifle on ``device``, so that a run without a compiler ends before it begins.

    Raises:
        UserError: there is no compiler.
    """

    def trial(x: Tensor) -> Tensor:
        return x + 1

    compiled(trial)(torch.zeros(2, device=device))


def compile_norms(model: nn.Module) -> None:
    """Makes every norm of the model compute transformers' own formula, compiled, in training.

    Operator by operator RMSNorm copies its input to float32 and keeps the copy for the backward
    pass, which then reads it half a dozen times. Compiled, it keeps the input as it is.
    """
    for module in model.modules():
        if isinstance(module, GptOssRMSNorm | LlamaRMSNorm):
            _compile(module)


def _compile(norm: Any) -> None:
    norm.forward = partial(_forward, norm, compiled(norm.forward), norm.forward)


def _forward(norm: nn.Module, fused: _Norm, stock: _Norm, states: Tensor) -> Tensor:
    # Answers are generated in shapes of their own, each of which would be compiled.
    return fused(states) if norm.training else stock(states)
