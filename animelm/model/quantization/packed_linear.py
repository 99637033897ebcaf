"""Linear layers whose frozen weight is held in 4 bits, in any format.

The packed bytes and their scales are ordinary parameters, so that they are saved, moved and sharded
like any other.

Legend: N rows, I input width, O output width.
"""

from collections.abc import Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from animelm.errors import UserError
from animelm.model.stacks import selected, stacked


class PackedLinear(nn.Linear):
    """A frozen linear layer in 4 bits; subclasses define the format.

    The weight is dequantized for the forward pass and again for the backward pass, and dropped both
    times. Its gradient is never computed.

    Attributes:
        weight: uint8 [O, I / 2], two values per byte.
        scales: one scale per block of values; shape and dtype depend on the format.
        bias: [O], or None.
        SCALES: names of the parameters that hold the scales.
    """

    SCALES: tuple[str, ...] = ("scales",)
    scales: nn.Parameter
    block_size: int

    def __init__(self, in_features: int, out_features: int, bias: bool, device=None) -> None:
        nn.Module.__init__(self)
        if in_features % 2:
            raise UserError(
                f"a linear layer of this model has input width {in_features} and output width "
                f"{out_features}; 4-bit rows need an even width, so use quantization none"
            )
        self.in_features, self.out_features = in_features, out_features
        packed = torch.empty(out_features, in_features // 2, dtype=torch.uint8, device=device)
        self.weight = nn.Parameter(packed, requires_grad=False)
        for name, empty in zip(self.SCALES, self._empty_scales(device), strict=True):
            self.register_parameter(name, nn.Parameter(empty, requires_grad=False))
        held = torch.empty(out_features, device=device) if bias else None
        self.register_parameter("bias", held if held is None else nn.Parameter(held, False))

    def _empty_scales(self, device) -> tuple[Tensor, ...]:
        """Uninitialized scales, one tensor for each of ``SCALES``."""
        raise NotImplementedError

    def _block_scales(self) -> Tensor:
        """The scales for ``_unpack``, one per block in the order of the values."""
        return self.scales

    def _unpack(self, weight: Tensor, scales: Tensor, out: Tensor) -> Tensor:
        """Dequantizes whole rows of packed bytes into ``out`` [O, I] and returns it."""
        raise NotImplementedError

    def dequantize(
        self, dtype: torch.dtype, even_rows_first: bool = False, out: Tensor | None = None
    ) -> Tensor:
        """The weight [O, I] in ``dtype``.

        Args:
            dtype: a float type.
            even_rows_first: all even rows, then all odd ones, which separates gpt-oss's interleaved
                gate and up. If blocks do not cross rows, the packed bytes are reordered, a quarter
                of the memory traffic of reordering the dequantized rows.
            out: contiguous [O, I] in ``dtype`` to write into.
        """
        if dtype == torch.float64:  # for numerical gradient checks; no format supports it
            return self.dequantize(torch.float32, even_rows_first).double()
        if out is None:
            shape = (self.out_features, self.in_features)
            out = torch.empty(shape, dtype=dtype, device=self.weight.device)
        if not even_rows_first:
            return self._unpack(self.weight, self._block_scales(), out)
        if self.in_features % self.block_size:
            return evens_first(self._unpack(self.weight, self._block_scales(), out))
        scales = self._block_scales()
        reordered = evens_first(scales.view(self.out_features, -1)).view_as(scales)
        return self._unpack(evens_first(self.weight), reordered, out)

    @classmethod
    def dequantize_all(
        cls, layers: Sequence[Self], dtype: torch.dtype, chosen: Tensor | None = None
    ) -> Tensor:
        """The weights [E, O, I] of E layers of one size, dequantized in one call.

        Packed bytes and scales are taken one after the other, which is exact where no block crosses
        from one layer to the next. Where one would, the layers are dequantized one by one.

        Args:
            layers: the layers.
            dtype: a float type.
            chosen: int64 [n], the numbers of layers, each of which may come several times or not at
                all: the result is [n, O, I]; None: all in order.
        """
        first = layers[0]
        if first.in_features * first.out_features % cls.block_size:
            return selected(torch.stack([layer.dequantize(dtype) for layer in layers]), chosen)
        packed = selected(stacked([layer.weight for layer in layers]), chosen)
        parts = zip(*(layer.scale_parameters() for layer in layers), strict=True)
        scales = [selected(stacked(part), chosen) for part in parts]
        shape = (len(packed), first.out_features, first.in_features)
        out = torch.empty(shape, dtype=dtype, device=first.weight.device)
        cls._unpack_all(packed.flatten(0, 1), scales, out.flatten(0, 1))
        return out

    @classmethod
    def _unpack_all(cls, packed: Tensor, scales: Sequence[Tensor], out: Tensor) -> None:
        """Dequantizes the layers' bytes [E·O, I / 2] into ``out`` [E·O, I].

        Args:
            packed: the layers' bytes.
            scales: one tensor for each of ``SCALES``, stacked over the layers.
            out: where to write.
        """
        raise NotImplementedError

    def scale_parameters(self) -> list[nn.Parameter]:
        """All parameters beside ``weight`` that are needed to dequantize."""
        return [getattr(self, name) for name in self.SCALES]

    def load_packed(self, weight: Tensor, *scales: Tensor) -> None:
        """Replaces bytes and scales (one for each of ``SCALES``) by those of this layer's format.

        Raises:
            ValueError: their number or sizes differ from this layer's.
        """
        self.weight = _like(self.weight, weight)
        for name, own, new in zip(self.SCALES, self.scale_parameters(), scales, strict=True):
            setattr(self, name, _like(own, new))

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


def evens_first(rows: Tensor) -> Tensor:
    """[O, …] -> [O, …]: rows 0, 2, 4, …, then rows 1, 3, 5, …"""
    return rows.unflatten(0, (-1, 2)).transpose(0, 1).flatten(0, 1)
