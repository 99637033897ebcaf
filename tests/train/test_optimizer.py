import bitsandbytes as bnb
import pytest
import torch
from torch.nn import Parameter

from animelm.errors import UserError
from animelm.train.optimizer import OptimizerSettings, build_optimizer, build_schedule


def rates(settings: OptimizerSettings, steps: int) -> list[float]:
    """The learning rate of each step."""
    optimizer = build_optimizer([Parameter(torch.zeros(2, 2))], settings)
    schedule = build_schedule(optimizer, settings, steps)
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return found


def test_the_rate_rises_to_its_peak_and_falls_to_its_final_share() -> None:
    settings = OptimizerSettings(
        kind="adamw", learning_rate=1.0, warmup_share=0.2, final_share=0.25
    )
    found = rates(settings, 20)
    assert found[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert found[3:] == sorted(found[3:], reverse=True)
    assert found[-1] == pytest.approx(0.25)


@pytest.mark.parametrize("steps", [1, 2, 10])
def test_no_step_of_a_run_is_taken_at_a_rate_of_zero(steps: int) -> None:
    settings = OptimizerSettings(kind="adamw", learning_rate=1.0)
    assert min(rates(settings, steps)) >= settings.final_share


def test_matrices_decay_and_vectors_do_not() -> None:
    matrix, vector = Parameter(torch.ones(2, 2)), Parameter(torch.ones(3))
    frozen = Parameter(torch.ones(2, 2), requires_grad=False)
    settings = OptimizerSettings(kind="adamw", weight_decay=0.5)
    optimizer = build_optimizer([matrix, vector, frozen], settings)
    decays = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert decays == {id(matrix): 0.5, id(vector): 0.0}


def test_the_default_keeps_its_states_in_8_bits() -> None:
    parameter = Parameter(torch.ones(128, 64))
    optimizer = build_optimizer([parameter], OptimizerSettings())
    assert isinstance(optimizer, bnb.optim.AdamW8bit)
    parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    states = optimizer.state[parameter]
    assert states["state1"].dtype == states["state2"].dtype == torch.uint8


def test_eight_bit_steps_stay_near_those_of_32_bits() -> None:
    moved = []
    for kind in ("adamw", "adamw_8bit"):
        torch.manual_seed(0)
        parameter = Parameter(torch.randn(128, 64))
        optimizer = build_optimizer([parameter], OptimizerSettings(kind, learning_rate=1e-2))
        start = parameter.detach().clone()
        for _ in range(5):
            optimizer.zero_grad()
            (parameter - 1).square().sum().backward()
            optimizer.step()
        moved.append((parameter.detach() - start).flatten())
    assert torch.nn.functional.cosine_similarity(*moved, dim=0) > 0.99


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("warmup_share", 1.5),
        ("final_share", -0.1),
    ],
)
def test_a_value_out_of_its_range_is_named(setting: str, value: float) -> None:
    with pytest.raises(UserError, match=f"{setting} is {value}; expected"):
        OptimizerSettings(**{setting: value})


@pytest.mark.parametrize(
    "setting", [{"learning_rate": 0.0}, {"weight_decay": -1.0}, {"beta2": 1.5}, {"beta2": -0.1}]
)
def test_a_setting_out_of_its_range_is_named(setting: dict[str, float]) -> None:
    [(name, value)] = setting.items()
    with pytest.raises(UserError, match=f"{name} is {value}; expected"):
        OptimizerSettings(**setting)
