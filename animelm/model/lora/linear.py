"""One frozen linear layer with its LoRA update, as a single differentiable operation.

y = x Wᵀ + b + s · (m ∘ x) Aᵀ Bᵀ   (LoRA, arXiv 2106.09685; m is the dropout mask)

W is dequantised once in the forward and once in the backward pass and dropped both times; its
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


class _LowRankProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, down, up, mask, layer, scaling):
        dropped = x if mask is None else x * mask
        down, up = down.to(x.dtype), up.to(x.dtype)
        hidden = dropped @ down.T
        bias = None if layer.bias is None else layer.bias.to(x.dtype)
        y = F.linear(x, weight_in(layer, x.dtype), bias)
        y.addmm_(hidden, up.T, alpha=scaling)
        ctx.save_for_backward(x, mask, hidden, down, up)
        ctx.layer, ctx.scaling = layer, scaling
        return y

    @staticmethod
    def backward(ctx, grad_y):
        x, mask, hidden, down, up = ctx.saved_tensors
        grad_hidden = (grad_y @ up).mul_(ctx.scaling)
        grad_up = (grad_y.T @ hidden).float().mul_(ctx.scaling)
        dropped = x if mask is None else x * mask
        grad_down = (grad_hidden.T @ dropped).float()
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = grad_hidden @ down
            if mask is not None:
                grad_x.mul_(mask)
            grad_x.addmm_(grad_y, weight_in(ctx.layer, grad_y.dtype))
        return grad_x, grad_down, grad_up, None, None, None


@dataclass(frozen=True)
class LowRank:
    """The one LoRA adapter that is active on a layer.

    Attributes:
        down: A, [R, I].
        up: B, [O, R].
        scaling: s = alpha / rank.
        dropout: share of the inputs that is zeroed; 0 in evaluation.
    """

    down: Tensor
    up: Tensor
    scaling: float
    dropout: float


class LowRankLinear(PeftLinear):
    """PEFT's LoRA layer, with a faster forward pass where one plain adapter is active."""

    def active_low_rank(self) -> LowRank | None:
        """The active adapter; None where there is none, several, a merged one or a variant.

        A variant, too, is an adapter with a bias of its own (PEFT's ``lora_bias``).
        """
        if self.disable_adapters or self.merged or self.lora_variant:
            return None
        active = [name for name in self.active_adapters if name in self.lora_A]
        if len(active) != 1 or self.base_layer.weight.requires_grad:
            return None
        name = active[0]
        if self.lora_B[name].bias is not None:
            return None
        dropout = self.lora_dropout[name]
        rate = dropout.p if isinstance(dropout, nn.Dropout) and self.training else 0.0
        down, up = cast(Tensor, self.lora_A[name].weight), cast(Tensor, self.lora_B[name].weight)
        return LowRank(down, up, self.scaling[name], rate)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        adapter = self.active_low_rank()
        if adapter is None or args or kwargs:
            return super().forward(x, *args, **kwargs)
        rows = x.reshape(-1, x.shape[-1])
        mask = dropout_mask(rows, adapter.dropout) if adapter.dropout else None
        y = _LowRankProduct.apply(
            rows, adapter.down, adapter.up, mask, self.base_layer, adapter.scaling
        )
        return y.view(*x.shape[:-1], -1)

    def update_layer(self, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        """PEFT's, with dropout on cheap random numbers."""
        super().update_layer(adapter_name, *args, **kwargs)
        dropout = self.lora_dropout[adapter_name]
        if isinstance(dropout, nn.Dropout):
            self.lora_dropout[adapter_name] = Dropout(dropout.p)


def use_low_rank_linear(config: LoraConfig) -> LoraConfig:
    """``config``, so that PEFT places ``LowRankLinear`` on linear layers."""
    config._register_custom_module({nn.Linear: LowRankLinear})
    return config


def dropout_mask(like: Tensor, rate: float, generator: torch.Generator | None = None) -> Tensor:
    """0 with probability ``rate``, else 1 / (1 - rate); shape and dtype of ``like``.

    Four 16-bit draws come out of each 64-bit one, which on a CPU takes a sixth of the time of
    ``bernoulli_``; the rate is met to 1 / 65,536.
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
    """``nn.Dropout`` on cheap random numbers (see ``dropout_mask``)."""

    def forward(self, input: Tensor) -> Tensor:
        return input * dropout_mask(input, self.p) if self.training and self.p else input
