"""Linear layers in NF4, and the choice of a layer by the quantization setting.

Legend: I input width, O output width.
"""

from collections.abc import Sequence
from typing import Literal, cast

import bitsandbytes  # noqa: F401 (registers the operators used below)
import torch
from torch import Tensor, nn

from animelm.model.operators import operator
from animelm.model.quantization.double_quantization import NestedScales, nested_blocks
from animelm.model.quantization.mxfp4 import LinearMXFP4
from animelm.model.quantization.nf4 import BLOCK, dequantize_nf4, quantize_nf4, unpack_nf4
from animelm.model.quantization.packed_linear import PackedLinear, evens_first
from animelm.model.stacks import selected, stacked

Quantization = Literal["nf4", "nf4-double", "mxfp4", "none"]


class Linear4bit(PackedLinear):
    """NF4 (QLoRA, arXiv 2305.14314): blocks of 64 values, one float32 scale each.

    Blocks run through the flattened weight.
    """

    block_size = BLOCK

    @property
    def _blocks(self) -> int:
        return -(-self.in_features * self.out_features // BLOCK)

    def _empty_scales(self, device) -> tuple[Tensor, ...]:
        return (torch.empty(self._blocks, dtype=torch.float32, device=device),)

    def stored_scales(self, scales: Tensor) -> tuple[Tensor, ...]:
        """``scales``, float32 [blocks], in the form that ``load_packed`` takes."""
        return (scales,)

    @torch.no_grad()
    def load_weight(self, weight: Tensor) -> None:
        """Quantizes ``weight`` [O, I] of any float type; only its 4-bit form is kept."""
        packed, scales = quantize_nf4(weight)
        self.load_packed(packed, *self.stored_scales(scales))

    def _unpack(self, weight: Tensor, scales: Tensor, out: Tensor) -> Tensor:
        return dequantize_nf4(weight, scales, out)

    @classmethod
    def _unpack_all(cls, packed: Tensor, scales: Sequence[Tensor], out: Tensor) -> None:
        unpack_nf4(packed, *scales, out)


class LinearDouble4bit(Linear4bit):
    """NF4 with double quantization: 4.13 bits per value instead of 4.5.

    Attributes:
        scales, largest_scales, mean_scale: the parts of ``NestedScales``.
    """

    SCALES = ("scales", "largest_scales", "mean_scale")

    def _empty_scales(self, device) -> tuple[Tensor, ...]:
        codes = torch.empty(self._blocks, dtype=torch.uint8, device=device)
        largest = torch.empty(nested_blocks(self._blocks), device=device)
        return codes, largest, torch.empty(1, device=device)

    def _block_scales(self) -> Tensor:
        return NestedScales(*self.scale_parameters()).dequantize()

    @classmethod
    def _unpack_all(cls, packed: Tensor, scales: Sequence[Tensor], out: Tensor) -> None:
        unpack_nested_nf4(packed, *scales, out)

    def stored_scales(self, scales: Tensor) -> tuple[Tensor, ...]:
        return NestedScales.quantize(scales)


@operator(
    "(Tensor packed, Tensor codes, Tensor largest, Tensor mean, Tensor(a!) out) -> ()",
    "animelm.model.quantization.kernels.unpack",
)
def unpack_nested_nf4(
    packed: Tensor, codes: Tensor, largest: Tensor, mean: Tensor, out: Tensor
) -> None:
    """``unpack_nf4`` for scales in 8 bits, whose parts are stacked: [weights, …]."""
    dequantize_nf4(packed, NestedScales(codes, largest, mean).dequantize_rows(), out)


def make_linear(
    in_features: int, out_features: int, bias: bool, quantization: Quantization
) -> nn.Linear:
    """A linear layer on the meta device, 4-bit or ordinary."""
    if quantization == "mxfp4":
        return LinearMXFP4(in_features, out_features, bias, device="meta")
    if quantization == "nf4":
        return Linear4bit(in_features, out_features, bias, device="meta")
    if quantization == "nf4-double":
        return LinearDouble4bit(in_features, out_features, bias, device="meta")
    return nn.Linear(in_features, out_features, bias, device="meta")


def weight_in(
    layer: nn.Linear,
    dtype: torch.dtype,
    even_rows_first: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """The layer's weight [O, I] in ``dtype``, dequantized if it is in 4 bits.

    Args:
        layer: a layer in 4 bits, or an ordinary one.
        dtype: a float type.
        even_rows_first, out: see ``PackedLinear.dequantize``.
    """
    if isinstance(layer, PackedLinear):
        return layer.dequantize(dtype, even_rows_first, out)
    return (evens_first(layer.weight) if even_rows_first else layer.weight).to(dtype)


def stacked_weight(
    layers: Sequence[nn.Linear], dtype: torch.dtype, chosen: Tensor | None = None
) -> Tensor:
    """The weights [E, O, I] in ``dtype`` of E layers of one kind and size, in a few operations.

    With ``chosen``, see ``PackedLinear.dequantize_all``.
    """
    first = layers[0]
    if isinstance(first, PackedLinear):
        return type(first).dequantize_all(cast(Sequence[PackedLinear], layers), dtype, chosen)
    return selected(stacked([layer.weight for layer in layers]), chosen).to(dtype)


def bits_per_weight(layer: nn.Module) -> int:
    """4 for a quantized linear layer, else the bits of the weight's type."""
    if isinstance(layer, PackedLinear):
        return 4
    return torch.finfo(layer.weight.dtype).bits  # type: ignore[arg-type]
