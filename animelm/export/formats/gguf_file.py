"""One GGUF file for llama.cpp, with tokenizer and chat template inside.

Names and types of the tensors are those that llama.cpp's own converter gives gpt-oss: matrices in
16 bits, or experts in MXFP4; biases, norms, sinks and routers in float32. An expert's gate and up,
whose rows are interleaved in the base, are two tensors.

Legend: E experts, O output width, I input width.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from torch import Tensor
from transformers import GptOssConfig

from animelm.errors import UserError
from animelm.export.composed import ComposedAdapter
from animelm.export.formats.gguf_metadata import add_metadata
from animelm.export.formats.mxfp4 import require_mxfp4
from animelm.export.rounding import Rounding, round_to_mxfp4
from animelm.export.settings import GgufType
from animelm.export.stock_weights import StockTensor, merged_tensors, stock_shapes
from animelm.model.checkpoint.hub import load_config, resolve_base
from animelm.model.quantization.linear4bit import Quantization

FILE = "model.gguf"
_TYPES = {"bf16": Type.BF16, "f16": Type.F16, "mxfp4": Type.BF16}
_FILE_TYPES = {
    "bf16": gguf.LlamaFileType.MOSTLY_BF16,
    "f16": gguf.LlamaFileType.MOSTLY_F16,
    "mxfp4": gguf.LlamaFileType.MOSTLY_MXFP4_MOE,
}
_GATE_UP = re.compile(r"(.+\.experts)\.gate_up_proj(_bias)?")
_EMBEDDING, _HEAD = "model.embed_tokens.weight", "lm_head.weight"


@dataclass(frozen=True)
class _Place:
    """A tensor of the file, and the part of a stock tensor that it holds.

    Attributes:
        name: in the file.
        shape: of its values, the last axis fastest.
        type: in the file.
        half: for gate and up, 0 or 1; None for a whole tensor.
    """

    name: str
    shape: tuple[int, ...]
    type: Type
    half: int | None = None


def require_gguf(config: object, base: str, gguf_type: GgufType) -> None:
    """Refuses what llama.cpp's gpt-oss cannot be.

    Raises:
        UserError: the base is none, or has settings that llama.cpp has fixed.
    """
    if not isinstance(config, GptOssConfig):
        raise UserError(
            f"--to gguf: {base} is no gpt-oss; export --to merged, and convert the result with "
            "llama.cpp's convert_hf_to_gguf.py, which knows its tokenizer"
        )
    alternating = ["sliding_attention", "full_attention"] * config.num_hidden_layers
    fixed = {
        "layer_types": (config.layer_types, alternating[: config.num_hidden_layers]),
        "swiglu_alpha": (config.swiglu_alpha, 1.702),
        "swiglu_limit": (config.swiglu_limit, 7.0),
    }
    for name, (found, expected) in fixed.items():
        if found != expected:
            raise UserError(f"--to gguf: {base} has {name} {found}; llama.cpp has {expected} only")
    if gguf_type == "mxfp4":
        require_mxfp4(config, base)


def write_gguf(
    base: str,
    quantization: Quantization,
    adapter: ComposedAdapter,
    folder: Path,
    gguf_type: GgufType,
    rounding: Rounding,
) -> list[str]:
    """Writes ``model.gguf``, a layer at a time.

    Args:
        base, quantization, adapter: see ``merged_tensors``.
        folder: where to write.
        gguf_type: type of the matrices.
        rounding: see ``round_to_mxfp4``.

    Returns:
        What a user of the file should know.
    """
    config = load_config(base)
    assert isinstance(config, GptOssConfig)
    places = _places(config, gguf_type)
    writer = gguf.GGUFWriter(None, gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.GPT_OSS])
    remarks = add_metadata(writer, config, resolve_base(base), _FILE_TYPES[gguf_type])
    for each in (place for places_of in places.values() for place in places_of):
        item = np.dtype(np.float32 if each.type == Type.F32 else np.float16)
        writer.add_tensor_info(each.name, each.shape, item, _bytes(each), raw_dtype=each.type)
    writer.write_header_to_file(folder / FILE)
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in merged_tensors(base, quantization, adapter):
        for place in places[tensor.name]:
            writer.write_tensor_data(encoded(tensor, place, rounding))
    writer.close()
    return remarks


def differing_tensors(
    base: str,
    quantization: Quantization,
    adapter: ComposedAdapter,
    file: Path,
    gguf_type: GgufType,
    rounding: Rounding,
) -> Iterator[str]:
    """Names of tensors whose bytes in the file are not those that were to be written."""
    config = load_config(base)
    assert isinstance(config, GptOssConfig)
    places = _places(config, gguf_type)
    stored = {tensor.name: tensor for tensor in gguf.GGUFReader(file).tensors}
    for tensor in merged_tensors(base, quantization, adapter):
        for place in places[tensor.name]:
            expected = encoded(tensor, place, rounding).tobytes()
            found = stored.pop(place.name, None)
            if found is None or np.ascontiguousarray(found.data).tobytes() != expected:
                yield place.name
    yield from stored


def _places(config: GptOssConfig, gguf_type: GgufType) -> dict[str, list[_Place]]:
    """Tensors of the file for each stock tensor, in the order in which they are written."""
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GPT_OSS, config.num_hidden_layers)
    places: dict[str, list[_Place]] = {}
    for stock, shape in stock_shapes(config).items():
        experts, tail = ".experts." in stock, ".bias" if stock.endswith("bias") else ".weight"
        matrix = experts and tail == ".weight"
        kind = Type.MXFP4 if matrix and gguf_type == "mxfp4" else _TYPES[gguf_type]
        if tail == ".bias" or len(shape) == 1 or ".router." in stock:
            kind = Type.F32
        size = (shape[0], shape[2], shape[1]) if matrix else tuple(shape)
        gate_up = _GATE_UP.fullmatch(stock)
        if gate_up:
            half = (size[0], size[1] // 2, *size[2:])
            places[stock] = [
                _Place(_name(names, f"{gate_up[1]}.{part}{tail}"), half, kind, number)
                for number, part in enumerate(("gate_proj", "up_proj"))
            ]
            continue
        own = stock.removesuffix("_bias").removesuffix(tail) + tail
        places[stock] = [_Place(_name(names, own), size, kind)]
        if stock == _EMBEDDING and config.tie_word_embeddings:
            places[stock].append(_Place(_name(names, _HEAD), size, kind))
    return places


def _name(names: gguf.TensorNameMap, stock: str) -> str:
    found = names.get_name(stock, try_suffixes=(".weight", ".bias"))
    if found is None:
        raise ValueError(f"llama.cpp's gpt-oss has no tensor for {stock}")
    return found


def _bytes(place: _Place) -> int:
    block, size = gguf.GGML_QUANT_SIZES[place.type]
    return int(np.prod(place.shape)) // block * size


def encoded(tensor: StockTensor, place: _Place, rounding: Rounding) -> np.ndarray:
    """The bytes of a tensor of the file, or its values in float32 and float16."""
    if not tensor.matrices:
        value = tensor.tensor(torch.float32)
        return _as_type(value if place.half is None else value[:, place.half :: 2], place.type)
    step = slice(None) if place.half is None else slice(place.half, None, 2)
    parts = []
    for matrix, lora_a in zip(tensor.matrices, tensor.lora_a, strict=True):
        weight = matrix()[step].contiguous()
        if place.type == Type.MXFP4:
            parts.append(_ggml_mxfp4(*round_to_mxfp4(weight, rounding, lora_a)))
        else:
            parts.append(_as_type(weight, place.type))
    return np.stack(parts)


def _as_type(value: Tensor, kind: Type) -> np.ndarray:
    value = value.contiguous()
    if kind == Type.BF16:
        return value.to(torch.bfloat16).view(torch.uint8).numpy()
    return value.to(torch.float16 if kind == Type.F16 else torch.float32).numpy()


def _ggml_mxfp4(blocks: Tensor, scales: Tensor) -> np.ndarray:
    """ggml's blocks, uint8 [O, I / 32 · 17]: the scale, then 16 bytes with values j and j + 16.

    Args:
        blocks: uint8 [O, I / 32, 16], each byte with values 2j and 2j + 1.
        scales: uint8 [O, I / 32].
    """
    codes = torch.stack([blocks & 15, blocks >> 4], -1).flatten(-2)
    packed = codes[..., :16] | (codes[..., 16:] << 4)
    return torch.cat([scales.unsqueeze(-1), packed], -1).flatten(-2).numpy()
