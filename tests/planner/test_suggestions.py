from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from animelm.model.lora.adapters import LoraSettings
from animelm.planner.memory import RunSettings, estimate_memory
from animelm.planner.parallelism import Parallelism
from animelm.planner.suggestions import Suggestion, suggest_changes

WASTEFUL = {
    "quantization": "none",
    "optimizer": "adamw",
    "checkpointing": False,
    "block_size": 1024,
    "blocks_per_batch": 4,
    "accumulation": 2,
}
FRUGAL = {
    "quantization": "nf4-double",
    "lora": LoraSettings(4, 8, 0.05, ("q_proj", "v_proj")),
    "optimizer": "adamw_8bit",
    "checkpointing": True,
    "block_size": 512,
    "blocks_per_batch": 1,
    "embeddings_on_cpu": True,
    "experts_at_once": 1,
}


@pytest.fixture
def wasteful(checkpoint: Path) -> RunSettings:
    return RunSettings(
        base=str(checkpoint), lora=LoraSettings(), dtype=torch.bfloat16, device="cuda", **WASTEFUL
    )


def by_option(suggestions: tuple[Suggestion, ...]) -> dict[str, Suggestion]:
    return {suggestion.options[0].partition("=")[0]: suggestion for suggestion in suggestions}


def test_each_change_says_what_it_saves_alone(wasteful: RunSettings) -> None:
    found = by_option(suggest_changes(wasteful, estimate_memory))
    assert list(found) == [
        "--model.memory.activation_checkpointing",
        "--data.blocks_per_batch",
        "--model.memory.embeddings_on_cpu",
        "--model.quantization",
        "--model.compute.experts_at_once",  # unquantized ones are not dequantized
        "--data.block_size",
        "--model.lora.rank",
        "--model.lora.target_modules",
    ]
    # Not --model.optimizer.kind: adapters as small as these keep their states in 32 bits.
    alone = estimate_memory(replace(wasteful, checkpointing=True)).training_peak
    saved = estimate_memory(wasteful).training_peak - alone
    assert found["--model.memory.activation_checkpointing"].saves == saved > 0


def test_the_peaks_fall_as_the_changes_add_up(wasteful: RunSettings) -> None:
    suggestions = suggest_changes(wasteful, estimate_memory)
    peaks = [
        estimate_memory(wasteful).training_peak,
        *(suggestion.peak for suggestion in suggestions),
    ]
    assert peaks == sorted(peaks, reverse=True)
    assert suggestions[0].peak == peaks[0] - suggestions[0].saves


def test_an_optimizer_step_keeps_its_tokens(wasteful: RunSettings) -> None:
    found = by_option(suggest_changes(wasteful, estimate_memory))
    assert found["--data.blocks_per_batch"].options == (
        "--data.blocks_per_batch=1",
        "--trainer.accumulate_grad_batches=8",
    )
    assert found["--data.block_size"].options == (  # on top of the row above
        "--data.block_size=512",
        "--trainer.accumulate_grad_batches=16",
    )


def test_all_options_together_are_the_settings_of_the_last_peak(wasteful: RunSettings) -> None:
    suggestions = suggest_changes(wasteful, estimate_memory)
    options = dict(option.split("=") for suggestion in suggestions for option in suggestion.options)
    blocks, size, accumulation = (
        int(options[name])
        for name in (
            "--data.blocks_per_batch",
            "--data.block_size",
            "--trainer.accumulate_grad_batches",
        )
    )
    before = wasteful.blocks_per_batch * wasteful.block_size * wasteful.accumulation
    assert blocks * size * accumulation == before


def test_processes_of_one_machine_save_together(wasteful: RunSettings) -> None:
    on_cpu = replace(wasteful, device="cpu", parallelism=Parallelism(2, 2))
    first = suggest_changes(on_cpu, estimate_memory)[0]
    less = estimate_memory(replace(on_cpu, checkpointing=True)).training_peak
    assert first.peak == 2 * less
    assert first.saves == 2 * (estimate_memory(on_cpu).training_peak - less)


@pytest.mark.parametrize(
    ("device", "parallelism"), [("cpu", Parallelism()), ("cuda", Parallelism(2, 2, sharded=True))]
)
def test_embeddings_are_offloaded_only_from_a_gpu_that_holds_them_unsharded(
    wasteful: RunSettings, device: str, parallelism: Parallelism
) -> None:
    other = replace(wasteful, device=device, parallelism=parallelism)
    assert "--model.memory.embeddings_on_cpu" not in by_option(
        suggest_changes(other, estimate_memory)
    )


def test_nothing_is_suggested_where_everything_is_saved_already(
    wasteful: RunSettings,
) -> None:
    assert suggest_changes(replace(wasteful, **FRUGAL), estimate_memory) == ()


def test_the_budget_for_stored_activations_is_given_up_first(wasteful: RunSettings) -> None:
    kept = replace(wasteful, checkpointing=True, kept_bytes=2**40)
    first = suggest_changes(kept, estimate_memory)[0]
    assert first.options == ("--model.memory.stored_activations_gib=0",)
    assert first.peak == estimate_memory(replace(kept, kept_bytes=0)).training_peak


def test_checkpointing_is_suggested_without_a_budget_that_would_undo_it(
    wasteful: RunSettings,
) -> None:
    kept = replace(wasteful, kept_bytes=2**40)
    first = suggest_changes(kept, estimate_memory)[0]
    assert first.options == (
        "--model.memory.activation_checkpointing=true",
        "--model.memory.stored_activations_gib=0",
    )
    recomputing = replace(kept, checkpointing=True, kept_bytes=0)
    assert first.peak == estimate_memory(recomputing).training_peak
    assert first.saves == estimate_memory(kept).training_peak - first.peak


def test_a_change_that_lowers_the_peak_only_after_others_comes_after_them() -> None:
    """On a CPU, one layer of a single block fits into 1 GiB, and halved blocks fragment more."""
    settings = RunSettings(
        base="llm-jp/llm-jp-3-7.2b-instruct3",
        quantization="nf4",
        lora=LoraSettings(),
        optimizer="adamw_8bit",
        dtype=torch.bfloat16,
        checkpointing=True,
        block_size=4096,
        blocks_per_batch=8,
        accumulation=1,
        device="cpu",
        kept_bytes=2**30,
    )
    suggestions = suggest_changes(settings, estimate_memory)
    assert list(by_option(suggestions)) == [
        "--data.blocks_per_batch",
        "--model.memory.stored_activations_gib",
        "--model.quantization",
        "--model.lora.rank",
        "--model.lora.target_modules",
        "--data.block_size",
    ]
    assert suggestions[1].saves == 0
    peaks = [
        estimate_memory(settings).training_peak,
        *(suggestion.peak for suggestion in suggestions),
    ]
    assert all(later < earlier for earlier, later in pairwise(peaks))


def on_a_gpu(**changes) -> RunSettings:
    """The 20B as its config says, with one block a batch."""
    settings = {
        "base": "openai/gpt-oss-20b",
        "quantization": "mxfp4",
        "lora": LoraSettings(),
        "optimizer": "adamw_8bit",
        "dtype": torch.bfloat16,
        "checkpointing": True,
        "block_size": 2048,
        "blocks_per_batch": 1,
        "accumulation": 16,
        "device": "cuda",
    }
    return RunSettings(**settings | changes)


@pytest.mark.parametrize("part", [16, 8, 4])
def test_as_many_experts_are_dequantized_at_a_time_as_fit(part: int) -> None:
    settings = on_a_gpu()
    limit = estimate_memory(replace(settings, experts_at_once=part)).training_peak
    first = suggest_changes(
        settings, estimate_memory, lambda memory: memory.training_peak <= limit
    )[0]
    assert first.options == (f"--model.compute.experts_at_once={part}",)
    assert first.peak == limit


def test_where_nothing_fits_an_eighth_of_the_experts_is_tried_and_fewer_never() -> None:
    found = by_option(suggest_changes(on_a_gpu(), estimate_memory))
    assert found["--model.compute.experts_at_once"].options[0].endswith("=4")
    for settings in (on_a_gpu(experts_at_once=4), on_a_gpu(device="cpu")):
        found = by_option(suggest_changes(settings, estimate_memory))
        assert "--model.compute.experts_at_once" not in found
