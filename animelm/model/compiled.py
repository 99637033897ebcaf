"""Elementwise passes compiled into one loop each (``torch.compile``).

Run operator by operator, each operation reads and writes all of its tensor, and a bf16 value is
rounded after each. Compiled, the whole formula is computed in float32 while a value is in a
register. Compiling takes some seconds once; PyTorch keeps the result on disk for later runs.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch._dynamo.exc import BackendCompilerFailed
from torch._inductor.exc import GPUTooOldForTriton, TritonMissing

from animelm.errors import UserError

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
                f"--model.compile_kernels=true: {function.__name__} could not be compiled "
                f"({reason}). On a CPU this needs a C++ compiler, such as g++, and on a GPU "
                "Triton and a C compiler; without these set "
                "--model.compile_kernels=false"
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
