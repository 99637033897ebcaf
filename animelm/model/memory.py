"""Where the memory of a training run goes, from its settings alone; no weight is read.

What lasts (weights, adapters, gradients, optimiser states) is counted on the model itself, built on
the meta device; what comes and goes is computed by ``activations``. All figures are bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import nn
from transformers import GptOssConfig

from animelm.model.activations import Activations, Adapters, BatchShape, activations
from animelm.model.adapters import LoraSettings, TargetAudit, add_adapter, audit_targets
from animelm.model.architecture import Config, empty_model
from animelm.model.attention import LONGEST_WITH_SCORES
from animelm.model.hub import load_config
from animelm.model.inspection import count_parameters
from animelm.model.packed import PackedLinear
from animelm.model.quantize import Quantization

OptimiserKind = Literal["adamw_8bit", "adamw"]

_FLOAT32 = 4
# Beyond what a process has imported, loading needs this for code that is only now touched and for
# threads, and training this. Measured on small models.
_TOUCHED_IN_LOADING, _TOUCHED_IN_TRAINING = 20 * 2**20, 50 * 2**20
# glibc serves blocks below this size from a heap whose holes it keeps; larger ones go back at once.
_HEAP_BLOCK = 32 * 2**20
# The holes, as shares of what one layer makes and drops (more in a dense layer, since experts
# unpack their weights into memory that stays) and of what all layers keep. Measured on models of
# eleven shapes: peaks that count on these were within 8 % of the real ones.
_HOLES_OF_EXPERTS, _HOLES_OF_DENSE, _HOLES_OF_KEPT = 0.7, 1.5, 0.2
# oneDNN compiles bf16 products for each shape, and keeps the last 1,024. Each was measured to take
# this much, whatever the width. An expert has so many products, forward and backward, and so many
# numbers of rows come up, since they are rounded (``expert_pass._multiple``).
_KERNEL_BYTES, _MOST_KERNELS = 650_000, 1024
_PRODUCTS_OF_EXPERT, _NUMBERS_OF_ROWS = 20, 32
# bitsandbytes' AdamW8bit: smaller tensors keep float32 states, larger ones a float32 a block.
_SMALLEST_8BIT, _BLOCK_8BIT = 4096, 256


@dataclass(frozen=True)
class RunSettings:
    """What of a config decides about memory.

    Attributes:
        base: checkpoint folder or hub id.
        quantization: form of the frozen weights.
        lora: the adapter that is trained.
        optimiser: 8-bit or 32-bit states.
        dtype: the compute type.
        checkpointing: whether activations are computed again in the backward pass.
        block_size: tokens of a block.
        blocks_per_batch: blocks of a batch on one device.
        accumulation: batches of an optimiser step.
        device: "cpu" or "cuda".
        kept_bytes: of activations that the last layers keep in spite of checkpointing.
        compiled: whether elementwise passes are compiled.
    """

    base: str
    quantization: Quantization
    lora: LoraSettings
    optimiser: OptimiserKind
    dtype: torch.dtype
    checkpointing: bool
    block_size: int
    blocks_per_batch: int
    accumulation: int
    device: str
    kept_bytes: int = 0
    compiled: bool = False


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
    """What is in memory from the first optimiser step to the last.

    Attributes:
        parameters: how many the base has.
        audit: those that are trained, by target.
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
class MemoryPlan:
    """Bytes of a run by part, and the two peaks.

    Attributes:
        lasting: weights, adapters, gradients, optimiser states.
        activations: of one batch.
        largest_stored: the largest tensor of the checkpoint, which is read whole.
        process: Python, its libraries and the model's modules; 0 on a GPU.
        touched: code and threads that only training comes to; 0 on a GPU.
        holes: that the allocator keeps between what has come and gone; 0 on a GPU.
        kernels: compiled products of the experts; 0 unless in bf16 on a CPU.
        loading_peak: until training begins, in the machine's memory also where that is on a GPU.
        training_peak: on the device.
    """

    lasting: Lasting
    activations: Activations
    largest_stored: int
    process: int
    touched: int
    holes: int
    kernels: int
    loading_peak: int
    training_peak: int


def plan_memory(settings: RunSettings, process: int = 0, stored: Sequence[int] = ()) -> MemoryPlan:
    """Foretells what a run needs.

    Args:
        settings: of the run.
        process: bytes that the process has before anything is loaded.
        stored: bytes of the checkpoint's tensors in the order in which they are read; none: as
            the base was released, the largest tensor last.

    Raises:
        UserError: as ``inspect_base``.
    """
    config = load_config(settings.base)
    lasting = _lasting(settings)
    batch = _largest_activations(config, settings, lasting.audit)
    stored = stored or [_largest_released(config)]
    weights = lasting.weights.total
    on_device, touched, holes, kernels = 0, 0, 0, 0
    if settings.device == "cpu":
        on_device, touched = process, _TOUCHED_IN_TRAINING
        holes, kernels = _holes(config, settings, batch), _kernels(config, settings)
    at_work = _training(settings, lasting, batch) + holes + kernels
    return MemoryPlan(
        lasting,
        batch,
        max(stored),
        on_device,
        touched,
        holes,
        kernels,
        process + _TOUCHED_IN_LOADING + max(_loading(stored, weights), weights + lasting.adapters),
        on_device + touched + weights + lasting.adapters + at_work,
    )


def _holes(config: Config, settings: RunSettings, batch: Activations) -> int:
    tokens = settings.blocks_per_batch * settings.block_size
    if tokens * config.hidden_size * settings.dtype.itemsize >= _HEAP_BLOCK:
        return 0
    share = _HOLES_OF_EXPERTS if isinstance(config, GptOssConfig) else _HOLES_OF_DENSE
    return round(share * (batch.layer + batch.dequantised) + _HOLES_OF_KEPT * batch.kept)


def _kernels(config: Config, settings: RunSettings) -> int:
    if settings.dtype != torch.bfloat16 or not isinstance(config, GptOssConfig):
        return 0
    numbers_of_rows = min(_NUMBERS_OF_ROWS, config.num_hidden_layers * config.num_local_experts)
    return _KERNEL_BYTES * min(_MOST_KERNELS, numbers_of_rows * _PRODUCTS_OF_EXPERT)


def _loading(stored: Sequence[int], weights: int) -> int:
    """``load_base``: the model so far, a tensor as it is stored, and what has been made of it.

    Each stored tensor is taken to become the same share of the model as it is of the checkpoint.
    """
    if len(stored) == 1:
        return weights + stored[0]
    share, held, peak = weights / sum(stored), 0.0, 0.0
    for size in stored:
        held += size * share
        peak = max(peak, held + size)
    return round(peak)


def _largest_released(config: Config) -> int:
    """The head in 16 bits, or a layer's gates and ups in MXFP4, whichever is larger."""
    head = 2 * config.vocab_size * config.hidden_size
    per_layer = config.intermediate_size * config.hidden_size
    if isinstance(config, GptOssConfig):
        return max(head, config.num_local_experts * per_layer)  # two projections, two values a byte
    return max(head, 2 * per_layer)


def _training(settings: RunSettings, lasting: Lasting, batch: Activations) -> int:
    """The most that exists beside weights and adapters at any moment of a step."""
    computed = max(batch.loss, batch.layer + batch.dequantised)
    gradients = lasting.gradients
    if settings.accumulation > 1:  # those of earlier batches are there while activations are full
        return lasting.optimiser_states + gradients + batch.kept + computed
    last_layer = gradients + batch.layer + batch.dequantised
    return lasting.optimiser_states + max(batch.kept + computed, last_layer)


def _largest_activations(config: Config, settings: RunSettings, audit: TargetAudit) -> Activations:
    """Of one batch, for the lengths of documents, up to a block, that need most.

    A document as long as a block has the longest rows of scores, unless those that long are not
    held at all.
    """
    adapters = Adapters.of(settings.lora, audit)
    found = [
        activations(
            config,
            adapters,
            BatchShape(
                settings.blocks_per_batch * settings.block_size,
                length,
                settings.dtype,
                settings.checkpointing,
                settings.device,
                settings.kept_bytes,
                settings.compiled,
            ),
            settings.quantization != "none",
        )
        for length in {settings.block_size, min(settings.block_size, LONGEST_WITH_SCORES)}
    ]
    return max(found, key=lambda one: one.kept + max(one.loss, one.layer + one.dequantised))


def _lasting(settings: RunSettings) -> Lasting:
    weights, parameters, audit, sizes = _counted(
        settings.base, settings.quantization, settings.lora, settings.dtype
    )
    adapters = _FLOAT32 * sum(sizes)
    states = sum(optimiser_state_bytes(size, settings.optimiser) for size in sizes)
    return Lasting(parameters, audit, weights, adapters, adapters, states)


@cache
def _counted(
    base: str, quantization: Quantization, lora: LoraSettings, dtype: torch.dtype
) -> tuple[WeightBytes, int, TargetAudit, tuple[int, ...]]:
    """Weights, their number, what is trained of them, and the values of each trained tensor."""
    model = empty_model(load_config(base), quantization)
    weights = weight_bytes(model, dtype)
    parameters = count_parameters(model)
    with torch.device("meta"):  # where PEFT would not put it by itself
        adapted = add_adapter(model, lora)
    trained = tuple(p.numel() for p in adapted.parameters() if p.requires_grad)
    return weights, parameters, audit_targets(adapted, lora.target_modules), trained


def weight_bytes(model: nn.Module, dtype: torch.dtype) -> WeightBytes:
    """The weights of a model without adapters once they are loaded.

    Args:
        model: as ``empty_model`` made it.
        dtype: what is not packed is held in (``filling.Filling.value``).
    """
    packed = [module for module in model.modules() if isinstance(module, PackedLinear)]
    values = sum(layer.weight.nbytes for layer in packed)
    scales = sum(layer.scales.nbytes for layer in packed)
    every = sum(parameter.numel() for parameter in model.parameters())
    in_layers = sum(layer.weight.numel() + layer.scales.numel() for layer in packed)
    return WeightBytes(values, scales, (every - in_layers) * dtype.itemsize)


def optimiser_state_bytes(size: int, kind: OptimiserKind) -> int:
    """AdamW's two states for a tensor of ``size`` values (``train.optimiser``).

    In 8 bits (arXiv 2110.02861) with the largest value of each block of 256 in float32; small
    tensors keep float32 states.
    """
    if kind == "adamw_8bit" and size >= _SMALLEST_8BIT:
        return 2 * (size + -(-size // _BLOCK_8BIT) * _FLOAT32)
    return 2 * size * _FLOAT32
