"""What a checkpoint keeps beside weights and optimiser states, so that a run goes on from it.

Every process has random numbers of its own, and inside an accumulation gradients of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.nn import Parameter

from animelm.errors import UserError
from animelm.train.accumulation import Window
from animelm.train.processes import of_all
from animelm.train.random_state import random_state, set_random_state

_ELSE = "else start from its run's adapter (--model.init_adapter)"


@dataclass(frozen=True)
class Setup:
    """What a resumed run must share with the run that wrote its checkpoint.

    Attributes:
        processes: how many train together.
        sharded: whether they share the model (FSDP2).
        settings: options under --model that optimiser states and schedule are made for.
    """

    processes: int
    sharded: bool
    settings: Mapping[str, object]


def state_of_all(setup: Setup, window: Window, trained: list[Parameter]) -> dict[str, Any]:
    """What to keep; all processes must ask at the same time."""
    state = {
        "sharded": setup.sharded,
        "random_states": of_all(random_state()),
        "settings": dict(setup.settings),
    }
    if window.batches and not setup.sharded:
        state["windows"] = of_all(window.state(trained))
    elif window.batches:
        rank_zero_warn(
            "this checkpoint is written between two optimiser steps, and FSDP2 does not give the "
            "gradients accumulated so far: a run resumed from it takes its first step without "
            "these batches"
        )
    return state


def require_same_weights(saved: Mapping[str, Tensor], own: Mapping[str, Parameter]) -> None:
    """Looks whether a checkpoint's weights are those that this run trains.

    Args:
        saved: of the checkpoint, by name.
        own: all parameters, trained or not.

    Raises:
        UserError: one is missing on either side, or has another shape.
    """
    strange = [name for name in saved if name not in own or own[name].shape != saved[name].shape]
    strange += [n for n, parameter in own.items() if parameter.requires_grad and n not in saved]
    if strange:
        raise UserError(
            f"the checkpoint does not fit the settings: {len(strange)} of its weights are not "
            f"those trained here, such as {strange[0]}; base, targets, rank and init_mode must "
            "be those of the run that wrote it"
        )


def require_same_setup(state: Mapping[str, Any], own: Setup) -> None:
    """Looks whether what ``state_of_all`` returned is of such a run.

    Raises:
        UserError: the setups differ; settings that an older checkpoint does not name are not
            compared.
    """
    processes, sharded = len(state["random_states"]), state["sharded"]
    if (processes, sharded) != (own.processes, own.sharded):
        kind = "FSDP2" if sharded else "a strategy other than FSDP2"
        raise UserError(
            f"the checkpoint was written by {processes} processes under {kind}, and is resumed by "
            f"as many under the same; {_ELSE}"
        )
    written = state.get("settings", {})
    for name, value in own.settings.items():
        if name in written and written[name] != value:
            raise UserError(
                f"the checkpoint was trained with --model.{name}={written[name]}, and this run has "
                f"{value}; resume it with --model.{name}={written[name]}, {_ELSE}"
            )


def go_on(state: Mapping[str, Any], rank: int, window: Window, trained: list[Parameter]) -> None:
    """Puts this process's part of ``state_of_all``'s back."""
    set_random_state(state["random_states"][rank])
    if "windows" in state:
        window.restore(trained, **state["windows"][rank])
