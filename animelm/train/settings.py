"""The settings of a model in a config, in groups; the optimizer's are in ``optimizer``."""

from dataclasses import dataclass

from animelm.errors import UserError
from animelm.model.lora.adapters import LoraSettings
from animelm.model.moe.engines import EngineName
from animelm.model.precision import ComputeType
from animelm.model.quantization.linear4bit import Quantization
from animelm.train.initial_adapter import AdapterSource


@dataclass(frozen=True)
class MemorySettings:
    """Ways to use less memory.

    Args:
        activation_checkpointing: Recompute the activations inside each layer in the backward pass
            instead of storing them. This takes less memory and more time.
        stored_activations_gib: Memory budget, in GiB, for activations that are stored instead of
            recomputed in spite of activation_checkpointing. `plan` shows what fits.
        embeddings_on_cpu: Keep the embeddings in the machine's memory when the model is on a GPU.
            Only the rows that a batch needs are copied to the GPU. This saves 1.08 GiB for the
            20B.

    Raises:
        UserError: the budget is negative.
    """

    activation_checkpointing: bool = False
    stored_activations_gib: float = 0.0
    embeddings_on_cpu: bool = False

    def __post_init__(self) -> None:
        if not self.stored_activations_gib >= 0:
            raise UserError(
                f"stored_activations_gib is {self.stored_activations_gib}; expected 0 or more GiB"
            )

    @property
    def stored_activation_bytes(self) -> int:
        """The budget in bytes."""
        return int(self.stored_activations_gib * 2**30)


@dataclass(frozen=True)
class ComputeSettings:
    """How products and elementwise formulas are computed.

    Args:
        dtype: Type of the matrix products. auto measures which type is faster on this machine.
        compile_kernels: Compile the experts' gated unit, the norms and the loss into one loop each.
            On a CPU this needs a C++ compiler, and takes about 20 seconds the first time.
        expert_engine: How the experts of a layer are computed. loop takes one after the other,
            grouped_mm all at once by PyTorch's grouped products, triton by kernels of our own (pip
            install 'animelm[triton]'). auto takes the loop on a CPU, and on a GPU what is fast
            there and passes a probe.
        experts_at_once: Experts whose weights the engine triton dequantizes at a time; 0 for all of
            a layer, which are 1.5 GiB for the 20B in bf16.
        fused_layers: On a GPU of compute capability 8 or above with Triton, norms, rotary embedding
            and attention take one operation each, if they pass a probe.

    Raises:
        UserError: experts_at_once is negative.
    """

    dtype: ComputeType = "auto"
    compile_kernels: bool = False
    expert_engine: EngineName = "auto"
    experts_at_once: int = 0
    fused_layers: bool = True

    def __post_init__(self) -> None:
        if self.experts_at_once < 0:
            raise UserError(f"experts_at_once is {self.experts_at_once}; expected 0 or more")


@dataclass(frozen=True)
class GenerationSettings:
    """How answers are generated in validation.

    Args:
        max_new_tokens: Longest answer, in tokens.
        max_thinking_tokens: Tokens allowed in addition if the data module's answer_from is start,
            so that the model may think first.
    """

    max_new_tokens: int = 64
    max_thinking_tokens: int = 512


@dataclass(frozen=True)
class ModelSettings:
    """All settings that decide which model is built; ``AdaptedLM`` explains each.

    Attributes:
        base: folder or hub id.
        quantization: storage of the frozen weights.
        lora: shape and targets of the adapter.
        adapter: earlier adapters.
        memory: ways to use less memory.
        compute: type of the products, and compiled kernels.
        from_scratch: whether all weights are trained, from random ones.
    """

    base: str
    quantization: Quantization
    lora: LoraSettings
    adapter: AdapterSource
    memory: MemorySettings
    compute: ComputeSettings
    from_scratch: bool
