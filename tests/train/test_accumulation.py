import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import Parameter

from animelm.train.accumulation import TokenWeightedAccumulation

TOKENS = st.lists(st.integers(0, 50), min_size=1, max_size=6)


def accumulate(step: TokenWeightedAccumulation, weight: Parameter, values: torch.Tensor) -> None:
    total = (weight * values).sum()
    divisor = step.add(total.item(), len(values))
    (total / divisor).backward()


@given(TOKENS)
def test_the_gradient_is_that_of_the_mean_over_all_tokens(counts: list[int]) -> None:
    torch.manual_seed(0)
    batches = [torch.randn(count, dtype=torch.float64) for count in counts]
    weight, step = Parameter(torch.ones((), dtype=torch.float64)), TokenWeightedAccumulation()
    for values in batches:
        accumulate(step, weight, values)
    expected = torch.cat(batches).sum() / max(1, sum(counts))
    assert step.mean_loss == pytest.approx(expected.item())
    step.finish([weight])
    assert weight.grad.item() == pytest.approx(expected.item())
    assert not step.batches


def test_the_gradient_of_a_single_batch_is_not_changed() -> None:
    weight, step = Parameter(torch.ones(())), TokenWeightedAccumulation()
    accumulate(step, weight, torch.tensor([0.1, 0.7, 0.3]))
    before = weight.grad.clone()
    step.finish([weight, Parameter(torch.ones(2))])
    assert torch.equal(weight.grad, before)


def test_a_step_resumes_between_two_of_its_batches() -> None:
    batches = torch.randn(3), torch.randn(5), torch.randn(2)
    gradients = []
    for saved_after in (None, 2):
        weight, frozen, step = (
            Parameter(torch.ones(())),
            Parameter(torch.ones(2)),
            TokenWeightedAccumulation(),
        )
        for number, values in enumerate(batches):
            if number == saved_after:
                state = step.state([weight, frozen])
                weight, step = Parameter(torch.ones(())), TokenWeightedAccumulation()
                step.restore([weight, frozen], **state)
                assert frozen.grad is None
            accumulate(step, weight, values)
        step.finish([weight, frozen])
        gradients.append(weight.grad)
    assert torch.equal(*gradients)
