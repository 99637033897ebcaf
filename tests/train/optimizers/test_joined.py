"""Joint steps are those of bitsandbytes on one tensor after the other."""

from collections.abc import Iterator
from itertools import pairwise

import bitsandbytes as bnb
import pytest
import torch
from measuring.operations import CountOperations
from torch import nn
from torch.nn import Parameter

from animelm.train.optimizers.joined import JoinedAdamW8bit

# States in 32 bits; in 8 bits with whole blocks; in 8 bits with a block that is not full.
SHAPES = [(16, 64), (5,), (128, 64), (16, 320), (81, 51), (16, 256), (64, 128), (7, 9)]
Optimizer = type[bnb.optim.AdamW8bit]


def weights() -> list[Parameter]:
    torch.manual_seed(0)
    return [Parameter(torch.randn(shape)) for shape in SHAPES]


def give_gradients(parameters: list[Parameter], step: int, without: int | None = None) -> None:
    torch.manual_seed(step)
    for number, parameter in enumerate(parameters):
        gradient = torch.randn(parameter.shape)
        parameter.grad = None if number == without else gradient


def new_optimizer(kind: Optimizer, parameters: list[Parameter]) -> bnb.optim.AdamW8bit:
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": 0.1},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return kind(groups, lr=1e-2, betas=(0.9, 0.99))


def trained(
    kind: Optimizer, left_out: dict[int, int], steps: int = 4
) -> tuple[list[Parameter], bnb.optim.AdamW8bit]:
    """Weights after some steps, and their optimizer."""
    parameters = weights()
    optimizer = new_optimizer(kind, parameters)
    for step in range(steps):
        give_gradients(parameters, step, left_out.get(step))
        optimizer.step()
    return parameters, optimizer


def tensors_of(states: dict) -> Iterator[torch.Tensor]:
    for _, value in sorted(states.items()):
        if isinstance(value, dict):
            yield from tensors_of(value)
        elif isinstance(value, torch.Tensor):
            yield value
        else:
            yield torch.tensor(value)


@pytest.mark.parametrize("most_values", [JoinedAdamW8bit.most_values, 10_000])
@pytest.mark.parametrize("left_out", [{}, {1: 2}, {0: 0, 2: 5}], ids=str)
def test_weights_and_states_are_those_of_separate_steps_to_the_bit(
    most_values: int, left_out: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(JoinedAdamW8bit, "most_values", most_values)
    ours, joined = trained(JoinedAdamW8bit, left_out)
    theirs, separate = trained(bnb.optim.AdamW8bit, left_out)
    assert all(map(torch.equal, ours, theirs))
    saved, expected = joined.state_dict(), separate.state_dict()
    assert saved["param_groups"] == expected["param_groups"]
    own, other = (list(tensors_of(each["state"])) for each in (saved, expected))
    assert len(own) == len(other)
    assert all(map(torch.equal, own, other))


@pytest.mark.parametrize(
    "kinds", [(bnb.optim.AdamW8bit, JoinedAdamW8bit), (JoinedAdamW8bit, bnb.optim.AdamW8bit)]
)
def test_a_run_goes_on_from_the_states_of_either(kinds: tuple[Optimizer, Optimizer]) -> None:
    expected, _ = trained(bnb.optim.AdamW8bit, {}, steps=4)
    parameters, before = trained(kinds[0], {}, steps=2)
    after = new_optimizer(kinds[1], parameters)
    after.load_state_dict(before.state_dict())
    for step in (2, 3):
        give_gradients(parameters, step)
        after.step()
    assert all(map(torch.equal, parameters, expected))


def test_states_that_are_loaded_take_the_place_of_those_in_use() -> None:
    parameters, optimizer = trained(JoinedAdamW8bit, {}, steps=1)
    start, states = [p.detach().clone() for p in parameters], optimizer.state_dict()
    ends = []
    for saved in (states, None):
        if saved:  # before the second pass the states have moved on
            optimizer.load_state_dict(saved)
        for parameter, value in zip(parameters, start, strict=True):
            parameter.data.copy_(value)
        give_gradients(parameters, 1)
        optimizer.step()
        ends.append([parameter.detach().clone() for parameter in parameters])
    assert not torch.equal(ends[0][0], ends[1][0])
    expected, _ = trained(bnb.optim.AdamW8bit, {}, steps=2)
    assert all(map(torch.equal, ends[0], expected))


def operations(tensors: int) -> int:
    """Operations of clipping, step and zeroing."""
    layers = nn.ParameterList(torch.ones(16, 256) for _ in range(tensors))
    optimizer = JoinedAdamW8bit(layers.parameters())
    for _ in range(2):  # the first step makes the states
        for parameter in layers:
            parameter.grad = torch.ones_like(parameter)
        with CountOperations() as found:
            nn.utils.clip_grad_norm_(layers, 1.0)
            optimizer.step()
            optimizer.zero_grad()
    return found.total


def test_a_step_takes_as_many_operations_for_many_tensors_as_for_two() -> None:
    counts = [operations(tensors) for tensors in (2, 64, 128)]
    assert all(one == other for one, other in pairwise(counts))
    assert counts[0] <= 16
