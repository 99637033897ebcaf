from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from transformers.models.gpt_oss import modeling_gpt_oss
from transformers.models.llama import modeling_llama

from animelm.model.attention.cached import cached_attention

HEADS, SHARED, NEW, HELD, WIDTH, ROWS = 8, 2, 3, 11, 4, 5


def states() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Query, key, value, and a mask that hides other slots of every row."""
    torch.manual_seed(0)
    query = torch.randn(ROWS, HEADS, NEW, WIDTH)
    key, value = torch.randn(2, ROWS, HEADS // SHARED, HELD, WIDTH)
    hidden = torch.rand(ROWS, 1, NEW, HELD) < 0.4
    hidden[..., 0] = False
    mask = torch.zeros(hidden.shape).masked_fill(hidden, torch.finfo(torch.float32).min)
    return query, key, value, mask


def stock(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, sinks: Tensor | None) -> Tensor:
    module = SimpleNamespace(num_key_value_groups=SHARED, sinks=sinks, training=False)
    family = modeling_llama if sinks is None else modeling_gpt_oss
    return family.eager_attention_forward(module, query, key, value, mask, 0.7)[0]


@pytest.mark.parametrize("has_sinks", [True, False])
def test_attention_and_gradients_are_those_of_the_stock_attention(has_sinks: bool) -> None:
    *tensors, mask = states()
    if has_sinks:
        tensors.append(torch.randn(HEADS))
    grad = torch.randn(ROWS, NEW, HEADS, WIDTH)
    found = []
    for attention in (cached_attention, stock):
        leaves = [tensor.clone().requires_grad_() for tensor in tensors]
        sinks = leaves[3] if has_sinks else None
        if attention is stock:
            output = stock(*leaves[:3], mask, sinks)
        else:
            output = cached_attention(*leaves[:3], mask, sinks, 0.7)
        found.append((output, *torch.autograd.grad(output, leaves, grad)))
    for own, expected in zip(*found, strict=True):
        torch.testing.assert_close(own, expected, rtol=1e-5, atol=1e-6)


def test_without_a_mask_everything_is_attended_to() -> None:
    query, key, value, mask = states()
    open_mask = torch.zeros_like(mask)
    torch.testing.assert_close(
        cached_attention(query, key, value, None, None, 0.7),
        cached_attention(query, key, value, open_mask, None, 0.7),
    )
