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
        """Sorts the choices ``router_indices`` [T, K] by expert; see ``filled_rows``."""
        flat = router_indices.flatten()
        order = torch.argsort(flat, stable=True)
        counts = torch.bincount(flat, minlength=experts)
        filled = counts.new_tensor([filled_rows(count, multiple) for count in counts.tolist()])
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


def filled_rows(count: int, multiple: int) -> int:
    """Rows that an expert's ``count`` are filled up to: a multiple of ``multiple``, a power of two.

    Of more than sixteen times as many, a multiple of a sixteenth to an eighth of the count, so that
    busy experts do not have a number each. 1: exactly ``count``.
    """
    step = multiple if multiple == 1 else max(multiple, 1 << max(0, count.bit_length() - 4))
    return -(-count // step) * step
