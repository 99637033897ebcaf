import pytest
import torch
from torch import Tensor

from animelm.errors import UserError
from animelm.model.moe.engines import choose_engine, probe
from animelm.model.moe.grouped.products import GroupedMM
from animelm.model.moe.grouped.triton_products import TritonProducts
from animelm.model.moe.routing import Groups

CPU = torch.device("cpu")


class WithoutTheLastExpert(GroupedMM):
    """As if a kernel forgot the rows of one expert."""

    def rows(self, x: Tensor, weights: Tensor, groups: Groups) -> Tensor:
        product = super().rows(x, weights, groups).clone()
        product[-1] = 0
        return product


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_right_products_pass_the_probe(dtype: torch.dtype) -> None:
    assert probe(GroupedMM(), CPU, dtype) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_triton_products_pass_the_probe_in_its_interpreter(
    interpreted_triton, dtype: torch.dtype
) -> None:
    assert probe(TritonProducts(), CPU, dtype) is None


def test_wrong_products_fail_the_probe() -> None:
    assert "differs" in str(probe(WithoutTheLastExpert(), CPU, torch.float32))


def test_on_a_cpu_the_loop_is_chosen() -> None:
    choice = choose_engine("auto", CPU, torch.bfloat16, (64, 32))
    assert choice.engine is None and "loop" in str(choice)


def test_a_requested_engine_is_taken_and_named() -> None:
    choice = choose_engine("grouped_mm", CPU, torch.float32, (64, 32))
    assert isinstance(choice.engine.products, GroupedMM) and "grouped_mm" in str(choice)


@pytest.mark.parametrize(
    ("widths", "at_once", "reason"),
    [((64, 30), None, "16 bytes"), ((64, 32), 4, "experts_at_once")],
)
def test_an_engine_that_does_not_serve_is_refused_with_the_reason(widths, at_once, reason) -> None:
    with pytest.raises(UserError, match=reason):
        choose_engine("grouped_mm", CPU, torch.float32, widths, at_once)


def test_a_probe_leaves_the_random_numbers_of_a_run_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    choose_engine("grouped_mm", CPU, torch.float32, (64, 32))
    assert torch.equal(torch.rand(4), expected)
