"""The engines of the experts against each other, on the device itself."""

from typing import Any

import torch
from torch import Tensor

from animelm.model.lora.adapters import LoraSettings
from animelm.model.moe.experts import Experts
from animelm.model.moe.grouped.projection import GroupedEngine
from animelm.model.quantization.linear4bit import Quantization
from gpu_parts.model import DTYPE, random_model

# Largest error in bf16, as a share of the largest value. The loop itself is held to it too.
TOLERANCE = 4e-2


class Parity:
    """One layer's experts, with adapters that change what they compute.

    Args:
        config: of a model, which is built; its first layer is compared.
        quantization: storage of the experts.
        device: where they compute.
        tokens: number of tokens that are routed at random. Half of the experts get none.
    """

    def __init__(
        self, config: Any, quantization: Quantization, device: torch.device, tokens: int
    ) -> None:
        model = random_model(config, quantization, device, LoraSettings(dropout=0.0)).train()
        self._experts: Experts = model.get_base_model().model.layers[0].mlp.experts
        self._trained = [p for p in self._experts.parameters() if p.requires_grad]
        for parameter in self._trained:
            torch.nn.init.normal_(parameter, std=0.02)
        self._states = torch.randn(tokens, config.hidden_size, device=device)
        scores = torch.randn(tokens, config.num_local_experts // 2, device=device)
        scores, self._indices = scores.topk(min(self._experts.chosen, scores.shape[1]))
        self._weights = scores.softmax(-1)
        self._direction = torch.randn_like(self._states)
        self._expected = self._run(None, torch.float32)

    def error(self, engine: GroupedEngine | None) -> float:
        """The largest error of output and gradients in bf16 against the loop in float32.

        It is a share of the largest value of the output, or of the gradient.
        """
        found = self._run(engine, DTYPE)
        return max(_error(ours, exact) for ours, exact in zip(found, self._expected, strict=True))

    def _run(self, engine: GroupedEngine | None, dtype: torch.dtype) -> list[Tensor]:
        """The output; and the gradients of states, routing weights, and every adapter by kind."""
        self._experts.engine = engine
        states, weights = (
            tensor.to(dtype).requires_grad_() for tensor in (self._states, self._weights)
        )
        out = self._experts(states, self._indices, weights)
        direction = self._direction.to(dtype)
        gradients = torch.autograd.grad(out, [states, weights, *self._trained], direction)
        adapters: dict[torch.Size, list[Tensor]] = {}
        for gradient in gradients[2:]:
            adapters.setdefault(gradient.shape, []).append(gradient)
        stacked = [torch.stack(kind) for kind in adapters.values()]
        return [tensor.detach() for tensor in (out, *gradients[:2], *stacked)]


def _error(ours: Tensor, exact: Tensor) -> float:
    difference = (ours.float() - exact.float()).abs().max() / exact.float().abs().max()
    return difference.item()
