"""Linear layers packed by bitsandbytes, as unsloth publishes gpt-oss: one layer per expert.

``….weight`` uint8 [O · I / 2, 1] comes with its ``absmax``, the level table ``quant_map`` and
``quant_state.bitsandbytes__nf4``, a JSON text of shape, block size and types. The scales may be
quantized in turn (``nested_absmax``, ``nested_quant_map``); they are dequantized unless the model
holds its scales in the same form.

Legend: O output width, I input width.
"""

import math
import re

import torch
from bitsandbytes.functional import QuantState, dequantize_blockwise
from torch import Tensor, nn

from animelm.model.checkpoint.formats.plain import transformers_name
from animelm.model.checkpoint.reader import Checkpoint, StoredTensor
from animelm.model.checkpoint.weight_loader import WeightLoader
from animelm.model.quantization.double_quantization import NESTED_BLOCK, NestedScales, nested_levels
from animelm.model.quantization.linear4bit import Linear4bit, LinearDouble4bit
from animelm.model.quantization.nf4 import BLOCK, dequantize_nf4

_STATE = "quant_state.bitsandbytes__nf4"
_PARTS = ("absmax", "quant_map", _STATE)
_NESTED_PARTS = ("nested_absmax", "nested_quant_map")
# Nested scales are stored as bytes, and each byte value has a level.
_NESTED_LEVELS = 256
_PART_NAME = re.compile(r"(?P<weight>.+\.weight)\.(absmax|quant_map|nested_\w+|quant_state\..+)")


def load_bitsandbytes(tensor: StoredTensor, checkpoint: Checkpoint, loader: WeightLoader) -> bool:
    """Loads a packed weight with the tensors that describe it; False if it is not one of them."""
    part = _PART_NAME.fullmatch(tensor.name)
    if part:
        weight = checkpoint.companion(tensor, part["weight"])
        checkpoint.companion(weight, f"{weight.name}.{_STATE}")
        return True
    if f"{tensor.name}.{_STATE}" not in checkpoint:
        return False
    path = transformers_name(tensor.name).removesuffix(".weight")
    layer = loader.module(path, tensor)
    parts = _parts(tensor, checkpoint)
    state, packed = _state(parts), tensor.read()
    shape = _checked_shape(packed, state, layer, tensor)
    scales = _scales(state, parts, -(-math.prod(shape) // BLOCK))
    if isinstance(layer, Linear4bit):
        loader.load_packed(path, packed, _stored_scales(state, scales, layer), tensor)
    else:
        values = dequantize_nf4(packed, scales, torch.empty(shape, dtype=state.dtype))
        loader.load_weight(path, "weight", values, tensor)
    return True


def _parts(tensor: StoredTensor, checkpoint: Checkpoint) -> dict[str, StoredTensor]:
    nested = any(f"{tensor.name}.{part}" in checkpoint for part in _NESTED_PARTS)
    names = _PARTS + (_NESTED_PARTS if nested else ())
    return {part: checkpoint.companion(tensor, f"{tensor.name}.{part}") for part in names}


def _state(parts: dict[str, StoredTensor]) -> QuantState:
    tensors = {part: source.read() for part, source in parts.items()}
    try:
        return QuantState.from_dict(tensors, device=torch.device("cpu"))
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise parts[_STATE].error(f"is not a bitsandbytes state ({error!r})") from error


def _checked_shape(
    packed: Tensor, state: QuantState, layer: nn.Module, source: StoredTensor
) -> tuple[int, int]:
    if not isinstance(layer, nn.Linear):
        raise source.error(
            f"is packed in 4 bits, and the model has a {type(layer).__name__} there; expected "
            "16 or 32 bits"
        )
    expected = (layer.out_features, layer.in_features)
    if tuple(state.shape or ()) != expected:
        raise source.error(f"holds a weight of {tuple(state.shape or ())}; expected {expected}")
    if (state.quant_type, state.blocksize) != ("nf4", BLOCK):
        raise source.error(
            f"is {state.quant_type} in blocks of {state.blocksize}; expected nf4 in blocks of "
            f"{BLOCK}"
        )
    if state.dtype not in (torch.float16, torch.bfloat16, torch.float32):
        raise source.error(f"was packed from {state.dtype}; expected a float type of 16 or 32 bits")
    count = layer.out_features * layer.in_features
    if packed.dtype != torch.uint8 or packed.numel() != count // 2:
        raise source.mismatch(packed, f"({count // 2}, 1) uint8")
    return expected


def _scales(state: QuantState, parts: dict[str, StoredTensor], count: int) -> Tensor:
    """Float32 [count]; sizes are checked here, because bitsandbytes' kernels do not."""
    if not state.nested:
        return _floats(state.absmax, count, parts["absmax"])
    if state.absmax.dtype != torch.uint8 or state.absmax.numel() != count:
        raise parts["absmax"].mismatch(state.absmax, f"({count},) uint8, as its scales are nested")
    nested = state.state2
    if not isinstance(nested.blocksize, int) or nested.blocksize <= 0:
        raise parts[_STATE].error(
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
    """``scales`` in the layer's form; stored nested scales are kept if the layer nests alike."""
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
        raise source.mismatch(tensor, f"({count},) of a float type")
    return tensor.float()
