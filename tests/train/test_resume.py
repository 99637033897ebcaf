from dataclasses import replace

import pytest
import torch
from torch.nn import Parameter

from animelm.errors import UserError
from animelm.train.accumulation import Window
from animelm.train.resume import (
    Setup,
    go_on,
    require_same_setup,
    require_same_weights,
    state_of_all,
)

OWN = Setup(1, False, {"a": 1, "b": 2})


@pytest.mark.parametrize(
    ("saved", "strange"),
    [
        ({"trained": torch.ones(3)}, "1 .*trained"),
        ({"trained": torch.ones(2), "other": torch.ones(2)}, "1 .*other"),
        ({"frozen": torch.ones(2)}, "1 .*trained"),
    ],
)
def test_weights_of_another_shape_or_name_or_that_lack_one_are_refused(
    saved: dict[str, torch.Tensor], strange: str
) -> None:
    frozen = Parameter(torch.ones(2), requires_grad=False)
    own = {"trained": Parameter(torch.ones(2)), "frozen": frozen}
    require_same_weights({"trained": torch.zeros(2)}, own)
    with pytest.raises(UserError, match=f"does not fit the settings: {strange}"):
        require_same_weights(saved, own)


def test_a_run_of_the_same_setup_goes_on() -> None:
    require_same_setup(state_of_all(OWN, Window(), []), OWN)


@pytest.mark.parametrize("other", [{"processes": 2}, {"sharded": True}])
def test_other_processes_or_another_strategy_are_refused(other: dict) -> None:
    state = state_of_all(OWN, Window(), [])
    with pytest.raises(UserError, match="written by 1 processes under a strategy other than FSDP2"):
        require_same_setup(state, replace(OWN, **other))


def test_settings_that_an_older_checkpoint_does_not_name_are_not_compared() -> None:
    older = state_of_all(replace(OWN, settings={"a": 1}), Window(), [])
    require_same_setup(older, OWN)
    with pytest.raises(UserError, match=r"--model\.a=1"):
        require_same_setup(older, replace(OWN, settings={"a": 3}))


def test_random_numbers_and_an_open_window_come_back() -> None:
    weight, window = Parameter(torch.ones(2)), Window()
    window.add(3.0, 4)
    weight.grad = torch.full((2,), 0.5)
    state = state_of_all(OWN, window, [weight])
    drawn = torch.rand(3)

    fresh, resumed = Parameter(torch.ones(2)), Window()
    go_on(state, 0, resumed, [fresh])
    assert torch.equal(torch.rand(3), drawn)
    assert torch.equal(fresh.grad, weight.grad)
    assert resumed.mean_loss == window.mean_loss


def test_gradients_that_processes_share_are_said_to_be_missing() -> None:
    window = Window()
    window.add(1.0, 1)
    with pytest.warns(UserWarning, match="without these batches"):
        state = state_of_all(replace(OWN, sharded=True), window, [])
    assert "windows" not in state
