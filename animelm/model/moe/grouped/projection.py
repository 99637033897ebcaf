"""One of the two linear layers of all experts, with its LoRA updates, forward and backward.

The bias is one more column of the update, whose hidden value is 1: so it is added with the update,
and backward its column of ``grad_hidden`` is the product of ``grad_y`` with the bias.

Frozen adapters that the trained one is stacked on are further columns.

Legend: E experts, N rows sorted by expert, I input width, O output width, R LoRA rank, P columns of
the update (ranks and bias, padded to whole 16 bytes).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from animelm.model.lora.linear import ActiveLora
from animelm.model.moe.grouped.products import GroupedProducts
from animelm.model.moe.projection import AdaptedLinear
from animelm.model.moe.routing import Groups
from animelm.model.quantization.linear4bit import stacked_weight

_COLUMNS = 8  # 16 bytes in bf16, 32 in float32


@dataclass(frozen=True)
class GroupedEngine:
    """How the experts of a layer are computed together.

    Attributes:
        products: the grouped products.
        experts_at_once: number of experts that are dequantized at a time; None: all of a layer.
    """

    products: GroupedProducts
    experts_at_once: int | None = None


class _FrozenWeights:
    """The dequantized weights of all experts, or of a part of them at a time."""

    def __init__(
        self, layers: Sequence[nn.Linear], dtype: torch.dtype, engine: GroupedEngine
    ) -> None:
        self.layers, self.dtype, self.products = layers, dtype, engine.products
        self.at_once = min(engine.experts_at_once or len(layers), len(layers))

    @cached_property
    def _all(self) -> Tensor:
        return stacked_weight(self.layers, self.dtype)

    def rows(self, x: Tensor, groups: Groups, transposed: bool) -> Tensor:
        """x Wᵀ [N, O] if ``transposed``, else x W [N, I]."""
        if self.at_once == len(self.layers):
            weights = self._all.transpose(1, 2) if transposed else self._all
            return self.products.rows(x, weights, groups)
        layer = self.layers[0]
        y = x.new_empty(len(x), layer.out_features if transposed else layer.in_features)
        for first in range(0, len(self.layers), self.at_once):
            part = stacked_weight(self.layers[first : first + self.at_once], self.dtype)
            weights = part.transpose(1, 2) if transposed else part
            self.products.write_rows(y, x, weights, groups, first)
            del part, weights  # before the next part is dequantized
        return y


class GroupedProjection:
    """A linear layer of every expert, and the adapters on it, in the compute type.

    Args:
        linears: The layer and adapter of every expert, alike in shape, scaling and dropout.
        dtype: The compute type.
        engine: How they are computed.
        groups: The rows of each expert.
    """

    def __init__(
        self,
        linears: Sequence[AdaptedLinear],
        dtype: torch.dtype,
        engine: GroupedEngine,
        groups: Groups,
    ) -> None:
        self.products, self.groups = engine.products, groups
        self.frozen = _FrozenWeights([linear.layer for linear in linears], dtype, engine)
        self.lora = linears[0].lora
        self.has_bias = linears[0].layer.bias is not None
        ranks = [len(lora.lora_a) for lora in _loras(linears[0])]
        self.rank = ranks[0] if self.lora else 0
        self.bias_column = sum(ranks)
        self.columns = -(-(self.bias_column + self.has_bias) // _COLUMNS) * _COLUMNS
        stacks = list(zip(*(_loras(linear) for linear in linears), strict=True))
        self.lora_a = self._padded_a(stacks[:1], 0, dtype) if self.lora else None
        self.below_a = self._padded_a(stacks[1:], self.rank, dtype) if stacks[1:] else None
        self.scaled_b = self._padded_b(linears, stacks, dtype)

    def _padded_a(
        self, stacks: Sequence[Sequence[ActiveLora]], first: int, dtype: torch.dtype
    ) -> Tensor:
        """A of every expert, of the given adapters from row ``first`` on, else zero: [E, P, I]."""
        shape = (len(stacks[0]), self.columns, stacks[0][0].lora_a.shape[1])
        padded = stacks[0][0].lora_a.new_zeros(shape, dtype=dtype)
        for loras in stacks:
            lora_a = torch.stack([lora.lora_a for lora in loras])
            padded[:, first : first + lora_a.shape[1]] = lora_a
            first += lora_a.shape[1]
        return padded

    def _padded_b(
        self,
        linears: Sequence[AdaptedLinear],
        stacks: Sequence[Sequence[ActiveLora]],
        dtype: torch.dtype,
    ) -> Tensor:
        """s · B of every adapter and the bias, side by side, then zero: [E, O, P]."""
        layer = linears[0].layer
        shape = (len(linears), layer.out_features, self.columns)
        padded = layer.weight.new_zeros(shape, dtype=dtype)
        first = 0
        for loras in stacks:
            lora_b = torch.stack([lora.lora_b for lora in loras])
            end = first + lora_b.shape[2]
            torch.mul(lora_b, loras[0].scaling, out=padded[..., first:end])
            first = end
        if self.has_bias:
            padded[..., self.bias_column] = torch.stack([linear.layer.bias for linear in linears])
        return padded

    @property
    def dropout(self) -> float:
        """Rate of the adapters' dropout."""
        return self.lora.dropout if self.lora else 0.0

    def hidden(self, x: Tensor, masked_x: Tensor) -> Tensor:
        """A·x of each row and the bias's 1, [N, P].

        Args:
            x: [N, I].
            masked_x: [N, I], x after dropout, which frozen adapters do not have.
        """
        if self.lora_a is None:
            hidden = x.new_zeros(len(x), self.columns)
        else:
            hidden = self.products.rows(masked_x, self.lora_a.transpose(1, 2), self.groups)
        if self.below_a is not None:
            self.products.add_rows(hidden, x, self.below_a.transpose(1, 2), self.groups)
        if self.has_bias:
            hidden[:, self.bias_column] = 1
        return hidden

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """The output [N, O] for x [N, I], and ``hidden`` [N, P]."""
        y = self.frozen.rows(x, self.groups, transposed=True)
        hidden = self.hidden(x, masked(x, mask))
        if self.columns:
            self.products.add_rows(y, hidden, self.scaled_b.transpose(1, 2), self.groups)
        return y, hidden

    def input_gradient(self, grad_y: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """The gradients of x [N, I] and of ``hidden`` [N, P]."""
        grad_x = self.frozen.rows(grad_y, self.groups, transposed=False)
        if not self.columns:
            return grad_x, grad_y.new_empty(len(grad_y), 0)
        grad_hidden = self.products.rows(grad_y, self.scaled_b, self.groups)
        if self.below_a is not None:
            self.products.add_rows(grad_x, grad_hidden, self.below_a, self.groups)
        if self.lora_a is None:
            pass
        elif mask is None:
            self.products.add_rows(grad_x, grad_hidden, self.lora_a, self.groups)
        else:
            grad_x.addcmul_(self.products.rows(grad_hidden, self.lora_a, self.groups), mask)
        return grad_x, grad_hidden

    def adapter_gradients(
        self, masked_x: Tensor, hidden: Tensor, grad_y: Tensor, grad_hidden: Tensor
    ) -> list[Tensor]:
        """Gradients of A [E, R, I] and of B [E, O, R] in the parameters' type."""
        if not self.lora:
            return []
        dtype = self.lora.lora_a.dtype
        grad_a = self.products.outer(grad_hidden, masked_x, self.groups)
        grad_b = self.products.outer(grad_y, hidden, self.groups).to(dtype)
        # A product of its own memory, because autograd copies a gradient that has gaps.
        grad_b = grad_b[..., : self.rank].mul(self.lora.scaling)
        return [grad_a[:, : self.rank].to(dtype), grad_b]


def masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """x after dropout."""
    return x if mask is None else x * mask


def are_alike(linears: Sequence[AdaptedLinear]) -> bool:
    """Whether one stack can hold the layers and their adapters."""
    first = linears[0]
    return all(
        type(linear.layer) is type(first.layer)
        and linear.layer.weight.shape == first.layer.weight.shape
        and (linear.layer.bias is None) == (first.layer.bias is None)
        and _shapes(linear) == _shapes(first)
        for linear in linears
    )


def _loras(linear: AdaptedLinear) -> list[ActiveLora]:
    """Its adapters, the one that may be trained first."""
    return [linear.lora, *linear.below] if linear.lora else []


def _shapes(linear: AdaptedLinear) -> list[tuple[object, ...]]:
    return [
        (lora.lora_a.shape, lora.lora_a.dtype, lora.scaling, lora.dropout)
        for lora in _loras(linear)
    ]
