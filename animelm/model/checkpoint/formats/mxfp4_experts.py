"""The experts of a layer in MXFP4, as gpt-oss is released.

``experts.gate_up_proj_blocks`` uint8 [E, 2F, C / 32, 16], ``experts.gate_up_proj_scales`` uint8
[E, 2F, C / 32], and the same for ``down_proj`` [E, C, F / 32, …].

Legend: E experts, C hidden width, F intermediate width, O output width, I input width.
"""

import re

import torch
from torch import Tensor, nn

from animelm.model.checkpoint.formats.fused_experts import EXPERT_LISTS, expert_parts
from animelm.model.checkpoint.reader import Checkpoint, StoredTensor
from animelm.model.checkpoint.weight_loader import WeightLoader
from animelm.model.quantization.linear4bit import Linear4bit
from animelm.model.quantization.mxfp4 import BLOCK, LinearMXFP4, dequantize_mxfp4
from animelm.model.quantization.mxfp4_to_nf4 import nf4_from_mxfp4

_NAME = re.compile(
    r"(?P<stem>(?P<experts>.+\.experts)\.(?P<fused>gate_up_proj|down_proj))_(blocks|scales)"
)


def load_mxfp4_experts(tensor: StoredTensor, checkpoint: Checkpoint, loader: WeightLoader) -> bool:
    """Loads blocks with their scales; False if the tensor is neither.

    An MXFP4 layer keeps the bytes, an NF4 layer requantizes them, and an ordinary layer gets the
    values, which are exact in bf16.

    Raises:
        UserError: blocks or scales are missing or have another shape than in the model, or the
            model's rows are not whole blocks.
    """
    match = _NAME.fullmatch(tensor.name)
    if match is None:
        return False
    blocks = checkpoint.companion(tensor, f"{match['stem']}_blocks")
    scales = checkpoint.companion(tensor, f"{match['stem']}_scales")
    if tensor.name == blocks.name:
        _load(f"{match['experts']}.{EXPERT_LISTS[match['fused']]}", blocks, scales, loader)
    return True


def _load(path: str, blocks: StoredTensor, scales: StoredTensor, loader: WeightLoader) -> None:
    parts = zip(
        expert_parts(blocks.read(), path, blocks, loader),
        expert_parts(scales.read(), path, scales, loader),
        strict=True,
    )
    for index, (packed, exponents) in enumerate(parts):
        layer = loader.module(f"{path}.{index}", blocks)
        assert isinstance(layer, nn.Linear)
        rows, (groups, rest) = layer.out_features, divmod(layer.in_features, BLOCK)
        if rest:
            raise blocks.error(
                f"is in MXFP4, in blocks of {BLOCK} values, and its rows have {layer.in_features} "
                "by config.json; expected hidden_size and intermediate_size in multiples of "
                f"{BLOCK}"
            )
        _expect(packed, (rows, groups, BLOCK // 2), blocks)
        _expect(exponents, (rows, groups), scales)
        if isinstance(layer, LinearMXFP4):
            loader.load_packed(f"{path}.{index}", packed, [exponents], blocks)
        elif isinstance(layer, Linear4bit):
            requantized, largest = nf4_from_mxfp4(packed.flatten(1), exponents)
            stored = layer.stored_scales(largest)
            loader.load_packed(f"{path}.{index}", requantized, stored, blocks)
        else:
            values = dequantize_mxfp4(packed.flatten(1), exponents, torch.bfloat16)
            loader.load_weight(f"{path}.{index}", "weight", values, blocks)


def _expect(part: Tensor, shape: tuple[int, ...], source: StoredTensor) -> None:
    if part.shape != shape or part.dtype != torch.uint8:
        raise source.mismatch(part, f"{shape} uint8 for each expert")
