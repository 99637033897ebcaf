"""Where the memory of a training run goes, from its settings alone; no weight is read.

What lasts (weights, adapters, gradients, optimiser states) is counted by ``lasting``; what comes
and goes is computed by ``activations``. All figures are bytes.
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
from animelm.planner.parallelism import ONE_PROCESS, Processes
from animelm.planner.static_memory import Counted, Lasting, OptimiserKind, count_base, lasting_part

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
# numbers of rows come up, since they are rounded (``expert_pass.rows_filled_to``); of few experts
# every second has a number that another has too.
_KERNEL_BYTES, _MOST_KERNELS = 650_000, 1024
_PRODUCTS_OF_EXPERT, _NUMBERS_OF_ROWS = 20, 16
# FSDP2 fetches the next layer while one is at work. On a CPU the gathered parameters leave holes,
# as a share of all layers: Llamas of 6 and 12 layers on two processes left 0.6 to 1.2; without
# holes the peaks foretold were within 5 %.
_GATHERED_LAYERS, _HOLES_OF_GATHERED = 2, 1.0


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
        embeddings_on_cpu: whether they stay there while the rest is on a GPU.
        processes: that train together.
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
    embeddings_on_cpu: bool = False
    processes: Processes = ONE_PROCESS


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes of one process by part, and its two peaks.

    Attributes:
        lasting: weights, adapters, gradients, optimiser states.
        activations: of one batch.
        largest_stored: the largest tensor of the checkpoint, which is read whole.
        process: Python, its libraries and the model's modules; 0 on a GPU.
        touched: code and threads that only training comes to; 0 on a GPU.
        holes: that the allocator keeps between what has come and gone; 0 on a GPU.
        kernels: compiled products of the experts; 0 unless in bf16 on a CPU.
        gathered: parameters that are whole while they are at work; 0 unless processes share them.
        exchanged: gradients as processes that do not share the model average them.
        loading_peak: until training begins, in the machine's memory also where that is on a GPU.
            Every process reads the whole base.
        training_peak: on the device.
        on_one_device: processes whose peaks fall on the same memory: on a CPU all of a machine's.
    """

    lasting: Lasting
    activations: Activations
    largest_stored: int
    process: int
    touched: int
    holes: int
    kernels: int
    gathered: int
    exchanged: int
    loading_peak: int
    training_peak: int
    on_one_device: int = 1

    @property
    def device_loading_peak(self) -> int:
        """Of all processes on one device."""
        return self.loading_peak * self.on_one_device

    @property
    def device_training_peak(self) -> int:
        """Of all processes on one device."""
        return self.training_peak * self.on_one_device


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
    counted = count_base(settings.base, settings.quantization, settings.lora, settings.dtype)
    on_cpu = settings.embeddings_on_cpu and settings.device != "cpu"
    elsewhere = counted.embeddings if on_cpu else 0
    lasting = lasting_part(counted, settings.optimiser, settings.processes, elsewhere)
    batch = _activations(config, settings, counted.audit)
    on_device, touched, holes, kernels = 0, 0, 0, 0
    if settings.device == "cpu":
        on_device, touched = process, _TOUCHED_IN_TRAINING
        holes, kernels = _holes(config, settings, batch), _kernels(config, settings)
        if settings.processes.sharded:
            holes += round(_HOLES_OF_GATHERED * counted.layer * config.num_hidden_layers)
    gathered, exchanged = _between_processes(counted, config.num_hidden_layers, settings)
    at_work = _training(settings, lasting, batch) + holes + kernels + gathered + exchanged
    stored = stored or [_largest_released(config)]
    return MemoryPlan(
        lasting,
        batch,
        max(stored),
        on_device,
        touched,
        holes,
        kernels,
        gathered,
        exchanged,
        process + _TOUCHED_IN_LOADING + _loading(stored, counted),
        on_device + touched + lasting.weights.total + lasting.adapters + at_work,
        settings.processes.here if settings.device == "cpu" else 1,
    )


def _between_processes(counted: Counted, layers: int, settings: RunSettings) -> tuple[int, int]:
    """What is gathered at once (``train.sharding``), and what is averaged (DDP)."""
    if settings.processes.sharded:
        layer = counted.layer + counted.adapters // layers
        return _GATHERED_LAYERS * layer + counted.ends, 0
    return 0, counted.adapters if settings.processes.total > 1 else 0


def _holes(config: Config, settings: RunSettings, batch: Activations) -> int:
    tokens = settings.blocks_per_batch * settings.block_size
    if tokens * config.hidden_size * settings.dtype.itemsize >= _HEAP_BLOCK:
        return 0
    share = _HOLES_OF_EXPERTS if isinstance(config, GptOssConfig) else _HOLES_OF_DENSE
    return round(share * (batch.layer + batch.dequantized) + _HOLES_OF_KEPT * batch.kept)


def _kernels(config: Config, settings: RunSettings) -> int:
    if settings.dtype != torch.bfloat16 or not isinstance(config, GptOssConfig):
        return 0
    experts = config.num_hidden_layers * config.num_local_experts
    numbers_of_rows = min(_NUMBERS_OF_ROWS, -(-experts // 2))
    return _KERNEL_BYTES * min(_MOST_KERNELS, numbers_of_rows * _PRODUCTS_OF_EXPERT)


def _loading(stored: Sequence[int], counted: Counted) -> int:
    """``load_base``: the model so far, a tensor as it is stored, and what has been made of it.

    Each stored tensor is taken to become the same share of the model as it is of the checkpoint.
    Adapters come last, and only then do processes part the model.
    """
    weights = counted.weights.total
    if len(stored) == 1:
        return weights + max(stored[0], counted.adapters)
    share, held, peak = weights / sum(stored), 0.0, 0.0
    for size in stored:
        held += size * share
        peak = max(peak, held + size)
    return max(round(peak), weights + counted.adapters)


def _largest_released(config: Config) -> int:
    """The head in 16 bits, or a layer's gates and ups in MXFP4, whichever is larger."""
    head = 2 * config.vocab_size * config.hidden_size
    per_layer = config.intermediate_size * config.hidden_size
    if isinstance(config, GptOssConfig):
        return max(head, config.num_local_experts * per_layer)  # two projections, two values a byte
    return max(head, 2 * per_layer)


def _training(settings: RunSettings, lasting: Lasting, batch: Activations) -> int:
    """The most that exists beside weights and adapters at any moment of a step."""
    computed = max(batch.loss, batch.layer + batch.dequantized)
    gradients = lasting.gradients
    if settings.accumulation > 1:  # those of earlier batches are there while activations are full
        return lasting.optimiser_states + gradients + batch.kept + computed
    last_layer = gradients + batch.layer + batch.dequantized
    return lasting.optimiser_states + max(batch.kept + computed, last_layer)


def _activations(config: Config, settings: RunSettings, audit: TargetAudit) -> Activations:
    """Of one batch whose documents are as long as a block: they have the most scores."""
    shape = BatchShape(
        settings.blocks_per_batch * settings.block_size,
        settings.block_size,
        settings.dtype,
        settings.checkpointing,
        settings.device,
        settings.kept_bytes,
        settings.compiled,
    )
    adapters = AdapterShape.of(settings.lora, audit)
    return activations(config, adapters, shape, settings.quantization != "none")
