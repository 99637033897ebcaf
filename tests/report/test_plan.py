import io
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from animelm.model.lora.adapters import LoraSettings
from animelm.model.lora.targets import TargetAudit, TargetRow
from animelm.planner.activation_memory import Activations
from animelm.planner.memory import MemoryEstimate, RunSettings
from animelm.planner.parallelism import Parallelism
from animelm.planner.run_length import RunLength
from animelm.planner.static_memory import StaticMemory, WeightBytes
from animelm.planner.suggestions import Suggestion
from animelm.report.plan import Device, RunPlan, print_plan

GIB = 2**30
SETTINGS = RunSettings(
    "a/base", "nf4", LoraSettings(), "adamw_8bit", torch.bfloat16, True, 2048, 1, 16, "cpu"
)
MEMORY = MemoryEstimate(
    StaticMemory(
        parameters=20_914_757_184,
        audit=TargetAudit((TargetRow(("down_proj",), "down_projs", 768, 70_778_880),)),
        weights=WeightBytes(9 * GIB, GIB, 2 * GIB),
        adapters=GIB,
        gradients=GIB,
        optimizer_states=GIB // 2,
    ),
    Activations(kept=GIB, layer=GIB // 4, dequantized=GIB // 20, loss=GIB // 8),
    largest_tensor=GIB,
    process=GIB // 2,
    training_code=GIB // 16,
    fragmentation=GIB,
    kernels=GIB // 2,
    gathered=0,
    gradient_buckets=0,
    loading_peak=14 * GIB,
    training_peak=17 * GIB,
)
PLAN = RunPlan(
    SETTINGS,
    Device("cpu", 24 * GIB),
    MEMORY,
    (),
    RunLength(tokens_per_epoch=1000, batches_per_epoch=32, steps=6, tokens=3000),
)
TIGHT = replace(
    PLAN,
    device=Device("cuda", 16 * GIB),
    suggestions=(Suggestion(("--model.lora.target_modules=[q_proj]",), 2 * GIB, 15 * GIB),),
    length="corpus/anime: no such folder",
)


def printed(plan: RunPlan) -> str:
    console = Console(file=io.StringIO(), width=100)
    print_plan(plan, console)
    return console.file.getvalue()


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines()]


def test_every_part_and_both_peaks_have_a_line() -> None:
    text = printed(PLAN)
    assert ["weights, 4-bit values", "9.00"] in rows(text)
    assert ["peak while loading", "14.00"] in rows(text)
    assert ["peak while training", "17.00"] in rows(text)
    assert "Fits on a CPU with 24.0 GiB." in text
    assert "6 optimizer steps over 3,000 tokens (1,000 per epoch, in 32 batches)" in text


def test_a_run_without_a_limit_is_said_to_have_none() -> None:
    endless = replace(PLAN, length=RunLength(1000, 32, None, None))
    text = "nor trainer.max_steps ends this run; tokens: 1,000 per epoch, in 32 batches"
    assert text in printed(endless)
    assert endless.to_json()["run_length"]["steps"] is None


def test_a_run_that_does_not_fit_gets_suggestions() -> None:
    text = printed(TIGHT)
    assert "Does not fit on a GPU with 16.0 GiB." in text
    assert ["--model.lora.target_modules=[q_proj]", "2.00", "15.00"] in rows(text)
    assert "Steps and tokens are unknown: corpus/anime: no such folder" in text


def test_a_small_run_is_printed_in_mebibytes() -> None:
    text = printed(replace(PLAN, memory=replace(MEMORY, training_peak=GIB)))
    assert ["peak while training", "1,024.0"] in rows(text)


@pytest.mark.parametrize(("kind", "fits"), [("cpu", False), ("cuda", True)])
def test_loading_goes_through_the_machines_memory(kind: str, fits: bool) -> None:
    memory = replace(MEMORY, loading_peak=30 * GIB)
    assert Device(kind, 24 * GIB).fits(memory) is fits


def test_the_processes_of_one_machine_are_counted_together() -> None:
    plan = replace(
        PLAN,
        settings=replace(SETTINGS, parallelism=Parallelism(processes=4, per_machine=2)),
        memory=replace(MEMORY, processes_on_device=2),
    )
    text = printed(plan)
    words = " ".join(text.split())
    assert "Memory of one process" in words and "on each of 4 processes" in words
    assert ["peak while training", "17.00"] in rows(text)
    assert ["training peak of 2 processes on one machine", "34.00"] in rows(text)
    assert "Does not fit on a CPU with 24.0 GiB, which 2 processes share." in text
    found = plan.to_json()
    assert found["peak_bytes_on_device"] == {"loading": 28 * GIB, "training": 34 * GIB}
    assert (found["processes"], found["processes_on_device"]) == (4, 2)
    assert found["fits"] is False and "of one process" not in printed(PLAN)


def test_json_holds_bytes_and_what_was_not_counted() -> None:
    counted, missing = PLAN.to_json(), TIGHT.to_json()
    assert counted["bytes"]["adapters"] == GIB
    assert counted["peak_bytes"] == {"loading": 14 * GIB, "training": 17 * GIB}
    assert counted["run_length"]["steps"] == 6 and counted["fits"] is True
    assert missing["run_length"] is None and missing["run_length_unknown"].startswith(
        "corpus/anime"
    )
    assert missing["suggestions"][0]["saves"] == 2 * GIB and missing["fits"] is False


@pytest.mark.parametrize(
    ("speed", "text"),
    [(0.6, "about 1.4 hours at 1"), (10.0, "about 5 minutes at 10")],
)
def test_the_hours_follow_from_the_speed(speed: float, text: str) -> None:
    plan = replace(PLAN, tokens_per_second=speed)
    assert plan.hours == pytest.approx(3000 / speed / 3600)
    assert text in printed(plan) and plan.to_json()["hours"] == plan.hours


def test_without_a_speed_or_a_length_there_are_no_hours() -> None:
    for plan in (PLAN, replace(TIGHT, tokens_per_second=10.0)):
        assert plan.hours is None and "hours" not in printed(plan)
