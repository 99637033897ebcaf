"""The training loss, computed without the logits of the whole batch.

Legend: N positions, C hidden width, V vocabulary.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from animelm.model.compile import compiled
from animelm.model.operators import operator
from animelm.model.quantization.kernels import kernels_serve

IGNORED = -100
# Bytes of a chunk's logits, which their gradient overwrites. Below 32 MiB the allocator reuses the
# memory of the previous chunk; larger blocks are requested from the system each time.
_CHUNK_BYTES = 28 * 2**20
# Very large vocabularies get more, since each chunk reads the whole head.
_ENOUGH_POSITIONS, _LARGEST_CHUNK_BYTES = 320, 128 * 2**20
# On a GPU the logits of a chunk need not fit into a cache, and each chunk costs launches.
_GPU_CHUNK_BYTES = 512 * 2**20
# Bytes of logits that are exponentiated at a time: few enough for a processor's cache.
_SLICE_BYTES = 4 * 2**20


def positions_per_chunk(vocabulary: int, itemsize: int, device: str = "cpu") -> int:
    """Number of positions in a chunk, for logits of ``itemsize`` bytes."""
    row = itemsize * vocabulary
    if device == "cuda":
        return max(1, _GPU_CHUNK_BYTES // row)
    return max(1, _CHUNK_BYTES // row, min(_ENOUGH_POSITIONS, _LARGEST_CHUNK_BYTES // row))


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Sum of token losses; the gradients are computed chunk by chunk in the forward pass.

    The loss is a scalar, so its gradient is known up to one factor as soon as a chunk's logits are.
    Logits are dropped after each chunk, and nothing is computed twice.
    """

    @staticmethod
    def forward(ctx, hidden, weight, targets, fused):
        need_hidden, need_weight = ctx.needs_input_grad[0], ctx.needs_input_grad[1]
        grad_hidden = torch.empty_like(hidden) if need_hidden else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if need_weight else None
        total = hidden.new_zeros((), dtype=torch.float32)
        compute_weight = weight.to(hidden.dtype)
        positions = positions_per_chunk(len(weight), hidden.itemsize, hidden.device.type)
        sum_then_gradient: Callable[[Tensor, Tensor], Tensor] = _sum_then_gradient
        if fused or kernels_serve(hidden.device):
            sum_then_gradient = _fused() if fused else _by_operator
        for begin in range(0, len(hidden), positions):
            part = slice(begin, begin + positions)
            logits = hidden[part] @ compute_weight.T
            total += sum_then_gradient(logits, targets[part])
            if grad_hidden is not None:
                torch.mm(logits, compute_weight, out=grad_hidden[part])
            if grad_weight is not None:
                grad_weight += (logits.T @ hidden[part]).float()
            del logits  # before the next chunk's are allocated
        ctx.save_for_backward(grad_hidden, grad_weight)
        ctx.weight_dtype = weight.dtype
        return total

    @staticmethod
    def backward(ctx, grad_out):
        grad_hidden, grad_weight = ctx.saved_tensors
        if grad_hidden is not None:
            grad_hidden = grad_hidden * grad_out.to(grad_hidden.dtype)
        if grad_weight is not None:
            grad_weight = (grad_weight * grad_out).to(ctx.weight_dtype)
        return grad_hidden, grad_weight, None, None


def _sum_then_gradient(logits: Tensor, targets: Tensor) -> Tensor:
    """Sum of -log p(target) in float32; ``logits`` [n, V] become its gradient, p - 1[target]."""
    total = logits.new_zeros((), dtype=torch.float32)
    positions = max(1, _SLICE_BYTES // (4 * logits.shape[1]))
    for rows, wanted in zip(logits.split(positions), targets.split(positions), strict=True):
        log_p = torch.log_softmax(rows.float(), dim=-1)
        total -= log_p.gather(1, wanted[:, None]).sum()
        gradient = log_p.exp_()
        gradient[torch.arange(len(rows), device=rows.device), wanted] -= 1.0
        rows.copy_(gradient)
    return total


@operator(
    "(Tensor(a!) logits, Tensor targets, Tensor(b!) losses) -> ()",
    "animelm.model.fused.kernels.cross_entropy",
)
def losses_then_gradient(logits: Tensor, targets: Tensor, losses: Tensor) -> None:
    """Writes -log p(target) of each position to ``losses``, float32 [n], and the gradient."""
    rows = torch.arange(len(logits), device=logits.device)
    log_p = torch.log_softmax(logits.float(), dim=-1)
    losses.copy_(-log_p[rows, targets])
    gradient = log_p.exp_()
    gradient[rows, targets] -= 1.0
    logits.copy_(gradient)


def _by_operator(logits: Tensor, targets: Tensor) -> Tensor:
    losses = logits.new_empty(len(logits), dtype=torch.float32)
    losses_then_gradient(logits, targets, losses)
    return losses.sum()


@cache
def _fused() -> Callable[[Tensor, Tensor], Tensor]:
    """``_sum_then_gradient`` in compiled loops, which need no slices."""

    def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        log_p = torch.log_softmax(logits.float(), dim=-1)
        # A comparison, because indexed writes would need a second loop.
        tokens = torch.arange(logits.shape[1], device=logits.device, dtype=torch.int32)
        is_target = tokens == targets[:, None].int()
        total = -log_p.gather(1, targets[:, None]).sum()
        logits.copy_(log_p.exp() - is_target.float())
        return total

    return compiled(cross_entropy)


def chunked_cross_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, fused: bool = False
) -> Tensor:
    """Sum over the supervised positions of -log p(target).

    Args:
        hidden: [..., C], the last hidden states.
        weight: [V, C], the language-model head.
        targets: [...] int64, ``IGNORED`` at positions without supervision.
        fused: whether softmax, losses and gradient are compiled into one loop.

    Returns:
        float32 scalar, in nats; divide by the count of supervised positions for the mean.
    """
    flat_targets = targets.reshape(-1)
    supervised = flat_targets != IGNORED
    flat_hidden = hidden.reshape(-1, hidden.shape[-1])
    if not supervised.all():
        flat_hidden, flat_targets = flat_hidden[supervised], flat_targets[supervised]
    return _ChunkedCrossEntropy.apply(flat_hidden, weight, flat_targets, fused)
