"""The script for a machine with a GPU, run on a CPU with a toy model."""

import json
from contextlib import nullcontext
from types import SimpleNamespace

import gpu
import pytest
import torch
from gpu_parts import profiling, training
from gpu_parts.machine import Machine
from gpu_parts.model import layers_that_fit, real_config
from gpu_parts.parity import TOLERANCE, Parity
from gpu_parts.profiling import covered
from torch.autograd import DeviceType
from torch.autograd.profiler_util import Interval


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, dict]:
    """The exit status, and the last line."""
    status = gpu.main(["--toy", *arguments])
    return status, json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.fixture
def one_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "BLOCKS", (1,))
    monkeypatch.setattr(gpu, "_QUESTIONS", (2,))
    monkeypatch.setattr(gpu, "_ANSWER_TOKENS", 2)
    monkeypatch.setattr(training, "_STEPS", 1)


def test_every_engine_and_stock_train_and_answer(
    one_of_each: None, capsys: pytest.CaptureFixture[str]
) -> None:
    status, found = run([], capsys)
    assert status == 0 and found["toy"]
    assert {"loop", "grouped_mm"} <= found["parity"].keys()
    assert all(0 < engine["error"] <= TOLERANCE for engine in found["parity"].values())
    rows = {row["engine"]: row for row in found["training"]}
    assert rows.keys() == found["parity"].keys() | {"stock"}
    assert rows.keys() | found["unavailable"].keys() == {"stock", *gpu.ENGINES}
    for row in rows.values():
        assert row["tokens_per_second"] == pytest.approx(64 / row["step_seconds"], rel=1e-2)
    assert found["answering_tokens_per_second"]["2"] > 0
    assert "CPU" in found["idle"]["1x64"]["skipped"]


def test_what_time_does_not_suffice_for_is_named(
    one_of_each: None, capsys: pytest.CaptureFixture[str]
) -> None:
    status, found = run(["--seconds=0"], capsys)
    assert status == 0
    assert all("0 s are left" in row["skipped"] for row in found["training"])


def test_an_engine_that_computes_otherwise_fails_the_run(
    one_of_each: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = Parity.error
    monkeypatch.setattr(
        Parity, "error", lambda self, engine: error(self, engine) if engine is None else 0.5
    )
    status, found = run(["--seconds=0", "--without-stock"], capsys)
    assert status == 1 and found["parity"]["grouped_mm"] == {"error": 0.5}


def test_a_failure_is_reported_and_the_rest_is_measured(
    one_of_each: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "stock_step", lambda *_: 1 / 0)
    status, found = run([], capsys)
    assert status == 1
    *ours, stock = found["training"]
    assert stock["failed"] == "ZeroDivisionError: division by zero"
    assert all("tokens_per_second" in row for row in ours)


def test_without_a_gpu_the_toy_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        gpu.main([])
    assert ended.value.code == 2
    assert "--toy" in capsys.readouterr().err


def test_layers_that_a_gpu_cannot_hold_are_left_out() -> None:
    sizes = {gib: layers_that_fit(gib * 2**30, "mxfp4", 16) for gib in (4, 16, 80)}
    assert sizes[4] == 1
    assert 1 < sizes[16] < 24
    assert sizes[80] == 24
    assert real_config(sizes[16]).num_hidden_layers == sizes[16]


def test_a_gpu_is_idle_where_a_step_without_the_profiler_runs_no_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def event(device: DeviceType, start: float, end: float, annotation: bool = False) -> object:
        return SimpleNamespace(
            name="product",
            device_type=device,
            time_range=Interval(start, end),
            is_user_annotation=annotation,
        )

    gpu_ran, cpu_ran = DeviceType.CUDA, DeviceType.CPU
    events = [
        *(event(gpu_ran, start, start + 1000) for start in (0, 500, 4000)),  # microseconds
        event(gpu_ran, 0, 9000, annotation=True),
        event(cpu_ran, 0, 9000),
    ]
    watched = nullcontext(SimpleNamespace(events=lambda: events))
    monkeypatch.setattr(profiling, "profile", lambda **_: watched)
    machine = Machine(torch.device("cpu"), seconds=60)
    found = profiling.measure_idle(lambda _: None, machine, torch.zeros(1, 4), step_seconds=0.01)
    assert found == {"idle_share": 0.75, "device_operations": 3, "longest_ms": {"product": 3.0}}


def test_time_that_two_kernels_share_counts_once() -> None:
    assert covered([(0, 2), (5, 6), (1, 4), (3, 3.5)]) == 5
    assert covered([]) == 0
