"""Activation checkpointing that recomputes only what is worth it (arXiv 1604.06174).

Checkpointing a whole decoder layer would run the experts' down projections a second time, though
nothing in the backward pass needs their output. Here attention with its norm is one checkpoint, the
second norm another, and the experts keep nothing but their input (``expert_pass``). A layer keeps
three tensors of [tokens, hidden width], and two thirds of the experts' products run again. A dense
layer is one checkpoint.

If a memory budget is given, the last layers store what is most expensive to recompute: the experts'
products of gate and up, or in a dense model all of the layer. For the 20B's 24 layers these take
1.2 GiB for 1,152 tokens in bf16, and without them a quarter of the frozen products runs twice.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import GptOssForCausalLM, LlamaForCausalLM
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssDecoderLayer
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from animelm.model.kept_activations import AdapterShape, BatchShape, layers_that_keep
from animelm.model.moe.experts import Experts

_Keeps = Callable[[Tensor], bool]


def recompute_activations(
    model: GptOssForCausalLM | LlamaForCausalLM,
    adapters: AdapterShape,
    kept_bytes: int = 0,
    compiled: bool = False,
) -> None:
    """Makes the decoder layers recompute their activations in the backward pass.

    Args:
        model: The base, with or without adapters.
        adapters: The adapters that are trained on it.
        kept_bytes: Memory budget for activations that the last layers store instead.
        compiled: Whether norms are compiled, and therefore keep less.
    """
    depth = len(model.model.layers)

    def keeps(number: int, states: Tensor) -> bool:
        tokens = states.shape[0] * states.shape[1]
        device = states.device.type
        shape = BatchShape(tokens, tokens, states.dtype, True, device, kept_bytes, compiled)
        return number >= depth - layers_that_keep(model.config, adapters, shape)

    forward = _expert_forward if isinstance(model, GptOssForCausalLM) else _dense_forward
    for number, layer in enumerate(model.model.layers):
        layer.forward = partial(forward, layer, partial(keeps, number))


def _expert_forward(
    layer: GptOssDecoderLayer, keeps: _Keeps, hidden_states: Tensor, **kwargs: Any
) -> Tensor:
    if not layer.training:
        return type(layer).forward(layer, hidden_states, **kwargs)

    def attend(states: Tensor) -> Tensor:
        return layer.self_attn(hidden_states=layer.input_layernorm(states), **kwargs)[0]

    cast(Experts, layer.mlp.experts).recompute = not keeps(hidden_states)
    hidden_states = hidden_states + checkpoint(attend, hidden_states, use_reentrant=False)
    normed = checkpoint(layer.post_attention_layernorm, hidden_states, use_reentrant=False)
    return hidden_states + layer.mlp(normed)[0]


def _dense_forward(
    layer: LlamaDecoderLayer, keeps: _Keeps, hidden_states: Tensor, **kwargs: Any
) -> Tensor:
    forward = type(layer).forward
    if not layer.training or keeps(hidden_states):
        return forward(layer, hidden_states, **kwargs)
    return cast(Tensor, checkpoint(forward, layer, hidden_states, use_reentrant=False, **kwargs))
