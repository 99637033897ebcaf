"""The state of a resumed run, beside weights and optimizer states.

Every process has random numbers of its own, and between two optimizer steps gradients of its own.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, distributed
from torch.nn import Parameter

from animelm.errors import UserError
from animelm.train.accumulation import TokenWeightedAccumulation
from animelm.train.optimizer import OptimizerSettings

_KEY = "animelm_processes"  # in the checkpoint
_OTHERWISE = "or start a new run from that run's adapter (--model.adapter.init_from)"


@dataclass(frozen=True)
class TrainingSetup:
    """What a resumed run must share with the run that wrote its checkpoint.

    Attributes:
        processes: how many train together.
        sharded: whether they share the model (FSDP2).
        settings: options under --model that optimizer states and schedule depend on.
        trained_on: what decides which data are trained on, by name. The adapter's record says it of
            the whole run.
    """

    processes: int
    sharded: bool
    settings: Mapping[str, object]
    trained_on: Mapping[str, object] = field(default_factory=dict)

    @staticmethod
    def of(
        processes: int,
        sharded: bool,
        dtype: torch.dtype,
        optimizer: OptimizerSettings,
        trained_on: Mapping[str, object],
    ) -> "TrainingSetup":
        """The setup of a run that computes in ``dtype``."""
        settings = {f"optimizer.{name}": value for name, value in asdict(optimizer).items()}
        settings["compute.dtype"] = str(dtype).removeprefix("torch.")
        return TrainingSetup(processes, sharded, settings, trained_on)


class ResumedState:
    """What a checkpoint holds for this run, from the time it is read until training starts."""

    def __init__(self) -> None:
        self._processes: dict[str, Any] = {}
        self._loaders: list[dict[str, Any]] = []

    def load(self, checkpoint: Mapping[str, Any], setup: TrainingSetup | None) -> None:
        """Reads the state from a checkpoint.

        Args:
            checkpoint: as Lightning loads it.
            setup: of this run; None if it does not train.

        Raises:
            UserError: the checkpoint was written with another setup.
        """
        if setup is not None and _KEY in checkpoint:
            self._processes = checkpoint[_KEY]
            require_same_setup(self._processes, setup)
        loop = checkpoint.get("loops", {}).get("fit_loop", {}).get("state_dict", {})
        self._loaders = loop.get("combined_loader", [])

    def restore(
        self,
        loader: Any,
        rank: int,
        accumulation: TokenWeightedAccumulation,
        trained: list[Parameter],
    ) -> None:
        """Restores data position, random numbers and accumulated gradients of this process.

        In a new run each process gets different random numbers instead: one seed gave all of them
        the same adapter, but their dropout must differ.
        """
        # Lightning restores the position when it makes the loader, and configure_optimizers has
        # asked for the loader's length before the checkpoint was read.
        for state in self._loaders:
            loader.load_state_dict(state)
        if self._processes:
            restore_process_state(self._processes, rank, accumulation, trained)
        elif rank:
            torch.manual_seed(torch.initial_seed() + rank)
        self._processes, self._loaders = {}, []


def save_process_states(
    checkpoint: dict[str, Any],
    setup: TrainingSetup,
    accumulation: TokenWeightedAccumulation,
    trained: list[Parameter],
) -> None:
    """Adds the state of all processes to a checkpoint; all processes must call it together."""
    state = {
        "sharded": setup.sharded,
        "random_states": gather_from_processes(random_state()),
        "settings": dict(setup.settings),
        "trained_on": dict(setup.trained_on),
    }
    if accumulation.batches and not setup.sharded:
        state["windows"] = gather_from_processes(accumulation.state(trained))
    elif accumulation.batches:
        rank_zero_warn(
            "this checkpoint is written between two optimizer steps, and FSDP2 does not give "
            "access to the gradients accumulated so far: a run resumed from it takes its first "
            "step without these batches"
        )
    checkpoint[_KEY] = state


def require_same_weights(saved: Mapping[str, Tensor], own: Mapping[str, Parameter]) -> None:
    """Checks that a checkpoint's weights are those that this run trains.

    Args:
        saved: weights of the checkpoint, by name.
        own: all parameters of this run, trained or not.

    Raises:
        UserError: a weight is missing on either side, or has another shape.
    """
    unknown = [name for name in saved if name not in own or own[name].shape != saved[name].shape]
    unknown += [n for n, parameter in own.items() if parameter.requires_grad and n not in saved]
    if unknown:
        raise UserError(
            f"the checkpoint does not fit the settings: {len(unknown)} weights differ from those "
            f"trained here, such as {unknown[0]}; base, lora.target_modules, lora.rank and "
            "adapter.init_mode must be those of the run that wrote it"
        )


def require_same_setup(state: Mapping[str, Any], own: TrainingSetup) -> None:
    """Checks the setup that ``save_process_states`` recorded.

    Raises:
        UserError: the setups differ. Settings that an older checkpoint does not record are not
            compared.
    """
    processes, sharded = len(state["random_states"]), state["sharded"]
    if (processes, sharded) != (own.processes, own.sharded):
        kind = "FSDP2" if sharded else "a strategy other than FSDP2"
        raise UserError(
            f"the checkpoint was written by {processes} process(es) under {kind}, and can only be "
            f"resumed with the same number of processes and strategy; do so, {_OTHERWISE}"
        )
    written = state.get("settings", {})
    for name, value in own.settings.items():
        if name in written and written[name] != value:
            raise UserError(
                f"the checkpoint was trained with --model.{name}={written[name]}, and this run has "
                f"{value}; resume it with --model.{name}={written[name]}, {_OTHERWISE}"
            )
    before = state.get("trained_on", own.trained_on)
    for name in sorted({*before, *own.trained_on}):
        was, present = before.get(name), own.trained_on.get(name)
        if was != present:
            raise UserError(
                f"the checkpoint was trained with {name}={was}, and this run has {present}: what "
                f"was trained could be scored as held out; resume it with the same, {_OTHERWISE}"
            )


def restore_process_state(
    state: Mapping[str, Any],
    rank: int,
    accumulation: TokenWeightedAccumulation,
    trained: list[Parameter],
) -> None:
    """Restores one process's part of what ``save_process_states`` saved."""
    set_random_state(state["random_states"][rank])
    if "windows" in state:
        accumulation.restore(trained, **state["windows"][rank])


def gather_from_processes(own: Any) -> list[Any]:
    """The objects of all processes, in the order of ranks; all must call it together."""
    if not distributed.is_initialized():
        return [own]
    gathered: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(gathered, own)
    return gathered


def random_state() -> dict[str, Any]:
    """The states of torch's generators, which dropout draws from: uint8 tensors, CPU and CUDA."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_random_state(state: dict[str, Any]) -> None:
    """Restores what ``random_state`` returned; a different number of GPUs keep their states."""
    torch.set_rng_state(state["cpu"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
