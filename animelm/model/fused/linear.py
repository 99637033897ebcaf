"""Linear layers with one input, such as query, key and value, and the LoRA updates on them.

The layers' outputs lie side by side in one tensor. The A of all trained adapters are one product,
and their inputs share one dropout mask, which is drawn again in the backward pass.

Legend: N rows, I input width, O output width of one layer, W of all, R LoRA rank of one, S of all.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from animelm.model.fused.dropout import add_dropped, drop
from animelm.model.lora.linear import ActiveLora
from animelm.model.moe.projection import AdaptedLinear, adapted_linear
from animelm.model.quantization.linear4bit import stacked_weight


class _Adapters:
    """The trained adapters of layers with one input, in the compute type.

    Attributes:
        loras: the adapters, without layers that have none.
        lora_a: [S, I], every A below each other.
        lora_b: [O, R] of each.
    """

    def __init__(
        self, loras: Sequence[ActiveLora], lora_a: Tensor, lora_b: Sequence[Tensor]
    ) -> None:
        self.loras, self.lora_a, self.lora_b = loras, lora_a, lora_b
        self.ranks = [len(lora.lora_a) for lora in loras]

    @staticmethod
    def converted(loras: Sequence[ActiveLora], dtype: torch.dtype) -> "_Adapters":
        """The adapters in ``dtype``, by one copy of all."""
        first, ranks = loras[0].lora_a, [len(lora.lora_a) for lora in loras]
        lora_a = first.new_empty(sum(ranks), first.shape[1], dtype=dtype)
        lora_b = [torch.empty_like(lora.lora_b, dtype=dtype) for lora in loras]
        adapters = _Adapters(loras, lora_a, lora_b)
        torch._foreach_copy_([*lora_a.split(ranks), *lora_b], adapters.parameters)
        return adapters

    @property
    def parameters(self) -> list[Tensor]:
        """Every A, then every B."""
        return [lora.lora_a for lora in self.loras] + [lora.lora_b for lora in self.loras]

    def add_to(self, outputs: Sequence[Tensor], x: Tensor) -> Tensor:
        """Adds the updates for x [N, I] to each layer's output [N, O]; returns A·x [N, S]."""
        hidden = x @ self.lora_a.T
        parts = zip(outputs, self.loras, hidden.split(self.ranks, 1), self.lora_b, strict=True)
        for output, lora, part, lora_b in parts:
            output.addmm_(part, lora_b.T, alpha=lora.scaling)
        return hidden

    def hidden_gradient(self, grads: Sequence[Tensor]) -> Tensor:
        """The gradient of A·x [N, S] for that of each output [N, O]."""
        grad_hidden = grads[0].new_empty(len(grads[0]), sum(self.ranks))
        parts = zip(grads, self.loras, grad_hidden.split(self.ranks, 1), self.lora_b, strict=True)
        for grad, lora, part, lora_b in parts:
            torch.addmm(part, grad, lora_b, beta=0, alpha=lora.scaling, out=part)
        return grad_hidden

    def gradients(
        self, x: Tensor, hidden: Tensor, grads: Sequence[Tensor], grad_hidden: Tensor
    ) -> list[Tensor]:
        """Gradients in the order and the types of ``parameters``; x [N, I] is after dropout."""
        found = list((grad_hidden.T @ x).split(self.ranks))
        for grad, lora, part in zip(grads, self.loras, hidden.split(self.ranks, 1), strict=True):
            empty = grad.new_empty(lora.lora_b.shape)
            found.append(torch.addmm(empty, grad.T, part, beta=0, alpha=lora.scaling))
        if self.loras[0].lora_a.dtype == x.dtype:
            return found
        converted = [torch.empty_like(parameter) for parameter in self.parameters]
        torch._foreach_copy_(converted, found)
        return converted


class _SharedInput(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, linears, seed, *parameters):
        layers = [linear.layer for linear in linears]
        y = x.new_empty(len(x), sum(layer.out_features for layer in layers))
        outputs = _parts(y, linears)
        for layer, output in zip(layers, outputs, strict=True):
            weight = stacked_weight([layer], x.dtype)[0]
            if layer.bias is None:
                torch.mm(x, weight.T, out=output)
            else:
                torch.addmm(layer.bias.to(x.dtype), x, weight.T, out=output)
            del weight  # before the next one is dequantized
        for output, below in _frozen(outputs, linears):
            lora_a, lora_b = below.lora_a.to(x.dtype), below.lora_b.to(x.dtype)
            output.addmm_(x @ lora_a.T, lora_b.T, alpha=below.scaling)
        ctx.linears, ctx.seed = linears, seed
        if parameters:
            adapters = _Adapters.converted(_trained(linears), x.dtype)
            masked = _masked(x, adapters, seed)
            hidden = adapters.add_to(_adapted(outputs, linears), masked)
            ctx.save_for_backward(x, hidden, adapters.lora_a, *adapters.lora_b)
        return y

    @staticmethod
    def backward(ctx, grad_y):
        saved = ctx.saved_tensors
        linears, grads = ctx.linears, _parts(grad_y, ctx.linears)
        grad_x, parameter_grads = None, []
        if ctx.needs_input_grad[0]:
            grad_x = _frozen_input_gradient(linears, grads)
        if saved:
            x, hidden, lora_a, *lora_b = saved
            adapters, own = _Adapters(_trained(linears), lora_a, lora_b), _adapted(grads, linears)
            grad_hidden = adapters.hidden_gradient(own)
            masked = _masked(x, adapters, ctx.seed)
            parameter_grads = adapters.gradients(masked, hidden, own, grad_hidden)
            if grad_x is not None:
                update = grad_hidden @ adapters.lora_a
                rate = adapters.loras[0].dropout
                if rate:
                    add_dropped(grad_x, update, ctx.seed, rate)
                else:
                    grad_x += update
        return grad_x, None, None, *parameter_grads


def _frozen_input_gradient(linears: Sequence[AdaptedLinear], grads: Sequence[Tensor]) -> Tensor:
    """The gradient of x [N, I] through everything that is frozen."""
    dtype, grad_x = grads[0].dtype, None
    for linear, grad in zip(linears, grads, strict=True):
        weight = stacked_weight([linear.layer], dtype)[0]
        grad_x = grad @ weight if grad_x is None else grad_x.addmm_(grad, weight)
        del weight
    assert grad_x is not None
    for grad, below in _frozen(grads, linears):
        lora_a, lora_b = below.lora_a.to(dtype), below.lora_b.to(dtype)
        grad_x.addmm_(grad @ lora_b, lora_a, alpha=below.scaling)
    return grad_x


def _parts(y: Tensor, linears: Sequence[AdaptedLinear]) -> list[Tensor]:
    """Each layer's columns of y [N, W]."""
    return list(y.split([linear.layer.out_features for linear in linears], 1))


def _adapted(parts: Sequence[Tensor], linears: Sequence[AdaptedLinear]) -> list[Tensor]:
    """Those of layers with a trained adapter."""
    return [part for part, linear in zip(parts, linears, strict=True) if linear.lora]


def _frozen(
    parts: Sequence[Tensor], linears: Sequence[AdaptedLinear]
) -> Iterator[tuple[Tensor, ActiveLora]]:
    """Each frozen adapter below a trained one, with its layer's part."""
    for part, linear in zip(parts, linears, strict=True):
        for below in linear.below:
            yield part, below


def _masked(x: Tensor, adapters: _Adapters, seed: int) -> Tensor:
    rate = adapters.loras[0].dropout
    return drop(x, seed, rate) if rate else x


def shared_input(linears: Sequence[AdaptedLinear], x: Tensor) -> Tensor:
    """The outputs of all layers, side by side: x [..., I] -> [..., W].

    Args:
        linears: frozen layers; as ``adapted_linears`` returned them.
        x: in the compute type.
    """
    loras = _trained(linears)
    parameters: list[Any] = [lora.lora_a for lora in loras] + [lora.lora_b for lora in loras]
    # Drawn on the CPU, whatever the default device, so that no device has to be waited for.
    drops = any(lora.dropout for lora in loras)
    seed = int(torch.randint(2**62, (), device="cpu")) if drops else 0
    rows = x.reshape(-1, x.shape[-1])
    return _SharedInput.apply(rows, linears, seed, *parameters).view(*x.shape[:-1], -1)


def adapted_linears(modules: Sequence[nn.Module]) -> list[AdaptedLinear] | None:
    """The layers and adapters of ``modules``; None if they cannot be computed together."""
    found = [adapted_linear(module) for module in modules]
    linears = [linear for linear in found if linear is not None]
    kinds = {(lora.dropout, lora.lora_a.dtype) for lora in _trained(linears)}
    return linears if len(linears) == len(modules) and len(kinds) < 2 else None


def _trained(linears: Sequence[AdaptedLinear]) -> list[ActiveLora]:
    return [linear.lora for linear in linears if linear.lora]
