"""One of the two linear layers of all experts, with its LoRA updates, forward and backward.

The bias is one more column of the update, whose hidden value is 1: so it is added with the update,
and backward its column of ``grad_hidden`` is the product of ``grad_y`` with the bias.

Frozen adapters that the trained one is stacked on are updates of their own.

Legend: E experts, N rows sorted by expert, I input width, O output width, R LoRA rank, P columns of
the update (ranks and bias, padded to whole 16 bytes).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from animelm.model.fused.dropout import add_dropped, drop
from animelm.model.lora.linear import ActiveLora
from animelm.model.moe.grouped.operators import adapter_gradients, pack_update
from animelm.model.moe.grouped.products import GroupedProducts
from animelm.model.moe.projection import AdaptedLinear
from animelm.model.moe.routing import Groups
from animelm.model.quantization.linear4bit import stacked_weight
from animelm.model.stacks import selected, stacked

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
    """The dequantized weights of all experts, of a part of them at a time, or of chosen ones."""

    def __init__(
        self,
        layers: Sequence[nn.Linear],
        dtype: torch.dtype,
        engine: GroupedEngine,
        chosen: Tensor | None,
    ) -> None:
        self.layers, self.dtype, self.products = layers, dtype, engine.products
        self.chosen = chosen
        self.at_once = min(engine.experts_at_once or len(layers), len(layers))

    @cached_property
    def _all(self) -> Tensor:
        return stacked_weight(self.layers, self.dtype, self.chosen)

    def rows(self, x: Tensor, groups: Groups, transposed: bool) -> Tensor:
        """x Wᵀ [N, O] if ``transposed``, else x W [N, I]."""
        if self.chosen is not None or self.at_once == len(self.layers):
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


class _Update:
    """One adapter of every expert, or the bias alone, in the compute type.

    Attributes:
        lora: the first expert's; None: there is only the bias.
        lora_a: A, padded with zeros: [E, P, I].
        scaled_b: s · B and the bias, padded: [E, O, P].
        bias_column: the bias's place in P; None without a bias.
    """

    def __init__(
        self,
        loras: Sequence[ActiveLora],
        layers: Sequence[nn.Linear],
        has_bias: bool,
        dtype: torch.dtype,
        chosen: Tensor | None,
    ) -> None:
        self.lora = loras[0] if loras else None
        rank = len(loras[0].lora_a) if loras else 0
        self.bias_column = rank if has_bias else None
        columns = update_columns(rank + has_bias)
        sizes = (len(layers), layers[0].out_features, layers[0].in_features)
        lora_a, lora_b = (
            stacked([getattr(lora, name) for lora in loras]) if loras else None
            for name in ("lora_a", "lora_b")
        )
        bias = stacked([layer.bias for layer in layers]) if has_bias else None
        scaling = self.lora.scaling if self.lora else 1.0
        packed = pack_update(lora_a, lora_b, bias, scaling, sizes, columns, dtype)
        self.lora_a, self.scaled_b = (selected(each, chosen) for each in packed)

    def hidden(
        self, x: Tensor, products: GroupedProducts, groups: Groups, bias: bool = True
    ) -> Tensor:
        """A·x of each row and, if asked for, the bias's 1: [N, P]."""
        if self.lora is None:
            hidden = x.new_zeros(len(x), self.lora_a.shape[1])
        else:
            hidden = products.rows(x, self.lora_a.transpose(1, 2), groups)
        if bias and self.bias_column is not None:
            hidden[:, self.bias_column].fill_(1)
        return hidden


class GroupedProjection:
    """A linear layer of every expert, and the adapters on it, in the compute type.

    Args:
        linears: The layer and adapter of every expert, alike in shape, scaling and dropout.
        dtype: The compute type.
        engine: How they are computed.
        groups: The rows of each expert.
        seed: Of the dropout's masks.
        chosen: The expert of each group; None: the groups are the experts in order.
    """

    def __init__(
        self,
        linears: Sequence[AdaptedLinear],
        dtype: torch.dtype,
        engine: GroupedEngine,
        groups: Groups,
        seed: int,
        chosen: Tensor | None = None,
    ) -> None:
        self.products, self.groups, self.seed = engine.products, groups, seed
        layers = [linear.layer for linear in linears]
        self.frozen = _FrozenWeights(layers, dtype, engine, chosen)
        self.lora = linears[0].lora
        has_bias = layers[0].bias is not None
        trained = [linear.lora for linear in linears if linear.lora]
        self.update = None
        if trained or has_bias:
            self.update = _Update(trained, layers, has_bias, dtype, chosen)
        below = zip(*(linear.below for linear in linears), strict=True)
        self.below = [_Update(loras, layers, False, dtype, chosen) for loras in below]

    def dropped(self, x: Tensor) -> Tensor:
        """x after the trained adapters' dropout."""
        if self.lora is None or not self.lora.dropout:
            return x
        masked: Tensor = drop(x, self.seed, self.lora.dropout)
        return masked

    def hidden(self, masked_x: Tensor, bias: bool = True) -> Tensor:
        """A·x and, if asked for, the bias's 1 for x after dropout [N, I]: [N, P]."""
        if self.update is None:
            return masked_x.new_empty(len(masked_x), 0)
        return self.update.hidden(masked_x, self.products, self.groups, bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The output [N, O] for x [N, I], and ``hidden`` [N, P]."""
        y = self.frozen.rows(x, self.groups, transposed=True)
        hidden = self.hidden(self.dropped(x))
        if self.update is not None:
            self._add(y, hidden, self.update.scaled_b.transpose(1, 2))
        for below in self.below:
            below_hidden = below.hidden(x, self.products, self.groups)
            self._add(y, below_hidden, below.scaled_b.transpose(1, 2))
        return y, hidden

    def input_gradient(self, grad_y: Tensor) -> tuple[Tensor, Tensor]:
        """The gradients of x [N, I] and of ``hidden`` [N, P]."""
        grad_x = self.frozen.rows(grad_y, self.groups, transposed=False)
        for below in self.below:
            below_hidden = self.products.rows(grad_y, below.scaled_b, self.groups)
            self._add(grad_x, below_hidden, below.lora_a)
        if self.update is None:
            return grad_x, grad_y.new_empty(len(grad_y), 0)
        grad_hidden = self.products.rows(grad_y, self.update.scaled_b, self.groups)
        if self.lora is None:
            pass
        elif self.lora.dropout:
            update = self.products.rows(grad_hidden, self.update.lora_a, self.groups)
            add_dropped(grad_x, update, self.seed, self.lora.dropout)
        else:
            self._add(grad_x, grad_hidden, self.update.lora_a)
        return grad_x, grad_hidden

    def bias_gradient(self, grad_hidden: Tensor) -> Tensor | None:
        """⟨grad_y, bias⟩ of each row [N]; None without a bias."""
        if self.update is None or self.update.bias_column is None:
            return None
        return grad_hidden[:, self.update.bias_column]

    def adapter_gradients(
        self, masked_x: Tensor, hidden: Tensor, grad_y: Tensor, grad_hidden: Tensor
    ) -> list[Tensor]:
        """Gradients of A [E, R, I] and of B [E, O, R] in the parameters' type."""
        if self.lora is None:
            return []
        return list(
            adapter_gradients(
                self.products.outer(grad_hidden, masked_x, self.groups),
                self.products.outer(grad_y, hidden, self.groups),
                *self.groups,
                len(self.lora.lora_a),
                self.lora.scaling,
                self.lora.lora_a.dtype,
            )
        )

    def _add(self, y: Tensor, x: Tensor, weights: Tensor) -> None:
        self.products.add_rows(y, x, weights, self.groups)


def update_columns(used: int) -> int:
    """P for ``used`` columns: whole 16 bytes."""
    return -(-used // _COLUMNS) * _COLUMNS


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
