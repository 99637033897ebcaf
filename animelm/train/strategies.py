"""Lightning's strategies for several processes, adapted to a model that is mostly frozen.

configs/strategy/*.yaml select them.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import lightning.pytorch as pl
import torch.distributed
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.utils._pytree import tree_map

from animelm.errors import UserError
from animelm.train.fsdp.sharding import copy_whole, whole_tensors
from animelm.train.fsdp.states import SHARDS, divide_states

# Longer than what one process does alone, such as writing a checkpoint of several GB.
_TIMEOUT_MINUTES, _LONGEST_MINUTES = 15.0, 7 * 24 * 60.0


def _timeout(minutes: float) -> timedelta:
    if not 0 < minutes <= _LONGEST_MINUTES:
        raise UserError(
            f"timeout_minutes is {minutes}; expected more than 0, and {_LONGEST_MINUTES} at most"
        )
    return timedelta(minutes=minutes)


def _own_copy(value: Any) -> Any:
    """A tensor's values on the CPU: sending a view of a joint tensor would send all of that."""
    return value.to("cpu", copy=True) if isinstance(value, Tensor) else value


class DataParallelStrategy(DDPStrategy):
    """Every process holds the whole model; gradients are averaged.

    Args:
        process_group_backend: nccl, gloo, …; None selects the backend that suits the device.
        timeout_minutes: Time after which a process that waits for another one ends with an error.

    Raises:
        UserError: ``timeout_minutes`` is not above 0.
    """

    def __init__(
        self, process_group_backend: str | None = None, timeout_minutes: float = _TIMEOUT_MINUTES
    ) -> None:
        super().__init__(
            process_group_backend=process_group_backend,
            timeout=_timeout(timeout_minutes),
            forward_sync_buffers=False,  # they never change
        )

    def setup(self, trainer: pl.Trainer) -> None:
        # Every process has read the base itself, so the 13 GB of a 20B need not be sent.
        module = trainer.lightning_module
        frozen = [name for name, p in module.named_parameters() if not p.requires_grad]
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(module, frozen)
        super().setup(trainer)


class FullyShardedStrategy(ModelParallelStrategy):
    """Every process holds its shard of each layer (FSDP2); see ``shard_layers``.

    A checkpoint is one file that holds the trained weights, gathered from all processes, and the
    optimizer states of each process.

    Args:
        process_group_backend: nccl, gloo, …; None selects the backend that suits the device.
        timeout_minutes: Time after which a process that waits for another one ends with an error.

    Raises:
        UserError: ``timeout_minutes`` is not above 0.
    """

    def __init__(
        self, process_group_backend: str | None = None, timeout_minutes: float = _TIMEOUT_MINUTES
    ) -> None:
        super().__init__(
            tensor_parallel_size=1,
            save_distributed_checkpoint=False,
            process_group_backend=process_group_backend,
            timeout=_timeout(timeout_minutes),
        )

    def setup_environment(self) -> None:
        # Lightning's "auto" would be the number of machines.
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    def lightning_module_state_dict(self) -> dict[str, Tensor]:
        """The full trained weights; the frozen base is read again from its own files."""
        assert self.lightning_module is not None
        parameters = self.lightning_module.named_parameters()
        return whole_tensors((name, p) for name, p in parameters if p.requires_grad)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The states of all processes on the first process; None on the others."""
        if isinstance(optimizer, LightningOptimizer):
            optimizer = optimizer.optimizer
        own = tree_map(_own_copy, optimizer.state_dict())
        states = [None] * self.world_size if self.is_global_zero else None
        torch.distributed.gather_object(own, states)
        return {SHARDS: states}

    @property
    def lightning_restore_optimizer(self) -> bool:
        return True

    def load_checkpoint(
        self, checkpoint_path: Any, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """The content of the file, from which each process then loads its part."""
        return self.checkpoint_io.load_checkpoint(checkpoint_path, weights_only=weights_only)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        assert self.lightning_module is not None
        own = dict(self.lightning_module.named_parameters())
        for name, saved in checkpoint["state_dict"].items():
            copy_whole(saved, own[name])

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Each process loads its own states, or its part of those of whole parameters."""
        for optimizer, saved in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            if SHARDS in saved:
                own = saved[SHARDS][self.global_rank]
            else:
                own = divide_states(saved, optimizer.param_groups)
            optimizer.load_state_dict(own)
