"""Estimates the memory of a training run from its settings alone; no weight is read.

``static_memory`` counts weights, adapters, gradients and optimizer states; ``activation_memory``
computes the activations. All figures are bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import GptOssConfig

from animelm.model.architecture import Config
from animelm.model.checkpoint.hub import load_config
from animelm.model.kept_activations import AdapterShape, BatchShape
from animelm.model.lora.adapters import LoraSettings
from animelm.model.lora.targets import TargetAudit
from animelm.model.quantization.linear4bit import Quantization
from animelm.planner.activation_memory import Activations, activations
from animelm.planner.parallelism import SINGLE_PROCESS, Parallelism
from animelm.planner.static_memory import (
    ModelSize,
    OptimizerKind,
    StaticMemory,
    measure_model,
    static_memory,
)

# Memory of code and threads that are first used in loading, and in training. Measured on small
# models.
_LOADING_CODE, _TRAINING_CODE = 20 * 2**20, 50 * 2**20
# glibc serves smaller blocks from a heap that fragments; larger ones are returned at once.
_HEAP_BLOCK = 32 * 2**20
# Fragmentation as shares of one layer's working memory (more in a dense layer, since experts
# dequantize into a workspace that is reused) and of the activations that all layers keep. Measured
# on models of eleven shapes: estimates of the peak were within 8 % of the measured ones.
_FRAGMENTED_EXPERTS, _FRAGMENTED_DENSE, _FRAGMENTED_KEPT = 0.7, 1.5, 0.2
# oneDNN compiles bf16 products for each shape, and keeps the last 1,024. Each was measured to take
# this much, whatever the width. An expert has 20 products, forward and backward, for about 16
# different numbers of rows, since they are rounded (``expert_pass.row_multiple``); with few
# experts, about half of them have a number of their own.
_KERNEL_BYTES, _MOST_KERNELS = 650_000, 1024
_PRODUCTS_OF_EXPERT, _NUMBERS_OF_ROWS = 20, 16
# FSDP2 gathers the next layer while the current one computes. On a CPU the gathered parameters
# fragment the heap, by a share of all layers: 0.6 to 1.2 for Llamas of 6 and 12 layers on two
# processes; apart from that the estimated peaks were within 5 %.
_GATHERED_LAYERS, _FRAGMENTED_GATHERED = 2, 1.0


@dataclass(frozen=True)
class RunSettings:
    """The settings of a run that determine its memory.

    Attributes:
        base: checkpoint folder or hub id.
        quantization: form of the frozen weights.
        lora: the adapter that is trained.
        optimizer: 8-bit or 32-bit states.
        dtype: the compute type.
        checkpointing: whether activations are recomputed in the backward pass.
        block_size: tokens of a block.
        blocks_per_batch: blocks of a batch on one device.
        accumulation: batches of an optimizer step.
        device: "cpu" or "cuda".
        kept_bytes: memory budget for activations that are stored in spite of checkpointing.
        compiled: whether elementwise operations are compiled.
        embeddings_on_cpu: whether the embeddings stay there while the rest is on a GPU.
        parallelism: the processes of the run.
        experts_at_once: experts whose weights are dequantized at a time on a GPU; 0: all.
        fused_layers: whether a GPU computes norms and attention in few operations where it can.
    """

    base: str
    quantization: Quantization
    lora: LoraSettings
    optimizer: OptimizerKind
    dtype: torch.dtype
    checkpointing: bool
    block_size: int
    blocks_per_batch: int
    accumulation: int
    device: str
    kept_bytes: int = 0
    compiled: bool = False
    embeddings_on_cpu: bool = False
    parallelism: Parallelism = SINGLE_PROCESS
    experts_at_once: int = 0
    fused_layers: bool = True


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of one process by part, and its two peaks.

    Attributes:
        static: weights, adapters, gradients, optimizer states.
        activations: activations of one batch.
        largest_tensor: the largest tensor of the checkpoint, which is read whole.
        process: Python, its libraries and the model's modules; 0 on a GPU.
        training_code: code and threads that are first used in training; 0 on a GPU.
        fragmentation: memory that the allocator cannot reuse; 0 on a GPU.
        kernels: compiled matrix products of the experts; 0 unless in bf16 on a CPU.
        gathered: parameters of layers that are gathered to compute; 0 unless the model is sharded.
        gradient_buckets: buffers in which processes average gradients; 0 if the model is sharded.
        loading_peak: peak before training begins, in the machine's memory even if training is on a
            GPU. Every process reads the whole base.
        training_peak: peak on the device.
        processes_on_device: processes that share the device's memory: on a CPU all of a machine's.
    """

    static: StaticMemory
    activations: Activations
    largest_tensor: int
    process: int
    training_code: int
    fragmentation: int
    kernels: int
    gathered: int
    gradient_buckets: int
    loading_peak: int
    training_peak: int
    processes_on_device: int = 1

    @property
    def device_loading_peak(self) -> int:
        """Of all processes on one device."""
        return self.loading_peak * self.processes_on_device

    @property
    def device_training_peak(self) -> int:
        """Of all processes on one device."""
        return self.training_peak * self.processes_on_device


def estimate_memory(
    settings: RunSettings, process: int = 0, tensors: Sequence[int] = ()
) -> MemoryEstimate:
    """Estimates the memory that a run needs.

    Args:
        settings: settings of the run.
        process: bytes that the process holds before anything is loaded.
        tensors: bytes of the checkpoint's tensors in the order in which they are read; empty: the
            released checkpoint is assumed, with its largest tensor last.

    Raises:
        UserError: as ``inspect_base``.
    """
    config = load_config(settings.base)
    size = measure_model(settings.base, settings.quantization, settings.lora, settings.dtype)
    on_cpu = settings.embeddings_on_cpu and settings.device != "cpu"
    offloaded = size.embeddings if on_cpu else 0
    static = static_memory(size, settings.optimizer, settings.parallelism, offloaded)
    batch = _activations(config, settings, size.audit)
    on_device, training_code, fragmentation, kernels = 0, 0, 0, 0
    if settings.device == "cpu":
        on_device, training_code = process, _TRAINING_CODE
        fragmentation, kernels = _fragmentation(config, settings, batch), _kernels(config, settings)
        if settings.parallelism.sharded:
            fragmentation += round(_FRAGMENTED_GATHERED * size.layer * config.num_hidden_layers)
    gathered, buckets = _communication(size, config.num_hidden_layers, settings)
    training = _training(settings, static, batch) + fragmentation + kernels + gathered + buckets
    tensors = tensors or [_largest_released(config)]
    return MemoryEstimate(
        static,
        batch,
        max(tensors),
        on_device,
        training_code,
        fragmentation,
        kernels,
        gathered,
        buckets,
        process + _LOADING_CODE + _loading(tensors, size),
        on_device + training_code + static.weights.total + static.adapters + training,
        settings.parallelism.per_machine if settings.device == "cpu" else 1,
    )


def _communication(size: ModelSize, layers: int, settings: RunSettings) -> tuple[int, int]:
    """Parameters that FSDP2 has gathered at the same time, and DDP's gradient buckets."""
    if settings.parallelism.sharded:
        layer = size.layer + size.adapters // layers
        return _GATHERED_LAYERS * layer + size.norm_and_head, 0
    return 0, size.adapters if settings.parallelism.processes > 1 else 0


def _fragmentation(config: Config, settings: RunSettings, batch: Activations) -> int:
    tokens = settings.blocks_per_batch * settings.block_size
    if tokens * config.hidden_size * settings.dtype.itemsize >= _HEAP_BLOCK:
        return 0
    share = _FRAGMENTED_EXPERTS if isinstance(config, GptOssConfig) else _FRAGMENTED_DENSE
    return round(share * (batch.layer + batch.dequantized) + _FRAGMENTED_KEPT * batch.kept)


def _kernels(config: Config, settings: RunSettings) -> int:
    if settings.dtype != torch.bfloat16 or not isinstance(config, GptOssConfig):
        return 0
    experts = config.num_hidden_layers * config.num_local_experts
    numbers_of_rows = min(_NUMBERS_OF_ROWS, -(-experts // 2))
    return _KERNEL_BYTES * min(_MOST_KERNELS, numbers_of_rows * _PRODUCTS_OF_EXPERT)


def _loading(tensors: Sequence[int], size: ModelSize) -> int:
    """The peak of ``load_base``: the model so far, one stored tensor, and its converted form.

    Each stored tensor is taken to become the same share of the model as it is of the checkpoint.
    Adapters come last, and the model is sharded only after them.
    """
    weights = size.weights.total
    if len(tensors) == 1:
        return weights + max(tensors[0], size.adapters)
    share, loaded, peak = weights / sum(tensors), 0.0, 0.0
    for tensor in tensors:
        loaded += tensor * share
        peak = max(peak, loaded + tensor)
    return max(round(peak), weights + size.adapters)


def _largest_released(config: Config) -> int:
    """The head in 16 bits, or a layer's gates and ups in MXFP4, whichever is larger."""
    head = 2 * config.vocab_size * config.hidden_size
    per_layer = config.intermediate_size * config.hidden_size
    if isinstance(config, GptOssConfig):
        return max(head, config.num_local_experts * per_layer)  # two projections, two values a byte
    return max(head, 2 * per_layer)


def _training(settings: RunSettings, static: StaticMemory, batch: Activations) -> int:
    """The peak of a step without weights and adapters."""
    computed = max(batch.loss, batch.layer + batch.dequantized)
    gradients = static.gradients
    if settings.accumulation > 1:  # gradients of earlier batches exist while activations are full
        return static.optimizer_states + gradients + batch.kept + computed
    last_layer = gradients + batch.layer + batch.dequantized
    return static.optimizer_states + max(batch.kept + computed, last_layer)


def _activations(config: Config, settings: RunSettings, audit: TargetAudit) -> Activations:
    """Of one batch whose documents are as long as a block, for which attention needs the most."""
    shape = BatchShape(
        settings.blocks_per_batch * settings.block_size,
        settings.block_size,
        settings.dtype,
        settings.checkpointing,
        settings.device,
        settings.kept_bytes,
        settings.compiled,
        settings.experts_at_once,
        settings.fused_layers,
    )
    adapters = AdapterShape.of(settings.lora, audit)
    return activations(config, adapters, shape, settings.quantization != "none")
