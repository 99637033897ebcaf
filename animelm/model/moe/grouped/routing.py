"""Sorts tokens by expert without the host waiting for it.

Legend: T tokens, K experts chosen per token, E experts, N = T·K rows sorted by expert, C width.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from animelm.model.moe.grouped.operators import combine, sorted_rows
from animelm.model.moe.routing import Groups


class DeviceRouting(NamedTuple):
    """Which rows each expert computes.

    Attributes:
        token: [N] int64, the token of each row.
        place: [T, K] int64, the row of each token's k-th choice.
        order: [N] int64, the place of each row in the flattened choices.
        starts, ends: see ``Groups``; the last end is N.
    """

    token: Tensor
    place: Tensor
    order: Tensor
    starts: Tensor
    ends: Tensor

    @staticmethod
    def from_indices(router_indices: Tensor, experts: int) -> "DeviceRouting":
        """Sorts the choices ``router_indices`` [T, K] by expert."""
        expert, order = torch.sort(router_indices.flatten(), stable=True)
        token, place, *bounds = sorted_rows(expert, order, experts, router_indices.shape[1])
        return DeviceRouting(token, place.view_as(router_indices), order, *bounds)

    @property
    def groups(self) -> Groups:
        """The rows of each expert."""
        return Groups(self.starts, self.ends)

    def combine(self, rows: Tensor, weights: Tensor | None) -> Tensor:
        """Sum over the choices of each token: rows [N, C], weights [T, K] -> [T, C]."""
        summed: Tensor = combine(rows, self.place, weights)
        return summed
