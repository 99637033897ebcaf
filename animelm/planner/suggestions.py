"""What to change in a config so that its run needs less memory, and how much each change saves."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from animelm.planner.memory import MemoryPlan, RunSettings

_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
# Shorter blocks than this would cut most articles.
_SHORTEST_BLOCK = 512
_LOWEST_RANK = 4


@dataclass(frozen=True)
class Saving:
    """One change.

    Attributes:
        options: what to add on the command line, or to set in the config, together with those of
            the changes listed before it.
        saves: bytes of the training peak that it saves by itself, on all processes of a device; 0
            or less where it needs those before it.
        peak: the training peak with it and the changes listed before it.
    """

    options: tuple[str, ...]
    saves: int
    peak: int


def find_savings(
    settings: RunSettings, plan: Callable[[RunSettings], MemoryPlan]
) -> tuple[Saving, ...]:
    """The changes that together need least: those first that leave what is learned as it is.

    Each lowers the peak that those before it have left. One that does not is looked at again after
    the next: activations that no layer could keep may fit once batches are smaller.

    Args:
        settings: of the run that needs too much.
        plan: foretells the memory of other settings.
    """

    def peak_of(other: RunSettings) -> int:
        return plan(other).device_training_peak

    first = peak = peak_of(settings)
    changed, left = settings, list(_CHANGES)
    savings: list[Saving] = []
    while lowering := next((c for c in left if peak_of(c(changed)[1]) < peak), None):
        left.remove(lowering)
        alone = peak_of(lowering(settings)[1])
        options, changed = lowering(changed)
        peak = peak_of(changed)
        savings.append(Saving(options, first - alone, peak))
    return tuple(savings)


_Change = tuple[tuple[str, ...], RunSettings]


def _forget(settings: RunSettings) -> _Change:
    """All activations: layers that keep theirs would take back what checkpointing saves."""
    options = []
    if not settings.checkpointing:
        options.append("--model.memory.activation_checkpointing=true")
    if settings.kept_bytes:
        options.append("--model.memory.stored_activations_gib=0")
    return tuple(options), replace(settings, checkpointing=True, kept_bytes=0)


def _fewer_blocks(settings: RunSettings) -> _Change:
    blocks, accumulation = settings.blocks_per_batch, settings.accumulation
    if blocks == 1:
        return (), settings
    changed = replace(settings, blocks_per_batch=1, accumulation=accumulation * blocks)
    return _batch_options(changed, "blocks_per_batch"), changed


def _shorter(settings: RunSettings) -> _Change:
    if settings.block_size // 2 < _SHORTEST_BLOCK:
        return (), settings
    changed = replace(
        settings, block_size=settings.block_size // 2, accumulation=settings.accumulation * 2
    )
    return _batch_options(changed, "block_size"), changed


def _batch_options(changed: RunSettings, name: str) -> tuple[str, ...]:
    """With as many tokens to an optimiser step as before."""
    return (
        f"--data.{name}={getattr(changed, name)}",
        f"--trainer.accumulate_grad_batches={changed.accumulation}",
    )


def _states_in_8_bits(settings: RunSettings) -> _Change:
    if settings.optimiser == "adamw_8bit":
        return (), settings
    return ("--model.optimizer.kind=adamw_8bit",), replace(settings, optimiser="adamw_8bit")


def _embeddings_on_cpu(settings: RunSettings) -> _Change:
    if settings.embeddings_on_cpu or settings.processes.sharded:  # FSDP2 shares them out
        return (), settings
    return ("--model.memory.embeddings_on_cpu=true",), replace(settings, embeddings_on_cpu=True)


def _pack(settings: RunSettings) -> _Change:
    if settings.quantization == "nf4-double":
        return (), settings
    return ("--model.quantization=nf4-double",), replace(settings, quantization="nf4-double")


def _narrower(settings: RunSettings) -> _Change:
    rank = settings.lora.rank // 2
    if rank < _LOWEST_RANK:
        return (), settings
    # Alpha with it: the update keeps its scale, alpha / rank.
    alpha = max(1, settings.lora.alpha // 2)
    options = (f"--model.lora.rank={rank}", f"--model.lora.alpha={alpha}")
    return options, replace(settings, lora=replace(settings.lora, rank=rank, alpha=alpha))


def _less(settings: RunSettings) -> _Change:
    kept = tuple(name for name in settings.lora.target_modules if name in _ATTENTION)
    if not kept or kept == settings.lora.target_modules:
        return (), settings
    options = (f"--model.lora.target_modules=[{','.join(kept)}]",)
    return options, replace(settings, lora=replace(settings.lora, target_modules=kept))


_CHANGES: tuple[Callable[[RunSettings], _Change], ...] = (
    _forget,
    _fewer_blocks,
    _embeddings_on_cpu,
    _states_in_8_bits,
    _pack,
    _shorter,
    _narrower,
    _less,
)
