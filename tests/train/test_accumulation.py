import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import Parameter

from animelm.train.accumulation import Window

TOKENS = st.lists(st.integers(0, 50), min_size=1, max_size=6)


def accumulate(window: Window, weight: Parameter, values: torch.Tensor) -> None:
    total = (weight * values).sum()
    share = window.add(total.item(), len(values))
    (total / share).backward()


@given(TOKENS)
def test_the_gradient_is_that_of_the_mean_over_all_tokens(counts: list[int]) -> None:
    torch.manual_seed(0)
    batches = [torch.randn(count, dtype=torch.float64) for count in counts]
    weight, window = Parameter(torch.ones((), dtype=torch.float64)), Window()
    for values in batches:
        accumulate(window, weight, values)
    expected = torch.cat(batches).sum() / max(1, sum(counts))
    assert window.mean_loss == pytest.approx(expected.item())
    window.close([weight])
    assert weight.grad.item() == pytest.approx(expected.item())
    assert not window.batches


def test_a_window_of_one_batch_leaves_its_gradient_to_the_bit() -> None:
    weight, window = Parameter(torch.ones(())), Window()
    accumulate(window, weight, torch.tensor([0.1, 0.7, 0.3]))
    before = weight.grad.clone()
    window.close([weight, Parameter(torch.ones(2))])
    assert torch.equal(weight.grad, before)


def test_an_open_window_goes_on_where_it_was_kept() -> None:
    batches = torch.randn(3), torch.randn(5), torch.randn(2)
    gradients = []
    for kept_after in (None, 2):
        weight, frozen, window = Parameter(torch.ones(())), Parameter(torch.ones(2)), Window()
        for number, values in enumerate(batches):
            if number == kept_after:
                state = window.state([weight, frozen])
                weight, window = Parameter(torch.ones(())), Window()
                window.restore([weight, frozen], **state)
                assert frozen.grad is None
            accumulate(window, weight, values)
        window.close([weight, frozen])
        gradients.append(weight.grad)
    assert torch.equal(*gradients)
