"""Grouped products by Triton kernels: the engine for GPUs without a kernel of PyTorch's own."""

from torch import Tensor

from animelm.model.moe.grouped.products import GroupedProducts
from animelm.model.moe.routing import Groups


class TritonProducts(GroupedProducts):
    """``kernels``, which wait for nothing and can take a part of the experts at a time.

    Raises:
        ImportError: Triton is not installed (the extra ``triton``).
    """

    name = "triton"
    takes_parts = True

    def __init__(self) -> None:
        from animelm.model.moe.grouped import kernels

        self._kernels = kernels

    def rows(self, x: Tensor, weights: Tensor, groups: Groups) -> Tensor:
        y = x.new_empty(len(x), weights.shape[2])
        self._kernels.write_rows(y, x, weights, groups)
        return y

    def add_rows(self, y: Tensor, x: Tensor, weights: Tensor, groups: Groups) -> None:
        self._kernels.write_rows(y, x, weights, groups, add=True)

    def write_rows(self, y: Tensor, x: Tensor, weights: Tensor, groups: Groups, first: int) -> None:
        self._kernels.write_rows(y, x, weights, groups, first)

    def outer(self, x: Tensor, y: Tensor, groups: Groups) -> Tensor:
        return self._kernels.outer(x, y, groups)
