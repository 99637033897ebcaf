"""The kernels in Triton's interpreter against the formulas."""

from typing import Any

import pytest
import torch
from measuring.operations import CountOperations
from torch import Tensor

from animelm.model.moe.grouped import operators

TOKENS, CHOSEN, EXPERTS, WIDTH, RANK, COLUMNS = 13, 3, 6, 40, 4, 8
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}


@pytest.fixture
def kernels(interpreted_triton) -> Any:
    from animelm.model.moe.grouped import row_kernels

    return row_kernels


def assert_same(kernels: Any, name: str, *arguments: Any) -> None:
    """Compares results of the kernel, one launch, with those of the formula."""
    expected = getattr(operators, name)(*arguments)
    with CountOperations() as found:
        ours = getattr(kernels, name)(*arguments)
    assert found.moving == {"triton kernel": 1}
    pair = zip(ours, expected, strict=True) if isinstance(ours, tuple) else [(ours, expected)]
    for mine, theirs in pair:
        assert mine.dtype == theirs.dtype and mine.shape == theirs.shape
        tolerance = TOLERANCE.get(theirs.dtype, 0)
        assert (mine.double() - theirs.double()).abs().max() <= tolerance * theirs.abs().max()


def sorted_choices() -> tuple[Tensor, Tensor, Tensor]:
    """Choices, of which the first and the last expert get none, sorted."""
    indices = torch.randint(1, EXPERTS - 1, (TOKENS, CHOSEN))
    return indices, *torch.sort(indices.flatten(), stable=True)


def test_rows_are_sorted_by_expert(kernels) -> None:
    _, expert, order = sorted_choices()
    assert_same(kernels, "sorted_rows", expert, order, EXPERTS, CHOSEN)
    assert_same(kernels, "sorted_rows", expert[:1], order[:1] * 0, EXPERTS, 1)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_choices_of_a_token_are_summed(kernels, dtype: torch.dtype, weighted: bool) -> None:
    rows = torch.randn(TOKENS * CHOSEN, WIDTH, dtype=dtype)
    place = torch.randperm(TOKENS * CHOSEN).view(TOKENS, CHOSEN)
    weights = torch.rand(TOKENS, CHOSEN).to(dtype) if weighted else None
    assert_same(kernels, "combine", rows, place, weights)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_gated_unit_and_its_gradients(kernels, dtype: torch.dtype) -> None:
    _, _, order = sorted_choices()
    gate_up = torch.randn(len(order), 2 * WIDTH, dtype=dtype)
    limits = (1.702, 0.7)  # some values are clamped
    assert_same(kernels, "gated_unit", gate_up, *limits)
    grad = torch.randn(len(order), WIDTH, dtype=dtype)
    weights = torch.rand(TOKENS, CHOSEN).to(dtype)
    shares = torch.randn(len(order), 2, dtype=dtype)[:, 1]
    for given in (shares, None):
        assert_same(kernels, "gated_unit_backward", gate_up, grad, weights, order, given, *limits)


def test_the_gradients_of_the_gated_unit_are_those_of_autograd() -> None:
    _, _, order = sorted_choices()
    gate_up = torch.randn(len(order), 2 * WIDTH, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(TOKENS, CHOSEN, dtype=torch.float64, requires_grad=True)
    gate, up = gate_up[:, ::2].clamp(max=0.7), gate_up[:, 1::2].clamp(-0.7, 0.7)
    unit = (up + 1) * gate * torch.sigmoid(1.702 * gate)
    weighted = unit * weights.flatten()[order][:, None]
    direction = torch.randn_like(weighted)
    expected = torch.autograd.grad(weighted, [gate_up, weights], direction)
    arguments = (gate_up.detach(), direction, weights.detach(), order, None, 1.702, 0.7)
    found = operators.gated_unit_backward(*arguments)
    for mine, theirs in zip(found, (*expected, weighted), strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("parts", ["both", "adapter", "bias"])
def test_an_adapter_and_the_bias_are_packed(kernels, dtype: torch.dtype, parts: str) -> None:
    inputs, outputs = WIDTH, 24
    lora = (torch.randn(EXPERTS, RANK, inputs), torch.randn(EXPERTS, outputs, RANK))
    bias = torch.randn(EXPERTS, outputs)
    given = ((None, None) if parts == "bias" else lora, None if parts == "adapter" else bias)
    sizes = [EXPERTS, outputs, inputs]
    assert_same(kernels, "pack_update", *given[0], given[1], 0.5, sizes, COLUMNS, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_gradients_are_unpacked_and_zero_where_an_expert_has_no_rows(
    kernels, dtype: torch.dtype
) -> None:
    packed = [torch.randn(EXPERTS, *sizes).to(dtype) for sizes in ((COLUMNS, 24), (WIDTH, COLUMNS))]
    starts = torch.tensor([0, 0, 4, 9, 9, 9], dtype=torch.int32)
    ends = torch.tensor([0, 4, 9, 9, 9, 11], dtype=torch.int32)
    for grads in packed:
        grads[starts == ends] = torch.nan
    arguments = (*packed, starts, ends, RANK, 0.5, torch.float32)
    assert_same(kernels, "adapter_gradients", *arguments)
    found = operators.adapter_gradients(*arguments)
    assert not any(grad[starts == ends].any() for grad in found)
