"""Linear layers that bitsandbytes has packed, as unsloth publishes gpt-oss: an expert a layer.

Beside ``….weight`` uint8 [O · I / 2, 1] stand its ``absmax``, the level table ``quant_map`` and
``quant_state.bitsandbytes__nf4``, a JSON text of shape, block size and types. The scales may be
quantised in turn (``nested_absmax``, ``nested_quant_map``); this is undone, unless the model holds
its own so.

Legend: O output width, I input width.
"""

import math
import re

import torch
from bitsandbytes.functional import QuantState, dequantize_blockwise
from torch import Tensor, nn

from animelm.model.checkpoint.formats.plain import in_transformers
from animelm.model.checkpoint.reader import Checkpoint, StoredTensor
from animelm.model.checkpoint.weight_loader import Filling
from animelm.model.quantization.double_quantization import NESTED_BLOCK, NestedScales, nested_levels
from animelm.model.quantization.linear4bit import Linear4bit, LinearDouble4bit
from animelm.model.quantization.nf4 import BLOCK, dequantize_nf4

_STATE = "quant_state.bitsandbytes__nf4"
_PARTS = ("absmax", "quant_map", _STATE)
_NESTED_PARTS = ("nested_absmax", "nested_quant_map")
# Codes of nested scales are bytes, and each byte has a level.
_NESTED_LEVELS = 256
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
    parts = _parts(tensor, checkpoint)
    state, packed = _state(parts), tensor.read()
    shape = _checked_shape(packed, state, layer, tensor)
    scales = _scales(state, parts, -(-math.prod(shape) // BLOCK))
    if isinstance(layer, Linear4bit):
        filling.packed(path, packed, _stored_scales(state, scales, layer), tensor)
    else:
        values = dequantize_nf4(packed, scales, torch.empty(shape, dtype=state.dtype))
        filling.value(path, "weight", values, tensor)
    return True


def _parts(tensor: StoredTensor, checkpoint: Checkpoint) -> dict[str, StoredTensor]:
    nested = any(f"{tensor.name}.{part}" in checkpoint for part in _NESTED_PARTS)
    names = _PARTS + (_NESTED_PARTS if nested else ())
    return {part: checkpoint.beside(tensor, f"{tensor.name}.{part}") for part in names}


def _state(parts: dict[str, StoredTensor]) -> QuantState:
    tensors = {part: source.read() for part, source in parts.items()}
    try:
        return QuantState.from_dict(tensors, device=torch.device("cpu"))
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise parts[_STATE].wrong(f"is no state that bitsandbytes wrote ({error!r})") from error


def _checked_shape(
    packed: Tensor, state: QuantState, layer: nn.Module, source: StoredTensor
) -> tuple[int, int]:
    if not isinstance(layer, nn.Linear):
        raise source.wrong(
            f"is packed in 4 bits, and the model has a {type(layer).__name__} there; expected "
            "16 or 32 bits"
        )
    expected = (layer.out_features, layer.in_features)
    if tuple(state.shape or ()) != expected:
        raise source.wrong(f"holds a weight of {tuple(state.shape or ())}; expected {expected}")
    if (state.quant_type, state.blocksize) != ("nf4", BLOCK):
        raise source.wrong(
            f"is {state.quant_type} in blocks of {state.blocksize}; expected nf4 in blocks of "
            f"{BLOCK}"
        )
    if state.dtype not in (torch.float16, torch.bfloat16, torch.float32):
        raise source.wrong(f"was packed from {state.dtype}; expected a float type of 16 or 32 bits")
    count = layer.out_features * layer.in_features
    if packed.dtype != torch.uint8 or packed.numel() != count // 2:
        raise source.unlike(packed, f"({count // 2}, 1) uint8")
    return expected


def _scales(state: QuantState, parts: dict[str, StoredTensor], count: int) -> Tensor:
    """Float32 [count]; bitsandbytes' kernels read as far as they are told, so all is checked."""
    if not state.nested:
        return _floats(state.absmax, count, parts["absmax"])
    if state.absmax.dtype != torch.uint8 or state.absmax.numel() != count:
        raise parts["absmax"].unlike(state.absmax, f"({count},) uint8, as its scales are nested")
    nested = state.state2
    if not isinstance(nested.blocksize, int) or nested.blocksize <= 0:
        raise parts[_STATE].wrong(
            f"has nested_blocksize {nested.blocksize!r}; expected a whole number above 0"
        )
    levels = _floats(nested.code, _NESTED_LEVELS, parts["nested_quant_map"])
    blocks = -(-count // nested.blocksize)
    largest = _floats(nested.absmax, blocks, parts["nested_absmax"])
    scales = dequantize_blockwise(
        state.absmax, absmax=largest, code=levels, blocksize=nested.blocksize
    )
    return scales + state.offset


def _stored_scales(state: QuantState, scales: Tensor, layer: Linear4bit) -> tuple[Tensor, ...]:
    """``scales`` as the layer holds them; nested ones as they were, if its own are nested alike."""
    nested = state.state2
    if (
        isinstance(layer, LinearDouble4bit)
        and nested is not None
        and nested.blocksize == NESTED_BLOCK
        and torch.equal(nested.code.float(), nested_levels(nested.code.device))
    ):
        return NestedScales(state.absmax, nested.absmax.float(), state.offset.view(1))
    return layer.stored_scales(scales)


def _floats(tensor: Tensor, count: int, source: StoredTensor) -> Tensor:
    if not tensor.is_floating_point() or tensor.numel() != count:
        raise source.unlike(tensor, f"({count},) of a float type")
    return tensor.float()
