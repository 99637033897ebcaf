"""The loss of some positions and its gradient, one program for each position.

Legend: n positions, V vocabulary.
"""

import triton
import triton.language as tl
from torch import Tensor

TILE = 4096
WARPS = 16


@triton.jit
def cross_entropy_kernel(logits, targets, losses, vocabulary, BLOCK: tl.constexpr):
    """Reads a position's logits twice: for the sum of their exponentials, then for the gradient."""
    row = tl.program_id(0).to(tl.int64)
    target = tl.load(targets + row)
    place = logits + row * vocabulary
    largest, total, wanted = -float("inf"), 0.0, 0.0
    for begin in range(0, vocabulary, BLOCK):
        token = begin + tl.arange(0, BLOCK)
        values = tl.load(place + token, mask=token < vocabulary, other=-float("inf"))
        values = values.to(tl.float32)
        higher = tl.maximum(largest, tl.max(values, 0))
        total = total * tl.exp(largest - higher) + tl.sum(tl.exp(values - higher), 0)
        # Not loaded later, when another thread may have overwritten it.
        wanted += tl.sum(tl.where(token == target, values, 0.0), 0)
        largest = higher
    logarithm = largest + tl.log(total)
    tl.store(losses + row, logarithm - wanted)
    for begin in range(0, vocabulary, BLOCK):
        token = begin + tl.arange(0, BLOCK)
        values = tl.load(place + token, mask=token < vocabulary, other=0.0).to(tl.float32)
        gradient = tl.exp(values - logarithm) - tl.where(token == target, 1.0, 0.0)
        tl.store(place + token, gradient.to(logits.dtype.element_ty), mask=token < vocabulary)


def losses_then_gradient(logits: Tensor, targets: Tensor, losses: Tensor) -> None:
    """See ``model.loss``; all are contiguous."""
    rows, vocabulary = logits.shape
    cross_entropy_kernel[(rows,)](logits, targets, losses, vocabulary, BLOCK=TILE, num_warps=WARPS)
