"""Leaves out of the last layer what no answer needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from peft import PeftModel
from torch import Tensor, nn
from transformers import GptOssForCausalLM, LlamaForCausalLM


@contextmanager
def last_position_alone(model: nn.Module) -> Iterator[None]:
    """In the block, the last layer's experts or MLP compute the last position of each row alone.

    The keys and values of all positions are there by then, and only the last position has logits.
    The states of the others are wrong after the layer, and nothing reads them.
    """
    causal = model.get_base_model() if isinstance(model, PeftModel) else model
    layer = cast(GptOssForCausalLM | LlamaForCausalLM, causal).model.layers[-1]
    hook = layer.post_attention_layernorm.register_forward_pre_hook(_last_position)
    try:
        yield
    finally:
        hook.remove()


def _last_position(norm: nn.Module, inputs: tuple[Any, ...]) -> tuple[Tensor]:
    """[B, S, C] -> [B, 1, C]; the layer adds the result to the states of every position."""
    return (inputs[0][:, -1:],)
