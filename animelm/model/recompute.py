"""Activation checkpointing that recomputes only what pays (arXiv 1604.06174, and per part).

Checkpointing a whole decoder layer would run the experts' down projections a second time, though
nothing in the backward pass needs their output. Here attention with its norm is one checkpoint, the
second norm another, and the experts keep nothing but their input (``expert_pass``). A layer keeps
three tensors of [tokens, hidden width], and of the experts two thirds run again.
"""

from types import MethodType
from typing import Any, cast

from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import GptOssForCausalLM, PreTrainedModel
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssDecoderLayer

from animelm.model.experts import Experts


def recompute_activations(model: PreTrainedModel) -> None:
    """Makes every decoder layer forget its activations in training and compute them again."""
    if not isinstance(model, GptOssForCausalLM):
        model.activation_checkpointing_enable({"use_reentrant": False})
        return
    for layer in model.model.layers:
        cast(Experts, layer.mlp.experts).recompute = True
        layer.forward = MethodType(_layer_forward, layer)


def _layer_forward(layer: GptOssDecoderLayer, hidden_states: Tensor, **kwargs: Any) -> Tensor:
    if not layer.training:
        return type(layer).forward(layer, hidden_states, **kwargs)

    def attend(states: Tensor) -> Tensor:
        return layer.self_attn(hidden_states=layer.input_layernorm(states), **kwargs)[0]

    hidden_states = hidden_states + checkpoint(attend, hidden_states, use_reentrant=False)
    normed = checkpoint(layer.post_attention_layernorm, hidden_states, use_reentrant=False)
    return hidden_states + layer.mlp(normed)[0]
