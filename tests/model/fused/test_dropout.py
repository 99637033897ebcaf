"""Dropout by a seed."""

from types import SimpleNamespace

import pytest
import torch

from animelm.model.fused import dropout

ROWS, WIDTH, RATE = 64, 50, 0.25


@pytest.fixture(params=["formula", "kernel"])
def operators(request: pytest.FixtureRequest) -> SimpleNamespace:
    if request.param == "formula":
        return SimpleNamespace(drop=dropout.drop, add_dropped=dropout.add_dropped)
    request.getfixturevalue("interpreted_triton")
    from animelm.model.fused.kernels import dropout as kernels

    return SimpleNamespace(drop=kernels.drop, add_dropped=kernels.add_dropped)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_share_of_the_values_is_zero_and_the_rest_is_scaled(operators, dtype) -> None:
    dropped = operators.drop(torch.ones(ROWS, WIDTH, dtype=dtype), 2**40 + 7, RATE)
    assert abs(float((dropped == 0).float().mean()) - RATE) < 0.03
    kept = dropped[dropped != 0].float()
    # The interpreter cuts bits of bf16 off where a GPU rounds.
    assert torch.allclose(kept, torch.full_like(kept, 1 / (1 - RATE)), rtol=1e-2)


def test_a_seed_gives_the_same_mask_again_and_another_seed_another(operators) -> None:
    ones = torch.ones(ROWS, WIDTH)
    first, again, other = (operators.drop(ones, seed, RATE) for seed in (2**40, 2**40, 2**40 + 1))
    assert torch.equal(first, again)
    assert 0.2 < (first != other).float().mean() < 0.5  # independent masks: 0.375


def test_the_same_values_are_dropped_where_they_are_added(operators) -> None:
    x, total = torch.randn(2, ROWS, WIDTH).unbind()
    expected = total + operators.drop(x, 2**50, RATE)
    operators.add_dropped(total, x, 2**50, RATE)
    assert torch.allclose(total, expected, atol=1e-6)
