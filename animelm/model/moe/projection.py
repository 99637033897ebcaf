"""One of an expert's two linear layers with its LoRA update, forward and backward without autograd.

Legend: n rows, I input width, O output width, R LoRA rank.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from animelm.model.lora.linear import ActiveLora, LoraLinear, LoraUpdate
from animelm.model.products import FrozenProduct
from animelm.model.quantization.linear4bit import weight_in
from animelm.model.quantization.packed_linear import PackedLinear, evens_first


class AdaptedLinear(NamedTuple):
    """A frozen linear layer and what is active on it.

    Attributes:
        layer: the layer.
        lora: the adapter that may be trained, if any.
        below: frozen adapters without dropout that it is stacked on.
    """

    layer: nn.Linear
    lora: ActiveLora | None
    below: tuple[ActiveLora, ...] = ()


def adapted_linear(module: nn.Module) -> AdaptedLinear | None:
    """The layer and adapters of ``module``; None if only its own forward pass can compute it."""
    base = module.get_base_layer() if isinstance(module, LoraLinear) else module
    if not isinstance(base, nn.Linear) or base.weight.requires_grad:
        return None
    if not isinstance(module, LoraLinear) or module.disable_adapters:
        return AdaptedLinear(base, None)
    loras = module.active_loras()
    if loras is None:
        return None
    return AdaptedLinear(base, loras[-1], loras[:-1])


class Projection:
    """A layer and its adapter in the compute type, dequantized for the duration of a pass.

    Args:
        linear: The layer and its adapters.
        dtype: The compute type.
        even_rows_first: See ``PackedLinear.dequantize``; biases and B are reordered alike.
        kept: Whether it lasts; otherwise the next projection may take the weight's memory.
        merged: Whether B·A of the adapters is added to the weight, for passes without gradients. It
            is in fp32 alone: in bf16, rounding the sum would lose the update.
    """

    def __init__(
        self,
        linear: AdaptedLinear,
        dtype: torch.dtype,
        even_rows_first: bool = False,
        kept: bool = False,
        merged: bool = False,
    ) -> None:
        self.even_rows_first = even_rows_first
        layer, lora = linear.layer, linear.lora
        out = None
        if isinstance(layer, PackedLinear) and not kept:
            # gate_up and down may be dequantized at the same time, so each has its own workspace.
            out = _workspace(even_rows_first, layer, dtype)
        self.weight = weight_in(layer, dtype, even_rows_first, out)
        self.bias = None if layer.bias is None else self._reordered(layer.bias).to(dtype)
        self.update = None
        if lora:
            self.parameter_dtype = lora.lora_a.dtype
            self.update = self._update(lora, dtype)
        self.below = [self._update(each, dtype) for each in linear.below]
        if merged and dtype == torch.float32:
            self._merge()
        self._product: FrozenProduct | None = None

    def _merge(self) -> None:
        for update in self._updates():
            self.weight = self.weight + update.scaled_b @ update.lora_a
        self.update, self.below = None, []

    def _updates(self) -> list[LoraUpdate]:
        return [*self.below, *([self.update] if self.update else [])]

    def _update(self, lora: ActiveLora, dtype: torch.dtype) -> LoraUpdate:
        lora_b = self._reordered(lora.lora_b).to(dtype)
        return LoraUpdate(lora.lora_a.to(dtype), lora_b, lora.scaling)

    def _reordered(self, parameter: Tensor) -> Tensor:
        return evens_first(parameter) if self.even_rows_first else parameter

    def forward(self, x: Tensor, mask: Tensor | None, y: Tensor) -> Tensor | None:
        """Writes the output for x [n, I] into ``y`` [n, O]; returns the adapter's A·x [n, R]."""
        if self.bias is None:
            torch.mm(x, self.weight.T, out=y)
        else:
            torch.addmm(self.bias, x, self.weight.T, out=y)
        for update in self.below:
            update.add_to(y, update.hidden(x, None))
        if self.update is None:
            return None
        hidden = self.update.hidden(x, mask)
        self.update.add_to(y, hidden)
        return hidden

    def output(self, x: Tensor) -> Tensor:
        """x [n, I] -> [n, O], where no gradient follows."""
        if self._product is None:
            self._product = FrozenProduct(self.weight, self.bias)
        y = self._product(x)
        for update in self._updates():
            update.add_to(y, update.hidden(x, None))
        return y

    def input_gradient(self, grad_y: Tensor, mask: Tensor | None, grad_x: Tensor) -> Tensor | None:
        """Writes the gradient of x into ``grad_x`` [n, I]; returns that of the adapter's A·x."""
        torch.mm(grad_y, self.weight, out=grad_x)
        for update in self.below:
            update.add_input_gradient(grad_x, update.hidden_gradient(grad_y), None)
        if self.update is None:
            return None
        grad_hidden = self.update.hidden_gradient(grad_y)
        self.update.add_input_gradient(grad_x, grad_hidden, mask)
        return grad_hidden

    def adapter_gradients(
        self,
        x: Tensor,
        mask: Tensor | None,
        hidden: Tensor | None,
        grad_y: Tensor,
        grad_hidden: Tensor | None,
        row_weights: Tensor | None = None,
    ) -> list[Tensor]:
        """Gradients of A and B in the parameters' own type; none without an adapter.

        Args:
            x: [n, I], as ``forward`` received it.
            mask: dropout mask [n, I], or None.
            hidden: [n, R], what ``forward`` returned.
            grad_y: [n, O].
            grad_hidden: [n, R], what ``input_gradient`` returned; it is overwritten.
            row_weights: [n, 1], a weight for each row; None: all rows count alike.
        """
        if self.update is None or hidden is None or grad_hidden is None:
            return []
        if row_weights is not None:
            grad_hidden, hidden = grad_hidden.mul_(row_weights), hidden * row_weights
        grad_a, grad_b = self.update.parameter_gradients(
            x, mask, hidden, grad_y, grad_hidden, self.parameter_dtype
        )
        if self.even_rows_first:
            grad_b = grad_b.unflatten(0, (2, -1)).transpose(0, 1).flatten(0, 1)
        return [grad_a, grad_b]


_WORKSPACES: dict[tuple[bool, torch.dtype, torch.device], Tensor] = {}


def _workspace(first: bool, layer: PackedLinear, dtype: torch.dtype) -> Tensor:
    """Memory for one dequantized weight, shared by all experts: it stays mapped and in cache."""
    shape = (layer.out_features, layer.in_features)
    key = (first, dtype, layer.weight.device)
    held = _WORKSPACES.get(key)
    if held is None or held.numel() < shape[0] * shape[1]:
        with torch.inference_mode(False):  # else training could not write into it later
            held = _WORKSPACES[key] = torch.empty(
                shape[0] * shape[1], dtype=dtype, device=layer.weight.device
            )
    return held[: shape[0] * shape[1]].view(shape)
