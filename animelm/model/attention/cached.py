"""Attention of new tokens to cached keys and values, for generation.

Stock eager attention copies keys and values once for each query head that shares them, at every
step. Here the query heads that share a key head are rows of one product instead.

Legend: B prompts, H query heads, J key and value heads, G = H / J, Q new tokens, L tokens that can
be attended to, D head dimension.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def cached_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    sinks: Tensor | None,
    scale: float,
) -> Tensor:
    """Softmax attention with grouped heads, the same formula as transformers' eager attention.

    Args:
        query: [B, H, Q, D].
        key, value: [B, J, L, D].
        mask: [B or 1, 1, Q, L or longer], added to the scores; None: everything is attended to.
        sinks: [H], one logit per head that takes probability and gives no value; None: no sinks.
        scale: factor on the scores.

    Returns:
        [B, Q, H, D].
    """
    groups, length = query.shape[1] // key.shape[1], key.shape[2]
    rows = query.mul(scale).unflatten(1, (-1, groups)).flatten(2, 3)  # [B, J, G·Q, D]
    scores = (rows @ key.transpose(2, 3)).unflatten(2, (groups, -1))  # [B, J, G, Q, L]
    if mask is not None:
        scores = scores + mask[:, :, None, :, :length]
    if sinks is None:
        probabilities = F.softmax(scores, -1, dtype=torch.float32).to(query.dtype)
    else:
        probabilities = _softmax_with_sinks(scores, sinks)
    outputs = probabilities.flatten(2, 3) @ value  # [B, J, G·Q, D]
    return outputs.unflatten(2, (groups, -1)).flatten(1, 2).transpose(1, 2).contiguous()


def _softmax_with_sinks(scores: Tensor, sinks: Tensor) -> Tensor:
    """Softmax over [B, J, G, Q, L] and its head's sink, whose own probability is dropped."""
    sinks = sinks.view(scores.shape[1], scores.shape[2], 1, 1).to(scores.dtype)
    largest = torch.maximum(scores.amax(-1, keepdim=True), sinks)
    weights = (scores - largest).exp()
    return weights / (weights.sum(-1, keepdim=True) + (sinks - largest).exp())
