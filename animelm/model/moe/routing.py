"""Sorts tokens by expert, and sums the experts' outputs for each token.

Legend: T tokens, K experts chosen per token, E experts, N rows sorted by
expert, C hidden width.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Routing(NamedTuple):
    """Which rows each expert computes.

    Attributes:
        token: [N] int64, the token of each row; rows are sorted by expert.
        place: [T, K] int64, the row of each token's k-th choice. Rows of no choice are padding.
        counts: number of rows of each expert, padding included.
    """

    token: Tensor
    place: Tensor
    counts: list[int]

    @staticmethod
    def from_indices(router_indices: Tensor, experts: int, multiple: int = 1) -> "Routing":
        """Sorts the choices ``router_indices`` [T, K] by expert; see ``padded_rows``."""
        flat = router_indices.flatten()
        order = torch.argsort(flat, stable=True)
        counts = torch.bincount(flat, minlength=experts)
        padded = counts.new_tensor([padded_rows(count, multiple) for count in counts.tolist()])
        shifts = (padded.cumsum(0) - padded) - (counts.cumsum(0) - counts)
        rows = torch.arange(order.numel(), device=order.device) + shifts[flat[order]]
        token = order.new_zeros(int(padded.sum()))
        token[rows] = order // router_indices.shape[1]
        place = torch.empty_like(order)
        place[order] = rows
        return Routing(token, place.view_as(router_indices), padded.tolist())

    def combine(self, rows: Tensor, weights: Tensor | None) -> Tensor:
        """See ``combine_choices``."""
        return combine_choices(self.place, rows, weights)


class Groups(NamedTuple):
    """The rows of each expert among all rows, sorted by expert; known to the device alone.

    Attributes:
        starts, ends: [E] int32, each expert's first row, and the row after its last one.
        empty: [E, 1, 1] bool, whether an expert has no rows.
    """

    starts: Tensor
    ends: Tensor
    empty: Tensor

    @staticmethod
    def between(starts: Tensor, ends: Tensor) -> "Groups":
        """The groups with these first rows and ends."""
        return Groups(starts, ends, (starts == ends)[:, None, None])


class DeviceRouting(NamedTuple):
    """Which rows each expert computes, without the host waiting for it.

    Attributes:
        token: [N] int64, the token of each row; rows are sorted by expert.
        place: [T, K] int64, the row of each token's k-th choice.
        groups: the rows of each expert; the last end is N.
    """

    token: Tensor
    place: Tensor
    groups: Groups

    @staticmethod
    def from_indices(router_indices: Tensor, experts: int) -> "DeviceRouting":
        """Sorts the choices ``router_indices`` [T, K] by expert."""
        expert, order = torch.sort(router_indices.flatten(), stable=True)
        numbers = torch.arange(experts, dtype=expert.dtype, device=expert.device)
        starts, ends = (
            torch.searchsorted(expert, numbers, right=right, out_int32=True)
            for right in (False, True)
        )
        place = torch.empty_like(order)
        place.scatter_(0, order, torch.arange(order.numel(), device=order.device))
        groups = Groups.between(starts, ends)
        token = order.div_(router_indices.shape[1], rounding_mode="floor")
        return DeviceRouting(token, place.view_as(router_indices), groups)

    def combine(self, rows: Tensor, weights: Tensor | None) -> Tensor:
        """See ``combine_choices``."""
        return combine_choices(self.place, rows, weights)


def combine_choices(place: Tensor, rows: Tensor, weights: Tensor | None) -> Tensor:
    """Sum over the choices of each token: place and weights [T, K], rows [N, C] -> [T, C]."""
    # Gathers, weights and sums in one pass, ten times as fast as three operations on a CPU.
    return F.embedding_bag(place, rows, per_sample_weights=weights, mode="sum")


def padded_rows(count: int, multiple: int) -> int:
    """``count`` rows of an expert, rounded up to a multiple of ``multiple``, a power of two.

    Counts above 16 · ``multiple`` are rounded more coarsely, by a sixteenth to an eighth of the
    count, so that busy experts share their numbers of rows. With 1 nothing is rounded.
    """
    step = multiple if multiple == 1 else max(multiple, 1 << max(0, count.bit_length() - 4))
    return -(-count // step) * step
