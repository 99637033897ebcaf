"""Counts the operations that a piece of work hands to the device, and the times it waits for it.

Views and mere allocations move no data and are counted apart. Waits are counted on a CPU as they
would be on a GPU: values read by Python, and operators whose result's size depends on values.
Operators of our own count as one, and so do Triton kernels that run in its interpreter.
"""

import sys
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

_ALLOCATIONS = ("aten::empty", "aten::new_empty")
# Operators that look at values on the host, because these decide how large the result is.
_WAITING = {
    "aten::_local_scalar_dense",
    "aten::nonzero",
    "aten::masked_select",
    "aten::bincount",
    "aten::_unique2",
    "aten::repeat_interleave.Tensor",
}
_READS = {Tensor.tolist, Tensor.numpy, Tensor.cpu}


@dataclass
class Operations:
    """What has been counted.

    Attributes:
        moving: operations that move data, by name.
        parts: the same operations, by the part of the model whose code called them.
        views: views and allocations.
        host_syncs: waits for the device, by what waits.
    """

    moving: Counter[str] = field(default_factory=Counter)
    parts: Counter[str] = field(default_factory=Counter)
    views: int = 0
    host_syncs: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """Operations that move data."""
        return self.moving.total()


class _Dispatched(TorchDispatchMode):
    """Counts what reaches the device, except seeds, which are drawn on the CPU on purpose."""

    def __init__(self, found: Operations, parts: dict[str, str]) -> None:
        super().__init__()
        self.found, self.parts = found, parts
        self.seeds: dict[int, Tensor] = {}  # by address; they are held, so that it stays theirs

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        schema = function._schema
        if schema.name == "aten::randint":
            self.seeds[result.data_ptr()] = result
            return result
        if args and isinstance(args[0], Tensor) and args[0].data_ptr() in self.seeds:
            return result
        name = f"{schema.name}.{schema.overload_name}" if schema.overload_name else schema.name
        returns_view = any(
            result.alias_info and not result.alias_info.is_write for result in schema.returns
        )
        if returns_view or schema.name.startswith(_ALLOCATIONS):
            self.found.views += 1
        else:
            self.found.moving[name] += 1
            self.found.parts[_part(self.parts)] += 1
        if {name, schema.name} & _WAITING or _selects_by_mask(schema.name, args):
            self.found.host_syncs[name] += 1
        return result


def _part(parts: dict[str, str]) -> str:
    """The part of the innermost module on the stack that is named in ``parts``."""
    frame: FrameType | None = sys._getframe()
    while frame := frame.f_back:
        name = str(frame.f_globals.get("__name__"))
        for module, part in parts.items():
            if name.startswith(module):
                return part
    return "other"


def _selects_by_mask(name: str, args: tuple[Any, ...]) -> bool:
    if not name.startswith(("aten::index", "aten::_index_put")) or len(args) < 2:
        return False
    indices = args[1] if isinstance(args[1], (list, tuple)) else ()
    return any(isinstance(index, Tensor) and index.dtype == torch.bool for index in indices)


class _Called(TorchFunctionMode):
    """Finds values that Python reads without an operator."""

    def __init__(self, found: Operations) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in _READS:
            self.found.host_syncs[function.__name__] += 1
        return function(*args, **(kwargs or {}))


def _interpreted_kernels(
    found: Operations, parts: dict[str, str]
) -> AbstractContextManager[object]:
    """Counts launches; what the interpreter does to compute them is none of the device's work."""
    from triton.runtime.interpreter import GridExecutor

    launch = GridExecutor.__call__

    def counted(executor: Any, *arguments: Any, **options: Any) -> None:
        found.moving["triton kernel"] += 1
        found.parts[_part(parts)] += 1
        with _disable_current_modes(), torch._C.DisableTorchFunction():
            launch(executor, *arguments, **options)

    return patch.object(GridExecutor, "__call__", counted)


class CountOperations:
    """Counts while it is entered: ``with CountOperations() as found: …``.

    Args:
        parts: names of parts, by the beginning of the names of the modules that compute them.
    """

    def __init__(self, parts: dict[str, str] | None = None) -> None:
        self.parts = parts or {}

    def __enter__(self) -> Operations:
        found = Operations()
        self._modes = [_Called(found), _Dispatched(found, self.parts)]
        if "triton" in sys.modules:
            self._modes.append(_interpreted_kernels(found, self.parts))
        for mode in self._modes:
            mode.__enter__()
        return found

    def __exit__(self, *error: object) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(*error)
