"""The whole model as gpt-oss is released: experts in MXFP4, everything else in BF16."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from transformers import GptOssConfig

from animelm.errors import UserError
from animelm.export.companions import copy_tokenizer, write_model_config
from animelm.export.composed import ComposedAdapter
from animelm.export.rounding import Rounding, round_to_mxfp4
from animelm.export.shards import write_shards
from animelm.export.stock_weights import StockTensor, merged_tensors
from animelm.model.architecture import Config
from animelm.model.quantization.linear4bit import Quantization
from animelm.model.quantization.mxfp4 import BLOCK

# As in the released config.json.
_QUANTIZATION = {
    "modules_to_not_convert": [
        "model.layers.*.self_attn",
        "model.layers.*.mlp.router",
        "model.embed_tokens",
        "lm_head",
    ],
    "quant_method": "mxfp4",
}


def require_mxfp4(config: Config, base: str) -> None:
    """Refuses a base without experts in whole blocks.

    Raises:
        UserError: the base is such a one.
    """
    if not isinstance(config, GptOssConfig):
        raise UserError(f"--to mxfp4: {base} has no experts; only gpt-oss is released in MXFP4")
    widths = (config.hidden_size, config.intermediate_size)
    if any(width % BLOCK for width in widths):
        raise UserError(f"--to mxfp4 needs widths in multiples of {BLOCK}; {base} has {widths}")


def write_mxfp4(
    base: str,
    quantization: Quantization,
    adapter: ComposedAdapter,
    folder: Path,
    largest: int,
    rounding: Rounding,
) -> None:
    """Writes weights, configuration, tokenizer and chat template.

    Args:
        base, quantization, adapter: see ``merged_tensors``.
        folder: where to write.
        largest: size of a file of weights in bytes.
        rounding: see ``round_to_mxfp4``.
    """
    merged = merged_tensors(base, quantization, adapter)
    tensors = (pair for each in merged for pair in _packed(each, rounding))
    write_shards(tensors, folder, largest)
    write_model_config(base, folder, {"dtype": "bfloat16", "quantization_config": _QUANTIZATION})
    copy_tokenizer(base, folder)


def _packed(tensor: StockTensor, rounding: Rounding) -> Iterator[tuple[str, Tensor]]:
    if not tensor.matrices:
        yield tensor.name, tensor.tensor(torch.bfloat16)
        return
    parts = [
        round_to_mxfp4(matrix(), rounding, lora_a)
        for matrix, lora_a in zip(tensor.matrices, tensor.lora_a, strict=True)
    ]
    blocks, scales = (torch.stack(each) for each in zip(*parts, strict=True))
    yield f"{tensor.name}_blocks", blocks
    yield f"{tensor.name}_scales", scales
