"""Static memory of a training run: weights, adapters, gradients and optimizer states.

Counted on the model itself, built on the meta device, without its weights.
"""

from dataclasses import dataclass, field
from functools import cache
from math import prod
from typing import Literal

import torch
from torch import nn

from animelm.model.architecture import Config, empty_model
from animelm.model.checkpoint.hub import load_config
from animelm.model.inspection import count_parameters
from animelm.model.lora.adapters import LoraSettings, add_adapter
from animelm.model.lora.targets import TargetAudit, audit_targets
from animelm.model.quantization.linear4bit import Quantization
from animelm.model.quantization.packed_linear import PackedLinear
from animelm.planner.parallelism import Parallelism

OptimizerKind = Literal["adamw_8bit", "adamw"]

_FLOAT32 = 4
# bitsandbytes' AdamW8bit: tensors below this size keep float32 states, larger ones have one float32
# per block.
_SMALLEST_8BIT, _BLOCK_8BIT = 4096, 256


@dataclass(frozen=True)
class WeightBytes:
    """Bytes of the frozen weights.

    Attributes:
        packed: 4-bit values.
        scales: the scales of the 4-bit values' blocks.
        unquantized: all other weights, in the compute type.
    """

    packed: int
    scales: int
    unquantized: int

    @property
    def total(self) -> int:
        return self.packed + self.scales + self.unquantized


@dataclass(frozen=True)
class StaticMemory:
    """Bytes that one process holds from the first optimizer step to the last.

    If processes shard the model, these are the bytes of one shard.

    Attributes:
        parameters: number of parameters of the base, on all processes together.
        audit: the trained parameters by target, on all processes together.
        weights: bytes of the base.
        adapters: bytes of the adapters, float32 as PEFT holds them whatever the compute type.
        gradients: bytes of the adapters' gradients.
        optimizer_states: bytes of the two states of each trained parameter.
    """

    parameters: int
    audit: TargetAudit
    weights: WeightBytes
    adapters: int
    gradients: int
    optimizer_states: int


@dataclass(frozen=True)
class ModelSize:
    """Sizes of a base with adapters, unsharded.

    Attributes:
        weights: bytes of the base.
        layer: bytes of the weights of one decoder layer.
        norm_and_head: bytes of the last norm and the head.
        embeddings: bytes of the embeddings; 0 if the head shares their matrix.
        parameters: number of parameters of the base.
        audit: the trained parameters by target.
        trained: shapes of the trained tensors.
    """

    weights: WeightBytes
    layer: int
    norm_and_head: int
    embeddings: int
    parameters: int
    audit: TargetAudit
    trained: tuple[tuple[int, ...], ...]

    @property
    def adapters(self) -> int:
        """Bytes of the trained tensors."""
        return _FLOAT32 * sum(map(prod, self.trained))


def static_memory(
    size: ModelSize, optimizer: OptimizerKind, parallelism: Parallelism, offloaded: int = 0
) -> StaticMemory:
    """What one process holds on its device.

    Args:
        size: sizes of the model.
        optimizer: 8-bit or 32-bit states.
        parallelism: the processes of the run.
        offloaded: bytes of unquantized weights that are not on the device.
    """
    weights = size.weights
    unquantized = weights.unquantized - offloaded
    held = WeightBytes(*map(parallelism.shard, (weights.packed, weights.scales, unquantized)))
    # Tensors are sharded by rows.
    sizes = [parallelism.shard(rows) * prod(widths) for rows, *widths in size.trained]
    adapters = _FLOAT32 * sum(sizes)
    states = sum(optimizer_state_bytes(values, optimizer) for values in sizes)
    return StaticMemory(size.parameters, size.audit, held, adapters, adapters, states)


@dataclass(frozen=True)
class _Described:
    """A configuration that is equal to others of the same text, whatever folder they are from."""

    text: str
    config: Config = field(compare=False)


def measure_model(
    base: str, quantization: Quantization, lora: LoraSettings, dtype: torch.dtype
) -> ModelSize:
    """Builds a base with adapters on the meta device, and adds up its sizes."""
    config = load_config(base)
    return _measure(_Described(config.to_json_string(), config), quantization, lora, dtype)


@cache
def _measure(
    described: _Described, quantization: Quantization, lora: LoraSettings, dtype: torch.dtype
) -> ModelSize:
    model = empty_model(described.config, quantization)
    weights, layer, norm, head = (
        weight_bytes(part, dtype)
        for part in (model, model.model.layers[0], model.model.norm, model.lm_head)
    )
    embeddings = weight_bytes(model.model.embed_tokens, dtype).total
    if model.config.tie_word_embeddings:
        embeddings = 0
    parameters = count_parameters(model)
    with torch.device("meta"):  # PEFT would put new adapters on the CPU
        adapted = add_adapter(model, lora)
    trained = tuple(tuple(p.shape) for p in adapted.parameters() if p.requires_grad)
    audit = audit_targets(adapted, lora.target_modules)
    norm_and_head = norm.total + head.total
    return ModelSize(weights, layer.total, norm_and_head, embeddings, parameters, audit, trained)


def weight_bytes(model: nn.Module, dtype: torch.dtype) -> WeightBytes:
    """The weights of a model without adapters once they are loaded.

    Args:
        model: made by ``empty_model``, or a part of it.
        dtype: the type of the weights that are not packed.
    """
    packed = [module for module in model.modules() if isinstance(module, PackedLinear)]
    values = sum(layer.weight.nbytes for layer in packed)
    scales = [parameter for layer in packed for parameter in layer.scale_parameters()]
    every = sum(parameter.numel() for parameter in model.parameters())
    in_layers = sum(parameter.numel() for parameter in (*scales, *(x.weight for x in packed)))
    in_scales = sum(parameter.nbytes for parameter in scales)
    return WeightBytes(values, in_scales, (every - in_layers) * dtype.itemsize)


def optimizer_state_bytes(size: int, kind: OptimizerKind) -> int:
    """AdamW's two states for a tensor of ``size`` values (``train.optimizer``).

    In 8 bits (arXiv 2110.02861) each block of 256 values has its largest in float32; small tensors
    keep float32 states.
    """
    if kind == "adamw_8bit" and size >= _SMALLEST_8BIT:
        return 2 * (size + -(-size // _BLOCK_8BIT) * _FLOAT32)
    return 2 * size * _FLOAT32
