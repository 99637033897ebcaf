import pytest
import torch

from animelm.errors import UserError
from animelm.model import precision
from animelm.model.precision import choose_compute_dtype


@pytest.fixture(autouse=True)
def clear_measurements():
    precision._faster_type.cache_clear()
    yield
    precision._faster_type.cache_clear()


def test_a_requested_type_is_taken_without_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_faster_type", lambda *_: pytest.fail("measured"))
    assert choose_compute_dtype("bfloat16") is torch.bfloat16


@pytest.mark.parametrize("faster", [torch.float32, torch.bfloat16])
def test_auto_takes_the_type_in_which_an_expert_is_faster(
    monkeypatch: pytest.MonkeyPatch, faster: torch.dtype
) -> None:
    monkeypatch.setattr(precision, "_product_seconds", lambda dtype: 1.0)
    monkeypatch.setattr(
        precision, "_expert_seconds", lambda dtype, *_: 1.0 if dtype is faster else 2.0
    )
    assert choose_compute_dtype("auto") is faster


def test_where_bf16_is_emulated_no_expert_is_run_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        precision, "_product_seconds", lambda dtype: 200.0 if dtype is torch.bfloat16 else 1.0
    )
    monkeypatch.setattr(precision, "_expert_seconds", lambda *_: pytest.fail("ran"))
    assert choose_compute_dtype("auto") is torch.float32


def test_measuring_leaves_threads_and_random_numbers_as_they_were() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    threads = torch.get_num_threads()
    assert choose_compute_dtype("auto", hidden=64, intermediate=64) in (
        torch.float32,
        torch.bfloat16,
    )
    assert torch.equal(torch.rand(2), expected)
    assert torch.get_num_threads() == threads


def test_a_gpu_that_emulates_bf16_is_refused_for_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    def only_emulated(including_emulation: bool = True) -> bool:
        return including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", only_emulated)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    with pytest.raises(UserError, match="Tesla T4 computes bfloat16 only by emulation"):
        choose_compute_dtype("auto", "cuda")
    assert choose_compute_dtype("float32", "cuda") is torch.float32
