from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from animelm.model.lora.adapters import LoraSettings
from animelm.planner.memory import RunSettings, plan_memory
from animelm.planner.parallelism import Processes
from animelm.planner.suggestions import Saving, find_savings

WASTEFUL = {
    "quantization": "none",
    "optimiser": "adamw",
    "checkpointing": False,
    "block_size": 1024,
    "blocks_per_batch": 4,
    "accumulation": 2,
}
FRUGAL = {
    "quantization": "nf4-double",
    "lora": LoraSettings(4, 8, 0.05, ("q_proj", "v_proj")),
    "optimiser": "adamw_8bit",
    "checkpointing": True,
    "block_size": 512,
    "blocks_per_batch": 1,
    "embeddings_on_cpu": True,
}


@pytest.fixture
def wasteful(checkpoint: Path) -> RunSettings:
    return RunSettings(
        base=str(checkpoint), lora=LoraSettings(), dtype=torch.bfloat16, device="cuda", **WASTEFUL
    )


def by_option(savings: tuple[Saving, ...]) -> dict[str, Saving]:
    return {saving.options[0].partition("=")[0]: saving for saving in savings}


def test_each_change_is_told_with_what_it_saves_alone(wasteful: RunSettings) -> None:
    found = by_option(find_savings(wasteful, plan_memory))
    assert list(found) == [
        "--model.memory.activation_checkpointing",
        "--data.blocks_per_batch",
        "--model.memory.embeddings_on_cpu",
        "--model.quantization",
        "--data.block_size",
        "--model.lora.rank",
        "--model.lora.target_modules",
    ]
    # Not --model.optimizer.kind: adapters as small as these keep their states in 32 bits.
    alone = plan_memory(replace(wasteful, checkpointing=True)).training_peak
    saved = plan_memory(wasteful).training_peak - alone
    assert found["--model.memory.activation_checkpointing"].saves == saved > 0


def test_the_peaks_fall_as_the_changes_add_up(wasteful: RunSettings) -> None:
    savings = find_savings(wasteful, plan_memory)
    peaks = [plan_memory(wasteful).training_peak, *(saving.peak for saving in savings)]
    assert peaks == sorted(peaks, reverse=True)
    assert savings[0].peak == peaks[0] - savings[0].saves


def test_an_optimiser_step_keeps_its_tokens(wasteful: RunSettings) -> None:
    found = by_option(find_savings(wasteful, plan_memory))
    assert found["--data.blocks_per_batch"].options == (
        "--data.blocks_per_batch=1",
        "--trainer.accumulate_grad_batches=8",
    )
    assert found["--data.block_size"].options == (  # on top of the row above
        "--data.block_size=512",
        "--trainer.accumulate_grad_batches=16",
    )


def test_all_options_together_are_the_settings_of_the_last_peak(wasteful: RunSettings) -> None:
    savings = find_savings(wasteful, plan_memory)
    options = dict(option.split("=") for saving in savings for option in saving.options)
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
    on_cpu = replace(wasteful, device="cpu", processes=Processes(2, 2))
    first = find_savings(on_cpu, plan_memory)[0]
    less = plan_memory(replace(on_cpu, checkpointing=True)).training_peak
    assert first.peak == 2 * less
    assert first.saves == 2 * (plan_memory(on_cpu).training_peak - less)


@pytest.mark.parametrize(
    ("device", "processes"), [("cpu", Processes()), ("cuda", Processes(2, 2, sharded=True))]
)
def test_embeddings_are_sent_to_the_cpu_only_from_a_gpu_that_has_them_whole(
    wasteful: RunSettings, device: str, processes: Processes
) -> None:
    elsewhere = replace(wasteful, device=device, processes=processes)
    assert "--model.memory.embeddings_on_cpu" not in by_option(find_savings(elsewhere, plan_memory))


def test_what_is_frugal_already_is_left_alone(wasteful: RunSettings) -> None:
    assert find_savings(replace(wasteful, **FRUGAL), plan_memory) == ()


def test_activations_that_are_kept_are_given_up_first(wasteful: RunSettings) -> None:
    kept = replace(wasteful, checkpointing=True, kept_bytes=2**40)
    first = find_savings(kept, plan_memory)[0]
    assert first.options == ("--model.memory.stored_activations_gib=0",)
    assert first.peak == plan_memory(replace(kept, kept_bytes=0)).training_peak


def test_checkpointing_is_not_taken_back_by_activations_that_are_kept(
    wasteful: RunSettings,
) -> None:
    kept = replace(wasteful, kept_bytes=2**40)
    first = find_savings(kept, plan_memory)[0]
    assert first.options == (
        "--model.memory.activation_checkpointing=true",
        "--model.memory.stored_activations_gib=0",
    )
    forgetting = replace(kept, checkpointing=True, kept_bytes=0)
    assert first.peak == plan_memory(forgetting).training_peak
    assert first.saves == plan_memory(kept).training_peak - first.peak


def test_a_change_that_lowers_the_peak_only_after_others_comes_after_them() -> None:
    """On a CPU, of one block one layer fits into 1 GiB, and halved blocks leave more holes."""
    settings = RunSettings(
        base="llm-jp/llm-jp-3-7.2b-instruct3",
        quantization="nf4",
        lora=LoraSettings(),
        optimiser="adamw_8bit",
        dtype=torch.bfloat16,
        checkpointing=True,
        block_size=4096,
        blocks_per_batch=8,
        accumulation=1,
        device="cpu",
        kept_bytes=2**30,
    )
    savings = find_savings(settings, plan_memory)
    assert list(by_option(savings)) == [
        "--data.blocks_per_batch",
        "--model.memory.stored_activations_gib",
        "--model.quantization",
        "--model.lora.rank",
        "--model.lora.target_modules",
        "--data.block_size",
    ]
    assert savings[1].saves == 0
    peaks = [plan_memory(settings).training_peak, *(saving.peak for saving in savings)]
    assert all(later < earlier for earlier, later in pairwise(peaks))
