"""Linear layers that bitsandbytes has packed, as unsloth publishes gpt-oss: an expert a layer.

Beside ``….weight`` uint8 [O · I / 2, 1] stand its ``absmax``, the level table ``quant_map`` and
``quant_state.bitsandbytes__nf4``, a JSON text of shape, block size and types. The scales may be
quantised in turn (``nested_absmax``, ``nested_quant_map``); this is undone.

Legend: O output width, I input width.
"""

import re

import torch
from bitsandbytes.functional import QuantState, dequantize_blockwise
from torch import Tensor, nn

from animelm.model.filling import Filling
from animelm.model.layouts.plain import in_transformers
from animelm.model.nf4 import BLOCK, dequantize_nf4
from animelm.model.quantize import Linear4bit
from animelm.model.shards import Checkpoint, StoredTensor

_STATE = "quant_state.bitsandbytes__nf4"
_PARTS = ("absmax", "quant_map", "nested_absmax", "nested_quant_map", _STATE)
_PART_NAME = re.compile(r"(?P<weight>.+\.weight)\.(absmax|quant_map|nested_\w+|quant_state\..+)")


def place_bitsandbytes(tensor: StoredTensor, checkpoint: Checkpoint, filling: Filling) -> bool:
    """Takes a packed weight together with the tensors that describe it."""
    part = _PART_NAME.fullmatch(tensor.name)
    if part:
        weight = checkpoint.beside(tensor, part["weight"])
        checkpoint.beside(weight, f"{weight.name}.{_STATE}")
        return True
    if f"{tensor.name}.{_STATE}" not in checkpoint:
        return False
    path = in_transformers(tensor.name).removesuffix(".weight")
    layer = filling.module(path, tensor)
    state, packed = _state(tensor, checkpoint), tensor.read()
    shape = _checked_shape(packed, state, layer, tensor)
    if isinstance(layer, Linear4bit):
        filling.packed(path, packed, _scales(state), tensor)
    else:
        values = dequantize_nf4(packed, _scales(state), torch.empty(shape, dtype=state.dtype))
        filling.value(path, "weight", values, tensor)
    return True


def _state(tensor: StoredTensor, checkpoint: Checkpoint) -> QuantState:
    nested = f"{tensor.name}.nested_absmax" in checkpoint
    parts = [part for part in _PARTS if nested or not part.startswith("nested")]
    stored = {part: checkpoint.beside(tensor, f"{tensor.name}.{part}") for part in parts}
    tensors = {part: source.read() for part, source in stored.items()}
    try:
        return QuantState.from_dict(tensors, device=torch.device("cpu"))
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise stored[_STATE].wrong(f"is no state that bitsandbytes wrote ({error!r})") from error


def _checked_shape(
    packed: Tensor, state: QuantState, layer: nn.Module, source: StoredTensor
) -> tuple[int, int]:
    assert isinstance(layer, nn.Linear)
    expected = (layer.out_features, layer.in_features)
    if tuple(state.shape or ()) != expected:
        raise source.wrong(f"holds a weight of {tuple(state.shape or ())}; expected {expected}")
    if (state.quant_type, state.blocksize) != ("nf4", BLOCK):
        raise source.wrong(
            f"is {state.quant_type} in blocks of {state.blocksize}; expected nf4 in blocks of "
            f"{BLOCK}"
        )
    count = layer.out_features * layer.in_features
    if packed.dtype != torch.uint8 or packed.numel() != count // 2:
        raise source.unlike(packed, f"({count // 2}, 1) uint8")
    if state.absmax.numel() != -(-count // BLOCK):
        raise source.wrong(
            f"has {state.absmax.numel()} scales (absmax); expected {-(-count // BLOCK)}"
        )
    return expected


def _scales(state: QuantState) -> Tensor:
    if not state.nested:
        return state.absmax.float()
    return dequantize_blockwise(state.absmax, state.state2).float() + state.offset
