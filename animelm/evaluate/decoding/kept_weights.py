"""Keeps dequantized weights while many tokens are generated, where memory allows it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from animelm.model.lora.linear import LoraLinear
from animelm.model.moe.experts import Experts
from animelm.model.moe.projection import AdaptedLinear, Projection, adapted_linear

_LARGEST = 2**31  # bytes of all kept weights together


@contextmanager
def dequantized_once(model: nn.Module, largest: int = _LARGEST) -> Iterator[None]:
    """Dequantizes each 4-bit weight once in the block, instead of in every forward pass.

    In fp32 adapters are merged into the kept weights. A model whose weights would take more than
    ``largest`` bytes, twice in fp32, is left as it is.
    """
    experts = [module for module in model.modules() if isinstance(module, Experts)]
    layers = list(_linear_layers(model))
    values = sum(linear.layer.in_features * linear.layer.out_features for _, linear in layers)
    # As they are, and in the order of a faster library.
    if 2 * values * torch.finfo(torch.float32).bits // 8 > largest:
        yield
        return
    inside = {id(module) for each in experts for module in each.modules()}
    replaced = [(module, linear) for module, linear in layers if id(module) not in inside]
    try:
        for module, linear in replaced:
            module.forward = _KeptLinear(linear)
        for each in experts:
            each.kept = {}
        yield
    finally:
        for module, _ in replaced:
            vars(module).pop("forward", None)
        for each in experts:
            each.kept = None


def _linear_layers(model: nn.Module) -> Iterator[tuple[nn.Module, AdaptedLinear]]:
    """Every frozen linear layer, with its adapters where it has any."""
    parts: set[int] = set()
    for module in model.modules():
        if isinstance(module, LoraLinear):
            parts |= {id(part) for part in module.modules() if part is not module}
        is_whole = isinstance(module, nn.Linear | LoraLinear) and id(module) not in parts
        linear = adapted_linear(module) if is_whole else None
        if linear is not None:
            yield module, linear


class _KeptLinear:
    """Takes the place of a linear layer's ``forward``: [..., I] -> [..., O]."""

    def __init__(self, linear: AdaptedLinear) -> None:
        self._linear = linear
        self._projections: dict[torch.dtype, Projection] = {}

    def __call__(self, x: Tensor) -> Tensor:
        if x.dtype not in self._projections:
            self._projections[x.dtype] = Projection(self._linear, x.dtype, kept=True, merged=True)
        projection = self._projections[x.dtype]
        return projection.output(x.flatten(0, -2)).unflatten(0, x.shape[:-1])
