"""Linear layers whose frozen weight is held in 4 bits.

The packed bytes and their scales are plain parameters, so that they are saved, moved and sharded
like any other; bitsandbytes' functions work on them.

Legend: N rows, I input width, O output width.
"""

from typing import Literal

import bitsandbytes  # noqa: F401 (registers the operators used below)
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Quantization = Literal["nf4", "mxfp4", "none"]
_NF4_BLOCK = 64


class PackedLinear(nn.Linear):
    """A frozen linear layer in 4 bits; its subclasses say in which format.

    The weight is dequantised for the forward pass and again for the backward pass, and dropped both
    times. Its gradient is never formed.

    Attributes:
        weight: uint8 [O, I / 2], two values a byte.
        scales: one scale a block of values; shape and dtype are the format's.
        bias: [O], or None.
    """

    block_size: int

    def __init__(self, in_features: int, out_features: int, bias: bool, device=None) -> None:
        nn.Module.__init__(self)
        if in_features % 2:
            raise ValueError(f"in_features is {in_features}; 4-bit rows need an even width")
        self.in_features, self.out_features = in_features, out_features
        packed = torch.empty(out_features, in_features // 2, dtype=torch.uint8, device=device)
        self.weight = nn.Parameter(packed, requires_grad=False)
        self.scales = nn.Parameter(self._empty_scales(device), requires_grad=False)
        self.register_parameter("bias", None)
        if bias:
            held = torch.empty(out_features, device=device)
            self.bias = nn.Parameter(held, requires_grad=False)

    def _empty_scales(self, device) -> Tensor:
        raise NotImplementedError

    def _unpack(self, weight: Tensor, scales: Tensor, dtype: torch.dtype) -> Tensor:
        """Values [O, I] of whole rows of packed bytes and their scales."""
        raise NotImplementedError

    def dequantize(self, dtype: torch.dtype, even_rows_first: bool = False) -> Tensor:
        """The weight [O, I] in ``dtype``.

        Args:
            dtype: float32, bfloat16 or float16.
            even_rows_first: all even rows, then all odd ones, which parts gpt-oss's interleaved
                gate and up. Where scales belong to whole rows the packed bytes are reordered, a
                quarter of the traffic of reordering what comes out.
        """
        if not even_rows_first:
            return self._unpack(self.weight, self.scales, dtype)
        if self.in_features % self.block_size:
            return evens_first(self._unpack(self.weight, self.scales, dtype))
        scales = evens_first(self.scales.view(self.out_features, -1)).view_as(self.scales)
        return self._unpack(evens_first(self.weight), scales, dtype)

    def load_packed(self, weight: Tensor, scales: Tensor) -> None:
        """Takes bytes and scales that are already in this layer's format.

        Raises:
            ValueError: their sizes are not this layer's.
        """
        self.weight = _like(self.weight, weight)
        self.scales = _like(self.scales, scales)

    def forward(self, input: Tensor) -> Tensor:
        rows = input.reshape(-1, self.in_features)
        return _PackedProduct.apply(rows, self).view(*input.shape[:-1], self.out_features)


def _like(old: Tensor, new: Tensor) -> nn.Parameter:
    if new.dtype != old.dtype or new.numel() != old.numel():
        raise ValueError(
            f"expected {tuple(old.shape)} {old.dtype}, got {tuple(new.shape)} {new.dtype}"
        )
    return nn.Parameter(new.reshape(old.shape).contiguous(), requires_grad=False)


class _PackedProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        bias = None if layer.bias is None else layer.bias.to(x.dtype)
        return F.linear(x, layer.dequantize(x.dtype), bias)

    @staticmethod
    def backward(ctx, grad_y):
        return grad_y @ ctx.layer.dequantize(grad_y.dtype), None


class Linear4bit(PackedLinear):
    """NF4 (QLoRA, arXiv 2305.14314): blocks of 64 values, one float32 scale each.

    Blocks run through the flattened weight.
    """

    block_size = _NF4_BLOCK

    def _empty_scales(self, device) -> Tensor:
        blocks = -(-self.in_features * self.out_features // _NF4_BLOCK)
        return torch.empty(blocks, dtype=torch.float32, device=device)

    @torch.no_grad()
    def load_weight(self, weight: Tensor) -> None:
        """Quantises ``weight`` [O, I] of any float type; only its 4-bit form is kept."""
        packed, scales = torch.ops.bitsandbytes.quantize_4bit(
            weight.float().contiguous(), _NF4_BLOCK, "nf4", torch.uint8
        )
        self.load_packed(packed, scales)

    def _unpack(self, weight: Tensor, scales: Tensor, dtype: torch.dtype) -> Tensor:
        shape = (self.out_features, self.in_features)
        return torch.ops.bitsandbytes.dequantize_4bit(
            weight, scales, _NF4_BLOCK, "nf4", shape, dtype
        )


def make_linear(
    in_features: int, out_features: int, bias: bool, quantization: Quantization
) -> nn.Linear:
    """A linear layer on the meta device, 4-bit or ordinary."""
    if quantization == "nf4":
        return Linear4bit(in_features, out_features, bias, device="meta")
    return nn.Linear(in_features, out_features, bias, device="meta")


def evens_first(rows: Tensor) -> Tensor:
    """[O, …] -> [O, …]: rows 0, 2, 4, …, then rows 1, 3, 5, …"""
    return rows.unflatten(0, (-1, 2)).transpose(0, 1).flatten(0, 1)


def weight_in(layer: nn.Linear, dtype: torch.dtype, even_rows_first: bool = False) -> Tensor:
    """The layer's weight [O, I] in ``dtype``: dequantised now, or as it is.

    Args:
        layer: a layer in 4 bits, or an ordinary one.
        dtype: float32, bfloat16 or float16.
        even_rows_first: see ``PackedLinear.dequantize``.
    """
    if isinstance(layer, PackedLinear):
        return layer.dequantize(dtype, even_rows_first)
    return (evens_first(layer.weight) if even_rows_first else layer.weight).to(dtype)


def bits_per_weight(layer: nn.Module) -> int:
    """4 for a quantised linear layer, else the bits of the weight's type."""
    if isinstance(layer, PackedLinear):
        return 4
    return torch.finfo(layer.weight.dtype).bits  # type: ignore[arg-type]
