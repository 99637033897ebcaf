"""Accumulates the gradients of all experts' adapters in one operation.

Legend: E experts.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.graph import Node


def accumulate(
    parameters: Sequence[Tensor], nodes: Sequence[Node | None], new: Tensor
) -> Sequence[Tensor | None]:
    """What a backward pass returns for one parameter of each expert.

    Autograd keeps the gradients of the first batch as it gets them: as views of one stack. To those
    of further batches it would add expert by expert. If the gradients so far lie in one stack,
    ``new`` is added to it here, and nothing is left for autograd to add. Hooks on gradients, and
    ``torch.autograd.grad``, need what autograd adds itself.

    Args:
        parameters: [E], each of the shape of the others; leaves, whose ``.grad`` is changed.
        nodes: [E], where autograd adds to each; None for one that needs no gradient.
        new: [E, …], their gradients of this batch.

    Returns:
        [E] gradients, or None for each.
    """
    stack = _stack([parameter.grad for parameter in parameters], new)
    if stack is None or not _only_adds(parameters, nodes):
        return new.unbind()
    stack.add_(new)
    return [None] * len(parameters)


def _only_adds(parameters: Sequence[Tensor], nodes: Sequence[Node | None]) -> bool:
    """Whether the backward pass that runs adds to every ``.grad``, and shows it to nothing else."""
    needed = [node for node in nodes if node is not None]
    if len(needed) < len(nodes) or any(parameter._backward_hooks for parameter in parameters):
        return False
    try:
        return all(map(torch._C._will_engine_execute_node, needed))
    except RuntimeError:  # raised where torch.autograd.grad asks for one of them
        return False


def _stack(gradients: Sequence[Tensor | None], like: Tensor) -> Tensor | None:
    """The tensor [E, …] whose parts they are, in order; None if there is no such tensor."""
    known = [gradient for gradient in gradients if gradient is not None]
    if len(known) < max(2, len(gradients)):
        return None
    first = known[0]
    begin, whole = first.data_ptr(), first.untyped_storage().data_ptr()
    # There may be gaps between them.
    step = known[1].data_ptr() - begin
    for place, gradient in enumerate(known):
        if (
            gradient.shape != like.shape[1:]
            or gradient.dtype != like.dtype
            or not gradient.is_contiguous()
            or gradient.data_ptr() != begin + place * step
            or gradient.untyped_storage().data_ptr() != whole
        ):
            return None
    if step < first.nbytes or step % first.itemsize:
        return None
    return torch.as_strided(first, like.shape, (step // first.itemsize, *first.stride()))
