"""Experts with random weights and adapters, in every form of storage."""

import torch
from torch import Tensor, nn

from animelm.model.lora.linear import ActiveLora
from animelm.model.moe.expert_pass import ExpertLayers
from animelm.model.moe.projection import AdaptedLinear
from animelm.model.quantization.linear4bit import Linear4bit, Quantization, make_linear
from animelm.model.quantization.mxfp4 import BLOCK, LinearMXFP4, encode_mxfp4


def random_experts(
    count: int,
    hidden: int,
    intermediate: int,
    quantization: Quantization = "none",
    rank: int = 4,
    dropout: float = 0.0,
) -> list[ExpertLayers]:
    """Experts with float32 adapters; without adapters if ``rank`` is 0."""
    widths = ((hidden, 2 * intermediate), (intermediate, hidden))
    return [
        ExpertLayers(*(_adapted(*width, quantization, rank, dropout) for width in widths))
        for _ in range(count)
    ]


def _adapted(
    inputs: int, outputs: int, quantization: Quantization, rank: int, dropout: float
) -> AdaptedLinear:
    layer = make_linear(inputs, outputs, True, quantization).to_empty(device="cpu")
    weight = torch.randn(outputs, inputs) / inputs**0.5
    if isinstance(layer, LinearMXFP4):
        packed, scales = encode_mxfp4(weight.view(outputs, inputs // BLOCK, BLOCK).flatten(1))
        layer.load_packed(packed, scales)
    elif isinstance(layer, Linear4bit):
        layer.load_weight(weight)
    else:
        layer.weight = nn.Parameter(weight)
    layer.bias = nn.Parameter(torch.randn(outputs))
    layer.requires_grad_(False)
    if not rank:
        return AdaptedLinear(layer, None)
    lora_a = torch.randn(rank, inputs).div_(inputs**0.5).requires_grad_()
    lora_b = torch.randn(outputs, rank).requires_grad_()
    return AdaptedLinear(layer, ActiveLora(lora_a, lora_b, 0.5, dropout))


def routed(
    indices: Tensor, hidden: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs of a pass over the given choices [T, K]: states, routing weights and choices."""
    states = torch.randn(len(indices), hidden).to(dtype).requires_grad_()
    weights = torch.randn(indices.shape).softmax(-1).to(dtype).requires_grad_()
    return states, weights, indices
