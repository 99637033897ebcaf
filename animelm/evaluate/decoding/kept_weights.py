"""Keeps dequantized weights while many tokens are generated, where memory allows it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from animelm.model.quantization.packed_linear import PackedLinear

_LARGEST = 2**30  # bytes of all dequantized weights together


@contextmanager
def dequantized_once(model: nn.Module, largest: int = _LARGEST) -> Iterator[None]:
    """Dequantizes each 4-bit weight once in the block, instead of in every forward pass.

    The values are the same. A model whose weights would take more than ``largest`` bytes in fp32 is
    left as it is.
    """
    layers = [module for module in model.modules() if isinstance(module, PackedLinear)]
    values = sum(layer.in_features * layer.out_features for layer in layers)
    if values * torch.finfo(torch.float32).bits // 8 > largest:
        yield
        return
    for layer in layers:
        layer.dequantize = _Kept(layer)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            del layer.dequantize


class _Kept:
    """Takes the place of a layer's ``dequantize``."""

    def __init__(self, layer: PackedLinear) -> None:
        self._dequantize = layer.dequantize
        self._weights: dict[tuple[torch.dtype, bool], Tensor] = {}

    def __call__(
        self, dtype: torch.dtype, even_rows_first: bool = False, out: Tensor | None = None
    ) -> Tensor:
        key = (dtype, even_rows_first)
        if key not in self._weights:
            self._weights[key] = self._dequantize(dtype, even_rows_first)
        return self._weights[key]
