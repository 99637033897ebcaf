"""The supported architectures: gpt-oss, and dense models with Llama's architecture."""

import re
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor, nn
from transformers import (
    GptOssConfig,
    GptOssForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)

from animelm.errors import UserError
from animelm.model.attention.documents import DOCUMENT_ATTENTION
from animelm.model.moe.experts import Experts
from animelm.model.quantization.linear4bit import Quantization, make_linear

CausalLM = GptOssForCausalLM | LlamaForCausalLM
Config = GptOssConfig | LlamaConfig
_CONFIGS: dict[str, type[Config]] = {
    "GptOssForCausalLM": GptOssConfig,
    "LlamaForCausalLM": LlamaConfig,
}
# Sizes of a model by their keys, with bounds far above any that is published.
_SIZES = {
    "vocab_size": 1 << 22,
    "hidden_size": 1 << 18,
    "intermediate_size": 1 << 20,
    "num_hidden_layers": 1 << 10,
    "num_attention_heads": 1 << 12,
    "num_key_value_heads": 1 << 12,
    "head_dim": 1 << 14,
    "num_local_experts": 1 << 12,
    "num_experts_per_tok": 1 << 12,
    "sliding_window": 1 << 30,
    "max_position_embeddings": 1 << 30,
}
# Keys under which transformers takes the name of a function, which it may fetch from the hub.
_IMPLEMENTATION = re.compile(r"_?(attn|experts)_implementation(_internal)?")
_OWN_IMPLEMENTATIONS = (None, "eager", "sdpa")
# The format of the weights is recognized by the tensors themselves, and nothing is classified.
_UNUSED = ("quantization_config", "num_labels", "id2label", "label2id")
# Errors that transformers raises for a configuration with invalid values.
_LIBRARY_ERRORS = (
    StrictDataclassError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


def read_config(values: Any, source: Path | str) -> Config:
    """The configuration that a config.json describes.

    Args:
        values: The content of the file.
        source: Name of the file in messages.

    Raises:
        UserError: the architecture is not supported, or transformers cannot build the model.
    """
    if not isinstance(values, dict):
        raise UserError(f"{source}: found {values!r:.40}; expected an object with a model's sizes")
    kind = _architecture(values, source)
    for key, largest in _SIZES.items():
        size = values.get(key)
        if isinstance(size, int) and not 1 <= size <= largest:
            raise UserError(f"{source}: {key} is {size}; expected 1 or more, to {largest:,}")
    chosen, experts = values.get("num_experts_per_tok"), values.get("num_local_experts")
    if isinstance(chosen, int) and isinstance(experts, int) and chosen > experts:
        raise UserError(
            f"{source}: num_experts_per_tok is {chosen}; expected at most num_local_experts, which "
            f"is {experts}"
        )
    for key in filter(_IMPLEMENTATION.fullmatch, map(str, values)):
        if values[key] not in _OWN_IMPLEMENTATIONS:
            raise UserError(
                f"{source}: {key} is {values[key]!r:.80}; expected eager, sdpa, or none: another "
                "name could be fetched from the hub as code"
            )
    own = {key: value for key, value in values.items() if key not in _UNUSED}
    try:
        config = kind.from_dict(own)
        # Some invalid values only fail when a model is built; one layer is built quickly.
        with torch.device("meta"):
            new_model(kind.from_dict(own | {"num_hidden_layers": 1, "layer_types": None}))
    except _LIBRARY_ERRORS as error:
        words = " ".join(str(error).split())
        raise UserError(
            f"{source}: transformers cannot build this model ({type(error).__name__}: {words})"
        ) from error
    return config


def _architecture(values: dict[str, Any], source: Path | str) -> type[Config]:
    """Decided by ``architectures``, or by ``model_type`` if that is missing."""
    architectures, model_type = values.get("architectures"), values.get("model_type")
    if not architectures:
        known = [kind for kind in _CONFIGS.values() if kind.model_type == model_type]
        found = f"architectures is missing and model_type is {model_type!r}"
    else:
        listed = architectures if isinstance(architectures, list) else []
        known = [kind for name, kind in _CONFIGS.items() if name in listed]
        found = f"architectures is {architectures!r}"
    if not known:
        types = " or ".join(kind.model_type for kind in _CONFIGS.values())
        raise UserError(
            f"{source}: {found}; expected {' or '.join(_CONFIGS)} in a list, or no architectures "
            f"and model_type {types}"
        )
    return known[0]


def new_model(config: Config) -> CausalLM:
    """Stock transformers' model with random weights."""
    if isinstance(config, GptOssConfig):
        return GptOssForCausalLM(config)
    return LlamaForCausalLM(config)


def empty_model(config: Config, quantization: Quantization = "nf4") -> CausalLM:
    """The model in the form that is trained, on the meta device: shapes and types, no memory.

    With ``nf4`` and ``nf4-double`` the linear layers of attention, of every expert and of a dense
    model's MLP are packed; with ``mxfp4`` only experts are, as in the released gpt-oss.

    Raises:
        UserError: ``mxfp4`` is requested for a model without experts.
    """
    with torch.device("meta"):
        model = new_model(config)
    if isinstance(config, GptOssConfig):
        attention: Quantization = "none" if quantization == "mxfp4" else quantization
        for layer in model.model.layers:
            layer.mlp.experts = Experts(config, quantization)
            _pack(layer.self_attn, attention)
    elif quantization == "mxfp4":
        raise UserError(
            "quantization mxfp4 supports gpt-oss only, and this base is a "
            f"{type(model).__name__}, use nf4"
        )
    else:
        for layer in model.model.layers:
            _pack(layer.self_attn, quantization)
            _pack(layer.mlp, quantization)
    model.set_attn_implementation(DOCUMENT_ATTENTION)
    model.lm_head.register_forward_pre_hook(_copy_slice)
    return model


def _copy_slice(head: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """Copies the slice of states that generation passes to the head.

    For a slice, PyTorch would copy the head's weight once per prompt. ``contiguous()`` does not
    help, since it returns a single prompt's slice unchanged.
    """
    return (inputs[0].clone(memory_format=torch.contiguous_format),)


def _pack(block: nn.Module, quantization: Quantization) -> None:
    for name, stock in list(block.named_children()):
        if isinstance(stock, nn.Linear):
            has_bias = stock.bias is not None
            linear = make_linear(stock.in_features, stock.out_features, has_bias, quantization)
            setattr(block, name, linear)
