"""One frozen linear layer with its LoRA update, as a single differentiable operation.

y = x Wᵀ + b + s · (m ∘ x) Aᵀ Bᵀ   (LoRA, arXiv 2106.09685; m is the dropout mask)

W is dequantised once in the forward and once in the backward pass and dropped both times; its
gradient is never formed, nor is the full-size product B A.

Legend: N rows, I input width, O output width, R rank.
"""

import torch
import torch.nn.functional as F
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from animelm.model.quantize import dequantized_weight


class _LowRankLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, down, up, mask, layer, scaling):
        dropped = x if mask is None else x * mask
        down, up = down.to(x.dtype), up.to(x.dtype)
        hidden = dropped @ down.T
        weight = dequantized_weight(layer).to(x.dtype)
        bias = None if layer.bias is None else layer.bias.to(x.dtype)
        y = F.linear(x, weight, bias)
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
            grad_x.addmm_(grad_y, dequantized_weight(ctx.layer).to(grad_y.dtype))
        return grad_x, grad_down, grad_up, None, None, None


def adapted_linear(x: Tensor, layer: nn.Module) -> Tensor:
    """``layer(x)`` for x [N, I]; with exactly one plain LoRA adapter on it, in one operation.

    Anything else (no adapter, several, merged, a variant such as DoRA) runs through the layer's own
    forward.
    """
    if (
        not isinstance(layer, LoraLayer)
        or layer.disable_adapters
        or layer.merged
        or layer.lora_variant
    ):
        return layer(x)
    active = [name for name in layer.active_adapters if name in layer.lora_A]
    if len(active) != 1:
        return layer(x)
    name = active[0]
    dropout = layer.lora_dropout[name]
    rate = dropout.p if isinstance(dropout, nn.Dropout) and layer.training else 0.0
    mask = dropout_mask(x, rate) if rate else None
    down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
    return _LowRankLinear.apply(x, down, up, mask, layer.get_base_layer(), layer.scaling[name])


def dropout_mask(like: Tensor, rate: float) -> Tensor:
    """0 with probability ``rate``, else 1 / (1 - rate); shape and dtype of ``like``.

    Four 16-bit draws come out of each 64-bit one, which on a CPU takes a sixth of the time of
    ``bernoulli_``; the rate is met to 1 / 65,536.
    """
    count = like.numel()
    words = torch.empty(-(-count // 4), dtype=torch.int64, device=like.device)
    draws = words.random_(-(2**63), None).view(torch.int16)[:count].view(like.shape)
    threshold = round(rate * 2**16) - 2**15
    return (draws >= threshold).to(like.dtype).mul_(1 / (1 - rate))


class Dropout(nn.Dropout):
    """``nn.Dropout`` on cheap random numbers (see ``dropout_mask``), for layers that PEFT runs."""

    def forward(self, input: Tensor) -> Tensor:
        return input * dropout_mask(input, self.p) if self.training and self.p else input


def use_cheap_dropout(model: nn.Module) -> None:
    """Gives every LoRA layer of ``model`` dropout on cheap random numbers."""
    for module in model.modules():
        if isinstance(module, LoraLayer):
            for name, dropout in module.lora_dropout.items():
                if isinstance(dropout, nn.Dropout):
                    module.lora_dropout[name] = Dropout(dropout.p)
