"""Linear layers whose frozen weight bitsandbytes holds in 4 bits (NF4, QLoRA, arXiv 2305.14314)."""

from typing import Any, Literal, cast

import bitsandbytes as bnb
import torch
from bitsandbytes.functional import dequantize_4bit
from torch import Tensor, nn

Quantization = Literal["nf4", "none"]


class Linear4bit(bnb.nn.Linear4bit):
    """bitsandbytes' 4-bit linear layer, kept in one memory layout.

    On processors with AVX-512 bf16, bitsandbytes repacks the weight in place at the first
    evaluation; the packed bytes would then mean something else to the next training step. This
    class keeps the layout.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool,
        compute_dtype: torch.dtype,
        device=None,
    ):
        super().__init__(
            in_features,
            out_features,
            bias,
            compute_dtype=compute_dtype,
            compress_statistics=False,
            quant_type="nf4",
            device=device,
        )
        self.support_avx512bf16_for_cpu = False

    @torch.no_grad()
    def load_weight(self, weight: Tensor) -> None:
        """Quantises ``weight`` [out, in] of any float type; only its 4-bit form is kept."""
        full = weight.float().contiguous()
        quantised: Any = bnb.nn.Params4bit(
            full, requires_grad=False, compress_statistics=False, quant_type="nf4", module=self
        )
        quantised = quantised.to(weight.device)  # moving it is what quantises it
        quantised.quant_state.dtype = self.compute_dtype
        self.weight = quantised


def make_linear(
    in_features: int,
    out_features: int,
    bias: bool,
    quantization: Quantization,
    compute_dtype: torch.dtype,
) -> nn.Linear:
    """A linear layer on the meta device, 4-bit or ordinary."""
    if quantization == "nf4":
        return Linear4bit(in_features, out_features, bias, compute_dtype, device="meta")
    return nn.Linear(in_features, out_features, bias, device="meta")


def dequantized_weight(layer: nn.Linear) -> Tensor:
    """The layer's weight [out, in] in its compute type: dequantised now, or as it is."""
    if isinstance(layer, bnb.nn.Linear4bit):
        weight = cast(bnb.nn.Params4bit, layer.weight)
        return dequantize_4bit(weight.data, weight.quant_state)
    return layer.weight


def bits_per_weight(layer: nn.Module) -> int:
    """4 for a quantised linear layer, else the bits of the weight's type."""
    if isinstance(layer, bnb.nn.Linear4bit):
        return 4
    return torch.finfo(cast(Tensor, layer.weight).dtype).bits
