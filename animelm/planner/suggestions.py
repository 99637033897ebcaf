"""Suggests changes to a config that lower the memory of its run, and how much each one saves."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from transformers import GptOssConfig

from animelm.model.checkpoint.hub import load_config
from animelm.planner.memory import MemoryEstimate, RunSettings

_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
# Shorter blocks would cut most articles.
_SHORTEST_BLOCK = 512
_LOWEST_RANK = 4
# More parts of a layer's experts cost more launches than they save memory.
_MOST_PARTS = 8


@dataclass(frozen=True)
class Suggestion:
    """One change of the settings.

    Attributes:
        options: options to add on the command line, or to set in the config, together with those of
            the suggestions before it.
        saves: bytes by which the change alone lowers the training peak, of all processes on a
            device; 0 or less if it only helps after the suggestions before it.
        peak: the training peak after this change and all before it.
    """

    options: tuple[str, ...]
    saves: int
    peak: int


def suggest_changes(
    settings: RunSettings,
    estimate: Callable[[RunSettings], MemoryEstimate],
    fits: Callable[[MemoryEstimate], bool] = lambda _: False,
) -> tuple[Suggestion, ...]:
    """Changes that lower the training peak, those that keep the result of training first.

    Each lowers the peak that the ones before it have left. A change that does not is tried again
    after the next one: an activation budget too small for one layer may suffice for smaller
    batches.

    Args:
        settings: settings of a run that needs too much memory.
        estimate: estimates the memory for other settings.
        fits: whether an estimate fits the device. Of experts as many are dequantized at a time as
            fit.
    """

    def peak_of(other: RunSettings) -> int:
        return estimate(other).device_training_peak

    first = peak = peak_of(settings)

    def experts_in_parts(other: RunSettings) -> _Change:
        return _experts_in_parts(other, lambda tried: fits(estimate(tried)))

    # Of what keeps the result, it costs the least.
    changed, untried = settings, [experts_in_parts, *_CHANGES]
    suggestions: list[Suggestion] = []
    while change := next((c for c in untried if peak_of(c(changed)[1]) < peak), None):
        untried.remove(change)
        alone = peak_of(change(settings)[1])
        options, changed = change(changed)
        peak = peak_of(changed)
        suggestions.append(Suggestion(options, first - alone, peak))
    return tuple(suggestions)


# Options for the command line, and the settings with them; no options if nothing can be changed.
_Change = tuple[tuple[str, ...], RunSettings]


def _experts_in_parts(settings: RunSettings, fits: Callable[[RunSettings], bool]) -> _Change:
    """The largest part of a layer's experts with which the run fits; else a small one."""
    config = load_config(settings.base)
    if settings.device != "cuda" or not isinstance(config, GptOssConfig):
        return (), settings
    most, experts = settings.experts_at_once or config.num_local_experts, config.num_local_experts
    smallest = max(1, experts // _MOST_PARTS)
    parts = [experts // number for number in (2, 4, _MOST_PARTS)]
    tried = [replace(settings, experts_at_once=part) for part in parts if smallest <= part < most]
    if not tried:
        return (), settings
    changed = next(filter(fits, tried), tried[-1])
    return (f"--model.compute.experts_at_once={changed.experts_at_once}",), changed


def _recompute_all_activations(settings: RunSettings) -> _Change:
    options = []
    if not settings.checkpointing:
        options.append("--model.memory.activation_checkpointing=true")
    if settings.kept_bytes:
        options.append("--model.memory.stored_activations_gib=0")
    return tuple(options), replace(settings, checkpointing=True, kept_bytes=0)


def _single_block_batches(settings: RunSettings) -> _Change:
    blocks, accumulation = settings.blocks_per_batch, settings.accumulation
    if blocks == 1:
        return (), settings
    changed = replace(settings, blocks_per_batch=1, accumulation=accumulation * blocks)
    return _batch_options(changed, "blocks_per_batch"), changed


def _shorter_blocks(settings: RunSettings) -> _Change:
    if settings.block_size // 2 < _SHORTEST_BLOCK:
        return (), settings
    changed = replace(
        settings, block_size=settings.block_size // 2, accumulation=settings.accumulation * 2
    )
    return _batch_options(changed, "block_size"), changed


def _batch_options(changed: RunSettings, name: str) -> tuple[str, ...]:
    """The number of tokens of an optimizer step stays the same."""
    return (
        f"--data.{name}={getattr(changed, name)}",
        f"--trainer.accumulate_grad_batches={changed.accumulation}",
    )


def _8bit_optimizer(settings: RunSettings) -> _Change:
    if settings.optimizer == "adamw_8bit":
        return (), settings
    return ("--model.optimizer.kind=adamw_8bit",), replace(settings, optimizer="adamw_8bit")


def _embeddings_on_cpu(settings: RunSettings) -> _Change:
    if settings.embeddings_on_cpu or settings.parallelism.sharded:  # FSDP2 shards them
        return (), settings
    return ("--model.memory.embeddings_on_cpu=true",), replace(settings, embeddings_on_cpu=True)


def _double_quantization(settings: RunSettings) -> _Change:
    if settings.quantization == "nf4-double":
        return (), settings
    return ("--model.quantization=nf4-double",), replace(settings, quantization="nf4-double")


def _lower_rank(settings: RunSettings) -> _Change:
    rank = settings.lora.rank // 2
    if rank < _LOWEST_RANK:
        return (), settings
    # Alpha is lowered too, so that the update keeps its scale, alpha / rank.
    alpha = max(1, settings.lora.alpha // 2)
    options = (f"--model.lora.rank={rank}", f"--model.lora.alpha={alpha}")
    return options, replace(settings, lora=replace(settings.lora, rank=rank, alpha=alpha))


def _attention_only(settings: RunSettings) -> _Change:
    kept = tuple(name for name in settings.lora.target_modules if name in _ATTENTION)
    if not kept or kept == settings.lora.target_modules:
        return (), settings
    options = (f"--model.lora.target_modules=[{','.join(kept)}]",)
    return options, replace(settings, lora=replace(settings.lora, target_modules=kept))


_CHANGES: tuple[Callable[[RunSettings], _Change], ...] = (
    _recompute_all_activations,
    _single_block_batches,
    _embeddings_on_cpu,
    _8bit_optimizer,
    _double_quantization,
    _shorter_blocks,
    _lower_rank,
    _attention_only,
)
