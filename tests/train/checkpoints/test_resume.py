import copy
import io
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import Parameter

from animelm.errors import UserError
from animelm.train.accumulation import TokenWeightedAccumulation
from animelm.train.checkpoints.resume import (
    ResumedState,
    gather_from_processes,
    random_state,
    require_same_weights,
    save_process_states,
    set_random_state,
)
from animelm.train.checkpoints.setup import TrainingSetup

OWN = TrainingSetup(1, False, {"a": 1, "b": 2})


def written(
    setup: TrainingSetup,
    accumulation: TokenWeightedAccumulation | None = None,
    trained: list[Parameter] | None = None,
) -> dict[str, Any]:
    """A checkpoint of a run with this setup, as read again by a run that may load no code."""
    checkpoint: dict[str, Any] = {}
    save_process_states(
        checkpoint, setup, accumulation or TokenWeightedAccumulation(), trained or []
    )
    file = io.BytesIO()
    torch.save(checkpoint, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


class Loader:
    """Remembers the state that it was given."""

    state: dict[str, int] | None = None

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.state = state


@pytest.mark.parametrize(
    ("saved", "unknown"),
    [
        ({"trained": torch.ones(3)}, "1 .*trained"),
        ({"trained": torch.ones(2), "other": torch.ones(2)}, "1 .*other"),
        ({"frozen": torch.ones(2)}, "1 .*trained"),
    ],
)
def test_weights_of_another_shape_or_name_or_that_lack_one_are_refused(
    saved: dict[str, torch.Tensor], unknown: str
) -> None:
    frozen = Parameter(torch.ones(2), requires_grad=False)
    own = {"trained": Parameter(torch.ones(2)), "frozen": frozen}
    require_same_weights({"trained": torch.zeros(2)}, own)
    with pytest.raises(UserError, match=f"does not fit the settings: {unknown}"):
        require_same_weights(saved, own)


def test_a_checkpoint_of_the_same_setup_is_accepted() -> None:
    ResumedState().load(written(OWN), OWN)


def test_other_processes_are_refused_where_the_division_of_the_data_is_not_known() -> None:
    with pytest.raises(UserError, match=r"how its data were divided; resume with 1 process\(es\)"):
        ResumedState().load(written(OWN), replace(OWN, processes=2))


def test_another_strategy_is_warned_about() -> None:
    with pytest.warns(match=r"this run goes on with 1 process\(es\) under FSDP2 instead of 1 proc"):
        ResumedState().load(written(OWN), replace(OWN, sharded=True))


def test_a_run_that_does_not_train_accepts_a_checkpoint_of_any_setup() -> None:
    ResumedState().load(written(replace(OWN, sharded=True)), None)


def test_position_random_numbers_and_accumulated_gradients_are_restored() -> None:
    weight, accumulation = Parameter(torch.ones(2)), TokenWeightedAccumulation()
    accumulation.add(3.0, 4)
    weight.grad = torch.full((2,), 0.5)
    checkpoint = written(OWN, accumulation, [weight])
    position = {"fit_loop": {"state_dict": {"combined_loader": [{"batch": 7}]}}}
    drawn = torch.rand(3)

    fresh, resumed, loader = Parameter(torch.ones(2)), TokenWeightedAccumulation(), Loader()
    state = ResumedState()
    state.load({**checkpoint, "loops": position}, OWN)
    state.restore(loader, 0, resumed, [fresh])
    assert torch.equal(torch.rand(3), drawn)
    assert torch.equal(fresh.grad, weight.grad)
    assert resumed.mean_loss == accumulation.mean_loss
    assert loader.state == {"batch": 7}


def test_a_process_that_the_earlier_run_did_not_have_draws_numbers_of_its_own() -> None:
    own = replace(OWN, blocks_per_batch=2)
    checkpoint = written(own)
    position = {"next_batch": 1, "settings": {"blocks": 8}}
    counts = dict.fromkeys(("ready", "started", "processed", "completed"), 1)
    checkpoint["loops"] = {
        "fit_loop": {
            "state_dict": {"combined_loader": [position]},
            "epoch_loop.batch_progress": {"current": dict(counts), "total": dict(counts)},
        }
    }
    drawn = []
    for rank in range(2):
        state = ResumedState()
        two = replace(own, processes=2, blocks_per_batch=1)
        with pytest.warns(UserWarning, match="not the same to the bit"):
            state.load(copy.deepcopy(checkpoint), two)
        state.restore(Loader(), rank, TokenWeightedAccumulation(), [])
        drawn.append(torch.rand(3))
    assert not torch.equal(*drawn)


def test_in_a_new_run_each_process_draws_other_numbers() -> None:
    drawn = []
    for rank in range(2):
        torch.manual_seed(0)
        ResumedState().restore(Loader(), rank, TokenWeightedAccumulation(), [])
        drawn.append(torch.rand(3))
    assert not torch.equal(*drawn)


def test_gradients_that_are_lost_under_fsdp2_are_warned_about() -> None:
    accumulation = TokenWeightedAccumulation()
    accumulation.add(1.0, 1)
    with pytest.warns(UserWarning, match="without these batches"):
        checkpoint = written(replace(OWN, sharded=True), accumulation)
    assert "windows" not in checkpoint["animelm_processes"]


def test_a_single_process_gathers_its_own_object() -> None:
    assert gather_from_processes({"rank": 0}) == [{"rank": 0}]


def test_the_same_random_numbers_are_drawn_again() -> None:
    torch.rand(3)
    state = random_state()
    first = torch.rand(5)
    set_random_state(state)
    assert torch.equal(torch.rand(5), first)
