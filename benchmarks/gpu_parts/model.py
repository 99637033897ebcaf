"""gpt-oss with random weights, built on the device: nothing is read or fetched."""

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.nn import Parameter
from transformers import GptOssConfig

from animelm.model.activation_checkpointing import recompute_activations
from animelm.model.architecture import CausalLM, empty_model, read_config
from animelm.model.checkpoint.released import released_config
from animelm.model.fused.layers import fuse_layers, problem_with_fused_layers
from animelm.model.kept_activations import AdapterShape
from animelm.model.lora.adapters import LoraSettings, add_adapter
from animelm.model.lora.targets import audit_targets
from animelm.model.quantization.linear4bit import Quantization
from animelm.model.quantization.packed_linear import PackedLinear

DTYPE = torch.bfloat16
_STD = 0.02
# Scales with which random 4-bit values spread by about 0.02: a power of two for MXFP4 (2^-7, stored
# plus 127), a block's largest value for NF4.
_MXFP4_SCALE, _NF4_SCALE = 120, 0.04
# Beside a parameter of an adapter: its gradient, and two states of 8 bits (scales rounded up).
_BYTES_PER_TRAINED = 4 + 4 + 2.1
# Left free for dequantized experts, logits, and the activations of one block.
_WORKING_BYTES = 5 * 2**30


def real_config(layers: int | None = None) -> GptOssConfig:
    """The 20B's, with all of its layers or fewer."""
    values = dict(released_config("unsloth/gpt-oss-20b") or {})
    if layers is not None:
        values |= {"num_hidden_layers": layers, "layer_types": values["layer_types"][:layers]}
    return read_config(values, "gpt-oss-20b")  # type: ignore[return-value]


def toy_config() -> GptOssConfig:
    """Small enough for a CPU."""
    return GptOssConfig(
        vocab_size=512,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        num_local_experts=8,
        num_experts_per_tok=4,
        sliding_window=32,
        pad_token_id=0,
        eos_token_id=1,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    )


def layers_that_fit(free_bytes: int | None, quantization: Quantization, rank: int) -> int:
    """How many of the 20B's layers can be trained in so much memory; None: there is no limit."""
    everything = real_config().num_hidden_layers
    if free_bytes is None:
        return everything
    one, two = (_needed_bytes(layers, quantization, rank) for layers in (1, 2))
    rest = free_bytes - _WORKING_BYTES - (one - (two - one))
    return max(1, min(everything, int(rest // (two - one))))


def _needed_bytes(layers: int, quantization: Quantization, rank: int) -> float:
    with torch.device("meta"):
        model = add_adapter(empty_model(real_config(layers), quantization), LoraSettings(rank))
    return sum(
        p.numel() * (_BYTES_PER_TRAINED if p.requires_grad else _bytes_per_value(p))
        for p in model.parameters()
    )


def _bytes_per_value(parameter: Tensor) -> int:
    return min(parameter.itemsize, DTYPE.itemsize)


def random_model(
    config: GptOssConfig, quantization: Quantization, device: torch.device, lora: LoraSettings
) -> PeftModel:
    """A base with random weights, as ``load_base`` would give it, with fresh adapters."""
    torch.manual_seed(0)
    base = empty_model(config, quantization)
    for module in base.modules():
        scales = module.SCALES if isinstance(module, PackedLinear) else ()
        for name, parameter in list(module.named_parameters(recurse=False)):
            values = _random(parameter, name in scales, device)
            if parameter.dim() == 1 and "norm" in type(module).__name__.lower():
                values.fill_(1)
            setattr(module, name, Parameter(values, requires_grad=False))
    rotary = type(base.model.rotary_emb)
    base.model.rotary_emb = rotary(base.config).to(device)
    base.requires_grad_(False)
    if problem_with_fused_layers(base, device, DTYPE) is None:
        fuse_layers(base)  # as fit does
    model = add_adapter(base, lora)
    nn.Module.to(model, device)
    return model


def _random(like: Tensor, is_scale: bool, device: torch.device) -> Tensor:
    if like.dtype == torch.uint8:
        values = torch.empty(like.shape, dtype=torch.uint8, device=device)
        return values.fill_(_MXFP4_SCALE) if is_scale else values.random_(0, 256)
    if is_scale:
        return torch.full(like.shape, _NF4_SCALE, device=device)
    return torch.empty(like.shape, dtype=DTYPE, device=device).normal_(std=_STD)


def why_not_fused(model: PeftModel, device: torch.device) -> str | None:
    """Why norms and attention do not take one operation each; None: they do."""
    return problem_with_fused_layers(model.get_base_model(), device, DTYPE)


def checkpoint_activations(model: PeftModel, lora: LoraSettings) -> None:
    """Makes the layers recompute their activations in the backward pass."""
    base: CausalLM = model.get_base_model()  # type: ignore[assignment]
    audit = audit_targets(model, lora.target_modules)
    recompute_activations(base, AdapterShape.of(lora, audit))
