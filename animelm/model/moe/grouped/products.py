"""Products of rows sorted by expert with one matrix per expert: the interface, and PyTorch's own.

Legend: E experts, N rows sorted by expert, I and O widths.
"""

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor

from animelm.model.moe.routing import Groups


class GroupedProducts(ABC):
    """Products in one operation each, whatever the number of experts.

    Attributes:
        name: as in the settings.
        takes_parts: whether ``write_rows`` is offered, so that a part of the experts can be
            dequantized at a time.
    """

    name: str
    takes_parts = False

    @abstractmethod
    def rows(self, x: Tensor, weights: Tensor, groups: Groups) -> Tensor:
        """Each row times its expert's matrix: x [N, I], weights [E, I, O] -> [N, O]."""

    @abstractmethod
    def outer(self, x: Tensor, y: Tensor, groups: Groups) -> Tensor:
        """Sum over each expert's rows of xᵀ y: x [N, I], y [N, O] -> [E, I, O].

        For an expert without rows it may be anything: PyTorch's kernel leaves it uninitialized
        (pytorch#172439).
        """

    def add_rows(self, y: Tensor, x: Tensor, weights: Tensor, groups: Groups) -> None:
        """Adds ``rows`` to ``y`` [N, O]."""
        y.add_(self.rows(x, weights, groups))

    def write_rows(self, y: Tensor, x: Tensor, weights: Tensor, groups: Groups, first: int) -> None:
        """Writes ``rows`` of the experts from ``first`` on, as many as ``weights`` has."""
        raise NotImplementedError(f"{self.name} multiplies the experts of a layer all at once")


class GroupedMM(GroupedProducts):
    """``torch.nn.functional.grouped_mm``.

    On CUDA it is one kernel in bf16 on compute capability 9 and 10; elsewhere it is a loop that
    waits for the device. Widths must be multiples of 16 bytes.
    """

    name = "grouped_mm"

    def rows(self, x: Tensor, weights: Tensor, groups: Groups) -> Tensor:
        return F.grouped_mm(x, weights, offs=groups.ends)

    def outer(self, x: Tensor, y: Tensor, groups: Groups) -> Tensor:
        return F.grouped_mm(x.t(), y, offs=groups.ends)
