"""The training loss, without the logits of the whole batch.

Legend: N positions, C hidden width, V vocabulary.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORED = -100
_CHUNK_POSITIONS = 1024


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Sum of token losses; the gradients are formed chunk by chunk in the forward pass.

    The loss is a scalar, so its gradient is known up to one factor as soon as a chunk's logits
    are: no chunk's logits outlive the chunk, and nothing is computed twice.
    """

    @staticmethod
    def forward(ctx, hidden, weight, targets):
        need_hidden, need_weight = ctx.needs_input_grad[0], ctx.needs_input_grad[1]
        grad_hidden = torch.empty_like(hidden) if need_hidden else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if need_weight else None
        total = hidden.new_zeros((), dtype=torch.float32)
        compute_weight = weight.to(hidden.dtype)
        for begin in range(0, hidden.shape[0], _CHUNK_POSITIONS):
            part = slice(begin, begin + _CHUNK_POSITIONS)
            logits = F.linear(hidden[part], compute_weight).float()
            total += F.cross_entropy(logits, targets[part], reduction="sum")
            if not (need_hidden or need_weight):
                continue
            grad = torch.softmax(logits, dim=-1)
            grad[torch.arange(grad.shape[0], device=grad.device), targets[part]] -= 1.0
            grad = grad.to(hidden.dtype)
            if grad_hidden is not None:
                grad_hidden[part] = grad @ compute_weight
            if grad_weight is not None:
                grad_weight += (grad.T @ hidden[part]).float()
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
        return grad_hidden, grad_weight, None


def chunked_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Sum over the supervised positions of -log p(target).

    Args:
        hidden: [..., C], the last hidden states.
        weight: [V, C], the language-model head.
        targets: [...] int64, ``IGNORED`` where nothing is to be predicted.

    Returns:
        float32 scalar, in nats; divide by the count of supervised positions for the mean.
    """
    flat_targets = targets.reshape(-1)
    supervised = flat_targets != IGNORED
    return _ChunkedCrossEntropy.apply(
        hidden.reshape(-1, hidden.shape[-1])[supervised], weight, flat_targets[supervised]
    )
