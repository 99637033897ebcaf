"""PyTorch's flash attention of packed documents on a CPU, where it has none: a plain formula.

Inside ``emulated_flash_attention`` the operators that a GPU offers take CPU tensors, so that the
code for a GPU runs and its operations can be counted. Scores of whole documents are made: for tests
and counts only.

Legend: T tokens, H query heads, J key heads, D head dimension.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


def _scores(query: Tensor, key: Tensor, scale: float, window: int) -> Tensor:
    """Of one document, in float64: [H, L, L], -inf where a token must not see another."""
    repeated = key.double().repeat_interleave(query.shape[1] // key.shape[1], 1)
    scores = torch.einsum("ihd,jhd->hij", query.double(), repeated) * scale
    steps = torch.arange(len(query))
    distance = steps[:, None] - steps
    hidden = (distance < 0) | (distance > window if window >= 0 else False)
    return scores.masked_fill(hidden, -torch.inf)


def _documents(lengths: Tensor) -> list[slice]:
    ends = lengths.tolist()
    return [slice(*ends[number : number + 2]) for number in range(len(ends) - 1)]


def forward(
    query: Tensor, key: Tensor, value: Tensor, lengths: Tensor, *others: Any, **options: Any
) -> tuple[Tensor, ...]:
    """Output [T, H, D] in query's type, and log Σ exp(scores), float32 [H, T]."""
    longest, dropout, causal = others[1], others[3], others[4]
    assert lengths.dtype == torch.int32 and causal and not dropout
    out = query.new_empty(query.shape)
    logarithms = query.new_empty(query.shape[1], len(query), dtype=torch.float32)
    for place in _documents(lengths):
        assert place.stop - place.start <= longest
        scores = _scores(query[place], key[place], options["scale"], options["window_size_left"])
        repeats = query.shape[1] // key.shape[1]
        values = value[place].double().repeat_interleave(repeats, 1)
        out[place] = torch.einsum("hij,jhd->ihd", scores.softmax(-1), values).to(out.dtype)
        logarithms[:, place] = scores.logsumexp(-1).float()
    state = torch.zeros(2, dtype=torch.uint64)
    return out, logarithms, state, torch.zeros((), dtype=torch.uint64), query.new_empty(0)


def backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    logarithms: Tensor,
    lengths: Tensor,
    *_: Any,
    **options: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query, key and value, with probabilities exp(scores - ``logarithms``)."""
    grads = [states.new_empty(states.shape) for states in (query, key, value)]
    repeats = query.shape[1] // key.shape[1]
    for place in _documents(lengths):
        scores = _scores(query[place], key[place], options["scale"], options["window_size_left"])
        probabilities = torch.exp(scores - logarithms[:, place, None])
        wide, keys = grad[place].double(), key[place].double().repeat_interleave(repeats, 1)
        values = value[place].double().repeat_interleave(repeats, 1)
        shared = (wide * out[place]).sum(-1).T[..., None]
        of_scores = probabilities * (torch.einsum("ihd,jhd->hij", wide, values) - shared)
        of_scores *= options["scale"]
        grads[0][place] = torch.einsum("hij,jhd->ihd", of_scores, keys).to(query.dtype)
        of_key = torch.einsum("hij,ihd->jhd", of_scores, query[place].double())
        of_value = torch.einsum("hij,ihd->jhd", probabilities, wide)
        for held, each in ((grads[1], of_key), (grads[2], of_value)):
            grouped = each.unflatten(1, (key.shape[1], repeats)).sum(2)
            held[place] = grouped.to(held.dtype)
    return grads[0], grads[1], grads[2]


@contextmanager
def emulated_flash_attention() -> Iterator[None]:
    """Gives ``aten::_flash_attention_forward`` and its backward pass to the CPU."""
    library = torch.library.Library("aten", "IMPL")
    library.impl("_flash_attention_forward", forward, "CPU")
    library.impl("_flash_attention_backward", backward, "CPU")
    try:
        yield
    finally:
        library._destroy()
