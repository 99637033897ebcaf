"""One frozen linear layer with its LoRA update, as a single differentiable operation.

y = x Wᵀ + b + s · (m ∘ x) Aᵀ Bᵀ   (LoRA, arXiv 2106.09685; m is the dropout mask)

W is dequantized once in the forward and once in the backward pass and dropped both times; its
gradient is never formed, nor is the full-size product B A.

Legend: N rows, I input width, O output width, R rank.
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from peft import LoraConfig
from peft.tuners.lora import Linear as PeftLinear
from torch import Tensor, nn

from animelm.model.quantization.linear4bit import weight_in


class LoraUpdate:
    """s · (m ∘ x) Aᵀ Bᵀ and its gradients, in the compute type.

    Attributes:
        lora_a: A, [R, I].
        scaled_b: s · B, [O, R].
        scaling: s = alpha / rank.
    """

    def __init__(self, lora_a: Tensor, lora_b: Tensor, scaling: float) -> None:
        self.lora_a, self.scaled_b, self.scaling = lora_a, lora_b * scaling, scaling

    def hidden(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(m ∘ x) Aᵀ, [N, R]."""
        return _masked(x, mask) @ self.lora_a.T

    def add_to(self, y: Tensor, hidden: Tensor) -> None:
        """Adds the update to the frozen layer's output ``y`` [N, O]."""
        y.addmm_(hidden, self.scaled_b.T)

    def hidden_gradient(self, grad_y: Tensor) -> Tensor:
        """The gradient of ``hidden``, [N, R]."""
        return grad_y @ self.scaled_b

    def input_gradient(self, grad_hidden: Tensor, mask: Tensor | None) -> Tensor:
        """The gradient of x through the update alone, [N, I]."""
        grad_x = grad_hidden @ self.lora_a
        return grad_x if mask is None else grad_x.mul_(mask)

    def add_input_gradient(self, grad_x: Tensor, grad_hidden: Tensor, mask: Tensor | None) -> None:
        """Adds it to the gradient of x through the frozen layer, in one product if possible."""
        if mask is None:
            grad_x.addmm_(grad_hidden, self.lora_a)
        else:
            grad_x.add_(self.input_gradient(grad_hidden, mask))

    def parameter_gradients(
        self,
        x: Tensor,
        mask: Tensor | None,
        hidden: Tensor,
        grad_y: Tensor,
        grad_hidden: Tensor,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        """The gradients of A and B in ``dtype``."""
        grad_a = (grad_hidden.T @ _masked(x, mask)).to(dtype)
        grad_b = (grad_y.T @ hidden).to(dtype).mul_(self.scaling)
        return grad_a, grad_b


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * mask


class _LoraLinearFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, lora_a, lora_b, mask, layer, scaling, below):
        ctx.layer, ctx.scaling, ctx.parameter_dtype = layer, scaling, lora_a.dtype
        ctx.below = below
        lora_a, lora_b = lora_a.to(x.dtype), lora_b.to(x.dtype)
        update = LoraUpdate(lora_a, lora_b, scaling)
        hidden = update.hidden(x, mask)
        bias = None if layer.bias is None else layer.bias.to(x.dtype)
        y = F.linear(x, weight_in(layer, x.dtype), bias)
        for frozen in _updates(below, x.dtype):
            frozen.add_to(y, frozen.hidden(x, None))
        update.add_to(y, hidden)
        ctx.save_for_backward(x, mask, hidden, lora_a, lora_b)
        return y

    @staticmethod
    def backward(ctx, grad_y):
        x, mask, hidden, lora_a, lora_b = ctx.saved_tensors
        update = LoraUpdate(lora_a, lora_b, ctx.scaling)
        grad_hidden = update.hidden_gradient(grad_y)
        grads = update.parameter_gradients(
            x, mask, hidden, grad_y, grad_hidden, ctx.parameter_dtype
        )
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = update.input_gradient(grad_hidden, mask)
            grad_x.addmm_(grad_y, weight_in(ctx.layer, grad_y.dtype))
            for frozen in _updates(ctx.below, grad_y.dtype):
                frozen.add_input_gradient(grad_x, frozen.hidden_gradient(grad_y), None)
        return grad_x, *grads, None, None, None, None


@dataclass(frozen=True)
class ActiveLora:
    """A LoRA adapter that is active on a layer.

    Attributes:
        lora_a: A, [R, I].
        lora_b: B, [O, R].
        scaling: s = alpha / rank.
        dropout: share of the inputs that is zeroed; 0 in evaluation.
    """

    lora_a: Tensor
    lora_b: Tensor
    scaling: float
    dropout: float


def _updates(loras: tuple[ActiveLora, ...], dtype: torch.dtype) -> list[LoraUpdate]:
    return [
        LoraUpdate(lora.lora_a.to(dtype), lora.lora_b.to(dtype), lora.scaling) for lora in loras
    ]


class LoraLinear(PeftLinear):
    """PEFT's LoRA layer, with a faster forward pass for a plain adapter, stacked or not."""

    def active_loras(self) -> tuple[ActiveLora, ...] | None:
        """The active adapters, of which only the last may be trained or have dropout.

        None if there is none, or any other: PEFT's own forward pass is for those. An adapter that
        is merged, a variant, or has a bias of its own (PEFT's ``lora_bias``) is such a one.
        """
        if self.disable_adapters or self.merged or self.lora_variant:
            return None
        active = [name for name in self.active_adapters if name in self.lora_A]
        if not active or self.base_layer.weight.requires_grad:
            return None
        if any(self.lora_B[name].bias is not None for name in active):
            return None
        loras = tuple(self._lora(name) for name in active)
        if any(lora.lora_a.requires_grad or lora.dropout for lora in loras[:-1]):
            return None
        return loras

    def _lora(self, name: str) -> ActiveLora:
        dropout = self.lora_dropout[name]
        rate = dropout.p if isinstance(dropout, nn.Dropout) and self.training else 0.0
        lora_a, lora_b = (cast(Tensor, part[name].weight) for part in (self.lora_A, self.lora_B))
        return ActiveLora(lora_a, lora_b, self.scaling[name], rate)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        loras = self.active_loras()
        if loras is None or args or kwargs:
            return super().forward(x, *args, **kwargs)
        *below, lora = loras
        rows = x.reshape(-1, x.shape[-1])
        mask = dropout_mask(rows, lora.dropout) if lora.dropout else None
        y = _LoraLinearFunction.apply(
            rows, lora.lora_a, lora.lora_b, mask, self.base_layer, lora.scaling, tuple(below)
        )
        return y.view(*x.shape[:-1], y.shape[-1])

    def update_layer(self, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        """PEFT's, with the faster dropout."""
        super().update_layer(adapter_name, *args, **kwargs)
        dropout = self.lora_dropout[adapter_name]
        if isinstance(dropout, nn.Dropout):
            self.lora_dropout[adapter_name] = Dropout(dropout.p)


def use_lora_linear(config: LoraConfig) -> LoraConfig:
    """Makes PEFT put ``LoraLinear`` on linear layers; returns ``config``."""
    config._register_custom_module({nn.Linear: LoraLinear})
    return config


def dropout_mask(like: Tensor, rate: float, generator: torch.Generator | None = None) -> Tensor:
    """0 with probability ``rate``, else 1 / (1 - rate); shape and dtype of ``like``.

    Each random 64-bit number gives four 16-bit ones, which on a CPU takes a sixth of the time of
    ``bernoulli_``; the rate is exact to 1 / 65,536.
    """
    count = like.numel()
    words = torch.empty(-(-count // 4), dtype=torch.int64, device=like.device)
    draws = (
        words.random_(-(2**63), None, generator=generator)
        .view(torch.int16)[:count]
        .view(like.shape)
    )
    threshold = round(rate * 2**16) - 2**15
    return (draws >= threshold).to(like.dtype).mul_(1 / (1 - rate))


class Dropout(nn.Dropout):
    """``nn.Dropout`` with the faster random numbers of ``dropout_mask``."""

    def forward(self, input: Tensor) -> Tensor:
        return input * dropout_mask(input, self.p) if self.training and self.p else input
