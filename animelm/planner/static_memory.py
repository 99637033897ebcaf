"""What lasts in the memory of a training run, counted on the model itself without its weights."""

from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Literal

import torch
from torch import nn

from animelm.model.architecture import empty_model
from animelm.model.checkpoint.hub import load_config
from animelm.model.inspection import count_parameters
from animelm.model.lora.adapters import LoraSettings, add_adapter
from animelm.model.lora.targets import TargetAudit, audit_targets
from animelm.model.quantization.linear4bit import Quantization
from animelm.model.quantization.packed_linear import PackedLinear
from animelm.planner.parallelism import Processes

OptimiserKind = Literal["adamw_8bit", "adamw"]

_FLOAT32 = 4
# bitsandbytes' AdamW8bit: smaller tensors keep float32 states, larger ones a float32 a block.
_SMALLEST_8BIT, _BLOCK_8BIT = 4096, 256


@dataclass(frozen=True)
class WeightBytes:
    """The frozen weights.

    Attributes:
        packed: 4-bit values.
        scales: of the 4-bit values' blocks.
        unquantised: all else, in the compute type.
    """

    packed: int
    scales: int
    unquantised: int

    @property
    def total(self) -> int:
        return self.packed + self.scales + self.unquantised


@dataclass(frozen=True)
class Lasting:
    """What is in a process's memory from the first optimiser step to the last.

    Where processes share the model, its bytes are those of one process's part.

    Attributes:
        parameters: how many the base has, on all processes.
        audit: those that are trained, by target, on all processes.
        weights: of the base.
        adapters: float32, as PEFT holds them whatever the compute type.
        gradients: of the adapters.
        optimiser_states: two a trained parameter.
    """

    parameters: int
    audit: TargetAudit
    weights: WeightBytes
    adapters: int
    gradients: int
    optimiser_states: int


@dataclass(frozen=True)
class Counted:
    """A model on one process.

    Attributes:
        weights: of the base.
        layer: bytes of the weights of one decoder layer.
        ends: bytes of the last norm and the head.
        embeddings: bytes of the embeddings; 0 where the head has the same matrix.
        parameters: how many the base has.
        audit: what is trained of them.
        trained: shapes of the trained tensors.
    """

    weights: WeightBytes
    layer: int
    ends: int
    embeddings: int
    parameters: int
    audit: TargetAudit
    trained: tuple[tuple[int, ...], ...]

    @property
    def adapters(self) -> int:
        """Bytes of what is trained."""
        return _FLOAT32 * sum(map(prod, self.trained))


def lasting_part(
    counted: Counted, optimiser: OptimiserKind, processes: Processes, elsewhere: int = 0
) -> Lasting:
    """What one of ``processes`` holds on its device: all but ``elsewhere`` bytes of the weights."""
    weights = counted.weights
    unquantised = weights.unquantised - elsewhere
    held = WeightBytes(*map(processes.part, (weights.packed, weights.scales, unquantised)))
    # Tensors are parted by rows.
    sizes = [processes.part(rows) * prod(widths) for rows, *widths in counted.trained]
    adapters = _FLOAT32 * sum(sizes)
    states = sum(optimiser_state_bytes(size, optimiser) for size in sizes)
    return Lasting(counted.parameters, counted.audit, held, adapters, adapters, states)


@cache
def count_base(
    base: str, quantization: Quantization, lora: LoraSettings, dtype: torch.dtype
) -> Counted:
    """Counts a base and the adapters on it, on the meta device."""
    model = empty_model(load_config(base), quantization)
    weights, layer, norm, head = (
        weight_bytes(part, dtype)
        for part in (model, model.model.layers[0], model.model.norm, model.lm_head)
    )
    embeddings = weight_bytes(model.model.embed_tokens, dtype).total
    if model.config.tie_word_embeddings:
        embeddings = 0
    parameters = count_parameters(model)
    with torch.device("meta"):  # where PEFT would not put it by itself
        adapted = add_adapter(model, lora)
    trained = tuple(tuple(p.shape) for p in adapted.parameters() if p.requires_grad)
    audit = audit_targets(adapted, lora.target_modules)
    ends = norm.total + head.total
    return Counted(weights, layer.total, ends, embeddings, parameters, audit, trained)


def weight_bytes(model: nn.Module, dtype: torch.dtype) -> WeightBytes:
    """The weights of a model without adapters once they are loaded.

    Args:
        model: as ``empty_model`` made it, or a part of it.
        dtype: what is not packed is held in (``filling.Filling.value``).
    """
    packed = [module for module in model.modules() if isinstance(module, PackedLinear)]
    values = sum(layer.weight.nbytes for layer in packed)
    scales = [parameter for layer in packed for parameter in layer.scale_parameters()]
    every = sum(parameter.numel() for parameter in model.parameters())
    in_layers = sum(parameter.numel() for parameter in (*scales, *(x.weight for x in packed)))
    in_scales = sum(parameter.nbytes for parameter in scales)
    return WeightBytes(values, in_scales, (every - in_layers) * dtype.itemsize)


def optimiser_state_bytes(size: int, kind: OptimiserKind) -> int:
    """AdamW's two states for a tensor of ``size`` values (``train.optimiser``).

    In 8 bits (arXiv 2110.02861) with the largest value of each block of 256 in float32; small
    tensors keep float32 states.
    """
    if kind == "adamw_8bit" and size >= _SMALLEST_8BIT:
        return 2 * (size + -(-size // _BLOCK_8BIT) * _FLOAT32)
    return 2 * size * _FLOAT32
