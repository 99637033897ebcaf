"""The whole model in BF16, as stock transformers saves it."""

from pathlib import Path

import torch

from animelm.export.companions import copy_tokenizer, write_model_config
from animelm.export.composed import ComposedAdapter
from animelm.export.shards import write_shards
from animelm.export.stock_weights import merged_tensors
from animelm.model.quantization.linear4bit import Quantization


def write_merged(
    base: str,
    quantization: Quantization,
    adapter: ComposedAdapter | None,
    folder: Path,
    largest: int,
    dtype: torch.dtype = torch.bfloat16,
) -> None:
    """Writes weights, configuration, tokenizer and chat template.

    Args:
        base, quantization, adapter: see ``merged_tensors``.
        folder: where to write.
        largest: size of a file of weights in bytes.
        dtype: type of all weights.
    """
    tensors = merged_tensors(base, quantization, adapter)
    write_shards(((each.name, each.tensor(dtype)) for each in tensors), folder, largest)
    write_model_config(base, folder, {"dtype": str(dtype).removeprefix("torch.")})
    copy_tokenizer(base, folder)
