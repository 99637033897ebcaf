"""The state of a resumed run, beside weights and optimizer states.

Every process has random numbers of its own, and between two optimizer steps gradients of its own.
"""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, distributed
from torch.nn import Parameter

from animelm.errors import UserError
from animelm.train.accumulation import TokenWeightedAccumulation
from animelm.train.checkpoints.processes import adapt_to_processes
from animelm.train.checkpoints.setup import DATA, TrainingSetup, require_same_settings

_KEY = "animelm_processes"  # in the checkpoint


class ResumedState:
    """What a checkpoint holds for this run, from the time it is read until training starts."""

    def __init__(self) -> None:
        self._processes: dict[str, Any] = {}
        self._loaders: list[dict[str, Any]] = []
        self._other_data = False

    def load(self, checkpoint: dict[str, Any], setup: TrainingSetup | None) -> None:
        """Reads the state from a checkpoint, before Lightning reads its own from it.

        Args:
            checkpoint: as Lightning loads it; another number of processes changes its counts.
            setup: of this run; None if it does not train.

        Raises:
            UserError: the checkpoint was written with another setup.
        """
        if setup is not None and _KEY in checkpoint:
            self._processes, self._other_data = checkpoint[_KEY], DATA in setup.allowed
            require_same_settings(self._processes, setup)
            adapt_to_processes(checkpoint, self._processes, setup)
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
            if self._other_data:
                state = state | {"settings": loader.state_dict()["settings"]}
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
        "batches": {
            "blocks_per_batch": setup.blocks_per_batch,
            "accumulated": setup.accumulated,
        },
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


def restore_process_state(
    state: Mapping[str, Any],
    rank: int,
    accumulation: TokenWeightedAccumulation,
    trained: list[Parameter],
) -> None:
    """Restores one process's part of what ``save_process_states`` saved.

    A process that the earlier run did not have draws numbers of its own.
    """
    if rank < len(state["random_states"]):
        set_random_state(state["random_states"][rank])
    else:
        torch.manual_seed(torch.initial_seed() + rank)
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
