"""Optimizer states for another number of processes: joined from their shards, and divided again.

FSDP2 divides each tensor along its first dimension, in the order of the processes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from bitsandbytes import functional as bnb
from torch import Tensor
from torch.nn import Parameter

from animelm.errors import UserError
from animelm.train.fsdp.sharding import own_part

SHARDS = "shards"
"""Key of a checkpoint's optimizer states under which those of all processes lie in a list."""

_IN_8_BITS = "__bnb_optimizer_quant_state__"  # where bitsandbytes keeps a parameter's states
_BLOCK, _SMALLEST = 256, 4096  # values; bitsandbytes keeps smaller states in 32 bits


def join_states(saved: Mapping[str, Any]) -> dict[str, Any]:
    """The states of whole parameters; 8-bit ones are given in 32 bits, with their code books.

    Args:
        saved: under ``SHARDS``, the ``state_dict()`` of each process's optimizer.

    Raises:
        UserError: they are not the states of one optimizer's shards.
    """
    try:
        shards = saved[SHARDS]
        numbers = sorted({number for shard in shards for number in shard["state"]})
        found = [shard["state"] for shard in shards]
        # A process whose shard is empty has no state.
        states = {n: _joined([state[n] for state in found if n in state]) for n in numbers}
        return {"state": states, "param_groups": shards[0]["param_groups"]}
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"the optimizer states in the checkpoint cannot be joined ({error}); resume it with as "
            "many processes as wrote it"
        ) from error


def divide_states(whole: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The states of this process's shards, as its optimizer loads them.

    Args:
        whole: as ``join_states`` gives it, or of an optimizer of whole parameters.
        groups: ``param_groups`` of the optimizer that loads them.
    """
    parameters = [parameter for group in groups for parameter in group["params"]]
    numbers = [number for group in whole["param_groups"] for number in group["params"]]
    states = {
        number: _divided(_in_32_bits(whole["state"][number]), parameter)
        for number, parameter in zip(numbers, parameters, strict=True)
        if number in whole["state"]
    }
    return {**whole, "state": states}


def quantize_states(whole: Mapping[str, Any]) -> dict[str, Any]:
    """The joined states, with those in 8 bits that an optimizer of whole parameters keeps so."""
    states = {number: _in_8_bits(state) for number, state in whole["state"].items()}
    return {**whole, "state": states}


def _joined(states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    plain = [_in_32_bits(state) for state in states]
    books: dict[str, Any] = {}
    for state in plain:
        books |= state
    return {
        name: torch.cat([state[name] for state in plain]) if _is_divided(name, value) else value
        for name, value in books.items()
    }


def _divided(state: Mapping[str, Any], parameter: Parameter) -> dict[str, Any]:
    return _in_8_bits(
        {
            name: own_part(value, parameter) if _is_divided(name, value) else value
            for name, value in state.items()
        }
    )


def _is_divided(name: str, value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0 and not name.startswith("qmap")


def _in_32_bits(state: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: value for name, value in state.items() if name != _IN_8_BITS}
    values |= state.get(_IN_8_BITS, {})
    for number in "12":
        scales = values.pop(f"absmax{number}", None)
        if scales is not None:
            values[f"state{number}"] = bnb.dequantize_blockwise(
                values[f"state{number}"],
                absmax=scales,
                code=values[f"qmap{number}"],
                blocksize=_BLOCK,
            )
    return values


def _in_8_bits(state: Mapping[str, Any]) -> dict[str, Any]:
    """States with code books are quantized if they are large enough; the books are dropped else."""
    values = dict(state)
    for number in "12":
        book = values.pop(f"qmap{number}", None)
        if book is None or values[f"state{number}"].numel() < _SMALLEST:
            continue
        exact = values[f"state{number}"].contiguous()
        quantized, scales = bnb.quantize_blockwise(exact, code=book, blocksize=_BLOCK)
        values |= {
            f"state{number}": quantized,
            f"qmap{number}": book,
            f"absmax{number}": scales.absmax,
        }
    return values
