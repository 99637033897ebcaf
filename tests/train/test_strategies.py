"""Two processes train as one does: the embedded configs under configs/strategy/*.yaml."""

import json
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from embedded_run import (
    QUANTIZATIONS,
    RELEASED_BASE,
    STEPS,
    pre_train,
    pre_train_released,
    write_sample,
)
from safetensors.torch import load_file
from tiny_base import write_tiny_base
from transformers import GptOssForCausalLM
from two_processes import run_as_two_processes

from animelm.errors import UserError
from animelm.model.lora.fused_layout import fuse_experts
from animelm.provenance.record import read_record
from animelm.train.strategies import DataParallelStrategy, FullyShardedStrategy
from tests.layouts import write_mxfp4

MICRO_BATCHES = 2 * STEPS
STRATEGIES = ["ddp", "fsdp2"]


def write_released_base(folder: Path) -> None:
    """A tiny base with its experts in MXFP4, as gpt-oss is released."""
    folder.mkdir()
    write_tiny_base(folder)
    model = GptOssForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    write_mxfp4(model, folder)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of one process (``one`` …) and of all runs of train_with_strategies.py."""
    folder = tmp_path_factory.mktemp("runs")
    write_sample(folder)
    write_released_base(folder / RELEASED_BASE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["animelm"])
        pre_train(folder, "one")
        for quantization in QUANTIZATIONS:
            pre_train_released(folder, f"one-{quantization}", quantization)
    run_as_two_processes(Path(__file__).with_name("train_with_strategies.py"), folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["animelm"])
        for strategy in STRATEGIES:
            half = folder / strategy / f"step={STEPS // 2}.ckpt"
            pre_train(folder, f"{strategy}-to-one", checkpoint=half)
    return folder


def result(runs: Path, name: str, rank: int = 0) -> dict:
    return json.loads((runs / f"{name}.{rank}.json").read_text())


def adapter(runs: Path, name: str) -> dict[str, torch.Tensor]:
    return load_file(runs / name / "adapter" / "adapter_model.safetensors")


def assert_same_adapter(runs: Path, name: str, expected_name: str) -> None:
    weights, expected = adapter(runs, name), adapter(runs, expected_name)
    assert weights.keys() == expected.keys()
    for key, weight in weights.items():
        assert weight.dtype == expected[key].dtype
        # AdamW takes full steps also where a gradient is noise.
        assert (weight - expected[key]).norm() < 1e-2 * expected[key].norm(), key


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_losses_are_those_of_one_process_with_the_same_global_batch(
    runs: Path, strategy: str
) -> None:
    expected = result(runs, "one")["losses"]
    assert len(expected) == MICRO_BATCHES
    for rank in range(2):
        assert result(runs, strategy, rank)["losses"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_adapter_file_is_that_of_one_process(runs: Path, strategy: str) -> None:
    assert_same_adapter(runs, strategy, "one")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_record_of_the_adapter_is_that_of_one_process(runs: Path, strategy: str) -> None:
    [one] = read_record(runs / "one" / "adapter")
    assert read_record(runs / strategy / "adapter") == (one,)
    assert [step.step for step in read_record(runs / f"{strategy}-tuned" / "adapter")] == [
        "cpt",
        "sft",
    ]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_router_statistics_are_those_of_one_process(runs: Path, strategy: str) -> None:
    rows = [
        (runs / name / "router_statistics.csv").read_text().splitlines()
        for name in ("one", strategy)
    ]
    assert rows[0][0] == rows[1][0]
    values = [[[float(v) for v in row.split(",")] for row in table[1:]] for table in rows]
    torch.testing.assert_close(*map(torch.tensor, values), rtol=1e-3, atol=1e-3)


def test_under_fsdp2_a_process_holds_its_part_of_the_frozen_bytes(runs: Path) -> None:
    shares = [result(runs, "fsdp2", rank)["frozen_share"] for rank in range(2)]
    assert max(shares) <= 0.6
    assert sum(shares) >= 1
    assert result(runs, "ddp")["frozen_share"] == 1


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_released_experts_train_under_fsdp2_as_on_one_process(
    runs: Path, quantization: str
) -> None:
    one, two = f"one-{quantization}", f"fsdp2-{quantization}"
    expected = result(runs, one)["losses"]
    assert len(expected) == 4
    for rank in range(2):
        trained = result(runs, two, rank)
        assert trained["losses"] == pytest.approx(expected, abs=1e-5)
        assert trained["frozen_share"] <= 0.6
    assert_same_adapter(runs, two, one)


def test_a_checkpoint_of_fsdp2_resumes_as_if_nothing_had_happened(runs: Path) -> None:
    expected = result(runs, "fsdp2")["losses"][MICRO_BATCHES // 2 :]
    assert result(runs, "resumed")["losses"] == pytest.approx(expected, abs=1e-6)
    assert_same_adapter(runs, "resumed", "fsdp2")


@pytest.mark.parametrize("name", ["ddp-to-one", "fsdp2-to-one", "ddp-to-fsdp2"])
def test_a_checkpoint_resumes_on_other_processes_or_another_strategy(runs: Path, name: str) -> None:
    expected = result(runs, "one")["losses"][MICRO_BATCHES // 2 :]
    assert result(runs, name)["losses"] == pytest.approx(expected, abs=1e-5)
    assert_same_adapter(runs, name, "one")


def test_a_checkpoint_of_fsdp2_holds_what_is_trained_and_no_more(runs: Path) -> None:
    saved = torch.load(runs / "fsdp2" / f"step={STEPS // 2}.ckpt", weights_only=True)
    weights = {name.removeprefix("model."): w for name, w in saved["state_dict"].items()}
    saved_alike = fuse_experts({name.replace(".default", ""): w for name, w in weights.items()})
    assert {name: weight.shape for name, weight in saved_alike.items()} == {
        name: weight.shape for name, weight in adapter(runs, "one").items()
    }


def test_8_bit_states_with_dropout_resume_under_fsdp2(runs: Path) -> None:
    states = torch.load(runs / "fsdp2-tuned" / "step=1.ckpt", weights_only=True)
    own = states["optimizer_states"][0]["shards"][1]["state"]
    kinds = {kept["__bnb_optimizer_quant_state__"]["state1"].dtype for kept in own.values()}
    assert torch.uint8 in kinds
    # No state brings those of other parameters along.
    kept = [each["__bnb_optimizer_quant_state__"]["state1"] for each in own.values()]
    assert all(state.untyped_storage().nbytes() == state.nbytes for state in kept)
    expected = result(runs, "fsdp2-tuned")["losses"][1:]
    assert result(runs, "tuned-resumed")["losses"] == pytest.approx(expected, abs=1e-6)


def test_both_strategies_answer_the_same_questions_in_validation(runs: Path) -> None:
    # Stacked adapters: experts without tokens get gradients of zero there too, or DDP would stop.
    ddp, fsdp2 = (result(runs, f"{strategy}-tuned")["metrics"] for strategy in STRATEGIES)
    asked = {name: count for name, count in ddp.items() if name.endswith("/questions")}
    assert asked
    assert {name: fsdp2[name] for name in asked} == asked
    losses = [result(runs, f"{strategy}-tuned")["losses"] for strategy in STRATEGIES]
    # Each process quantizes its own part of the optimizer's states.
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)


@pytest.mark.parametrize("kind", [DataParallelStrategy, FullyShardedStrategy])
def test_a_process_does_not_wait_for_another_one_for_ever(kind: type) -> None:
    assert kind(timeout_minutes=2)._timeout == timedelta(minutes=2)
    assert kind()._timeout < timedelta(hours=1)
    for minutes in (0, -1, float("nan"), float("inf")):
        with pytest.raises(UserError, match=r"timeout_minutes is .*; expected more than 0"):
            kind(timeout_minutes=minutes)
