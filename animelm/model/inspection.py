"""Describes a model's modules: types, widths, bits, and trainable parameters."""

from dataclasses import asdict, dataclass

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssRMSNorm, GptOssTopKRouter
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from animelm.model.architecture import CausalLM, empty_model
from animelm.model.checkpoint.hub import load_config
from animelm.model.lora.adapters import LoraSettings, add_adapter
from animelm.model.lora.targets import TargetAudit, audit_targets
from animelm.model.quantization.linear4bit import Quantization, bits_per_weight
from animelm.model.quantization.packed_linear import PackedLinear


@dataclass(frozen=True)
class ModuleRow:
    """One module that holds weights.

    Attributes:
        name: path in the model.
        type: name of its class.
        in_features, out_features: widths; for an embedding, vocabulary and width.
        bias: whether it has a bias.
        bits: bits per weight.
    """

    name: str
    type: str
    in_features: int
    out_features: int
    bias: bool
    bits: int

    def to_json(self) -> dict:
        """As printed by ``inspect --format json``: name, type, in, out, bias, bits."""
        row = asdict(self)
        return {key.removesuffix("_features"): value for key, value in row.items()}


@dataclass(frozen=True)
class Inspection:
    """A model's modules, its parameters, and the trainable parameters of each LoRA target.

    Without an audit (None), all parameters are trained.
    """

    modules: tuple[ModuleRow, ...]
    parameters: int
    audit: TargetAudit | None

    def to_json(self) -> dict:
        """The object that ``inspect --format json`` prints."""
        return {
            "modules": [row.to_json() for row in self.modules],
            "parameters": self.parameters,
            "trainable_parameters": self.audit.total if self.audit else self.parameters,
            "trainable_parameters_per_target": self.audit.per_target if self.audit else {},
        }


def inspect_base(
    base: str, quantization: Quantization, lora: LoraSettings | None, compute_dtype: torch.dtype
) -> Inspection:
    """Describes a base from its configuration alone; no weight is read.

    Args:
        base: Checkpoint folder or hub id.
        quantization: Form of its attention and experts.
        lora: The adapter to train; None: all parameters are trained.
        compute_dtype: Type of the weights that are not quantized.

    Raises:
        UserError: the base cannot be found, or a LoRA target matches no layer.
    """
    model = empty_model(load_config(base), quantization)
    nn.Module.to(model, compute_dtype)
    modules = tuple(describe_modules(model))
    parameters = count_parameters(model)
    if lora is None:
        return Inspection(modules, parameters, None)
    adapted = add_adapter(model, lora)
    return Inspection(modules, parameters, audit_targets(adapted, lora.target_modules))


def describe_modules(model: CausalLM | PeftModel) -> list[ModuleRow]:
    """Every linear layer, router, norm and embedding in the model's order, without adapters."""
    rows = []
    for path, module in model.named_modules():
        if ".lora_" in path or isinstance(module, LoraLayer):
            continue
        widths = _widths(module)
        if widths:
            bias = getattr(module, "bias", None) is not None
            name = path.replace(".base_layer", "").removeprefix("base_model.model.")
            rows.append(
                ModuleRow(name, type(module).__name__, *widths, bias, bits_per_weight(module))
            )
    return rows


def count_parameters(model: nn.Module) -> int:
    """Number of parameters of a model without adapters, whatever their bits.

    A packed byte holds two, scales do not count, and a matrix that two modules share counts once.
    """
    packed = [module for module in model.modules() if isinstance(module, PackedLinear)]
    values = sum(layer.in_features * layer.out_features for layer in packed)
    held = sum(
        parameter.numel()
        for layer in packed
        for parameter in (layer.weight, *layer.scale_parameters())
    )
    return values + sum(parameter.numel() for parameter in model.parameters()) - held


def _widths(module: nn.Module) -> tuple[int, int] | None:
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    if isinstance(module, nn.Embedding):
        return module.num_embeddings, module.embedding_dim
    if isinstance(module, GptOssTopKRouter):
        return module.hidden_dim, module.num_experts
    if isinstance(module, GptOssRMSNorm | LlamaRMSNorm):
        return module.weight.numel(), module.weight.numel()
    return None
