"""Optimizers that step on this process's shard of each parameter.

bitsandbytes does not support sharded tensors, and torch's AdamW is slow on them. Both compute
element by element (or in blocks of 256), so each shard can be stepped alone.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn import Parameter
from torch.optim import Optimizer

from animelm.train.optimizers.joined import JoinedAdamW8bit


class _OnShards(Optimizer):
    """A mixin that gives the next optimizer in the bases this process's shards as plain parameters.

    Outside ``step`` the groups hold the sharded parameters themselves, so that gradients are
    clipped by their norm over all processes. States are kept, saved and loaded for the shards only.
    """

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        # Lightning's closure runs the backward pass and clips: it needs the sharded parameters.
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with self._parts():
            super().step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        with self._parts():
            return super().state_dict()

    def load_state_dict(self, state_dict: dict[str, Any], *options: Any) -> None:
        with self._parts():
            super().load_state_dict(state_dict, *options)

    @contextmanager
    def _parts(self) -> Iterator[None]:
        sharded = [group["params"] for group in self.param_groups]
        for group in self.param_groups:
            group["params"] = [self._part(parameter) for parameter in group["params"]]
        try:
            yield
        finally:
            for group, parameters in zip(self.param_groups, sharded, strict=True):
                group["params"] = parameters

    @torch.no_grad()
    def _part(self, parameter: Parameter) -> Parameter:
        known: dict[Parameter, Parameter] = self.__dict__.setdefault("_known_parts", {})
        local = _local(parameter)
        # The same object during the whole run, because the optimizer finds its states by it.
        part = known.setdefault(parameter, Parameter(local))
        part.data = local
        # A process whose shard is empty has nothing to step.
        has_gradient = parameter.grad is not None and local.numel()
        part.grad = _local(cast(Tensor, parameter.grad)) if has_gradient else None
        return part


def _local(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


class ShardAdamW(_OnShards, torch.optim.AdamW):
    """torch's AdamW on shards."""


class ShardAdamW8bit(_OnShards, JoinedAdamW8bit):
    """AdamW with 8-bit states on shards; blocks of 256 do not cross shards."""
