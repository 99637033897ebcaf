"""Tensors of one shape as one tensor, without a copy where they already lie side by side."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def stacked(tensors: Sequence[Tensor]) -> Tensor:
    """``torch.stack``; a view if the tensors follow each other in one storage.

    It must not be called where autograd records.
    """
    first = tensors[0]
    if len(tensors) == 1:
        return first[None]
    step = first.numel() * first.itemsize
    start, storage = first.data_ptr(), first.untyped_storage().data_ptr()
    if all(
        tensor.data_ptr() == start + number * step
        and tensor.untyped_storage().data_ptr() == storage
        and tensor.is_contiguous()
        for number, tensor in enumerate(tensors)
    ):
        return first.as_strided((len(tensors), *first.shape), (first.numel(), *first.stride()))
    return torch.stack(list(tensors))


def selected(stack: Tensor, chosen: Tensor | None) -> Tensor:
    """The tensors of a stack with the numbers in ``chosen``, int64 [n]; None: all, uncopied."""
    return stack if chosen is None else stack.index_select(0, chosen)


@torch.no_grad()
def lay_side_by_side(parameters: Sequence[nn.Parameter]) -> None:
    """Moves parameters of one shape into one storage, so that ``stacked`` need not copy."""
    together = torch.stack([parameter.data for parameter in parameters])
    for parameter, part in zip(parameters, together.unbind(), strict=True):
        parameter.data = part
