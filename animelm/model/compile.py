"""Compiles elementwise formulas into one loop each (``torch.compile``).

Without compilation, each operator reads and writes a whole tensor and rounds bf16 values. Compiled,
the whole formula is computed in float32 while a value is in a register. Compiling takes some
seconds once; PyTorch caches the result on disk for later runs.
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

# Every other failure to compile is raised as the first of these.
_NO_COMPILER = (BackendCompilerFailed, TritonMissing, GPUTooOldForTriton)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles ``function`` at its first call, for tensors of any number of rows.

    Raises:
        UserError: at the first call, if there is no compiler.
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
    """Compiles a small function on ``device``, so that a run without a compiler fails at its start.

    Raises:
        UserError: there is no compiler.
    """

    def trial(x: Tensor) -> Tensor:
        return x + 1

    compiled(trial)(torch.zeros(2, device=device))


def compile_norms(model: nn.Module) -> None:
    """Compiles the forward pass of every norm of the model that is not fused, for training only.

    Without compilation, RMSNorm copies its input to float32 and keeps the copy for the backward
    pass, which reads it half a dozen times. Compiled, it keeps the input in its own type.
    """
    for module in model.modules():
        if isinstance(module, GptOssRMSNorm | LlamaRMSNorm) and "forward" not in vars(module):
            _compile(module)


def _compile(norm: Any) -> None:
    norm.forward = partial(_forward, norm, compiled(norm.forward), norm.forward)


def _forward(norm: nn.Module, fused: _Norm, stock: _Norm, states: Tensor) -> Tensor:
    # Generation has many different shapes, each of which would be compiled.
    return fused(states) if norm.training else stock(states)
