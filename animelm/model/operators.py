"""Operators of our own: one Triton kernel each on a GPU, and elsewhere a formula of PyTorch's.

They are registered with PyTorch, so that a profile or a count of operations shows each as one.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from animelm.model.quantization.kernels import kernels_serve

_LIBRARY = torch.library.Library("animelm", "DEF")
_Function = Callable[..., Any]


def operator(schema: str, kernels: str) -> Callable[[_Function], _Function]:
    """Registers the decorated formula as an operator ``animelm::NAME``, and returns that.

    Autograd does not know it; it is called inside an ``autograd.Function``, by position.

    Args:
        schema: arguments and results, as PyTorch writes them.
        kernels: module with a function of the formula's name, which launches the kernel.
    """

    def register(formula: _Function) -> _Function:
        name = formula.__name__

        def call(*arguments: Any) -> Any:
            device = next(given for given in arguments if isinstance(given, Tensor)).device
            if kernels_serve(device):
                return getattr(import_module(kernels), name)(*arguments)
            return formula(*arguments)

        _LIBRARY.define(name + schema)
        _LIBRARY.impl(name, call, "CompositeExplicitAutograd")
        registered: _Function = getattr(torch.ops.animelm, name)
        return registered

    return register
