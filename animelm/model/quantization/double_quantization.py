"""Scales in 8 bits instead of 32: QLoRA's double quantization (arXiv 2305.14314, section 3).

As in bitsandbytes, the mean of a weight's scales is subtracted, and the rest is quantized in blocks
of 256: each is divided by its block's largest magnitude, and replaced by the index of the nearest
of 256 levels, which are denser near 0.
"""

from functools import cache
from typing import NamedTuple

import bitsandbytes  # noqa: F401 (registers the operators used below)
import torch
from bitsandbytes.functional import create_dynamic_map
from torch import Tensor

NESTED_BLOCK = 256


class NestedScales(NamedTuple):
    """The quantized scales of one weight.

    Attributes:
        codes: uint8 [scales], indices of their levels.
        largest: float32, one per block of 256 scales.
        mean: float32 [1], mean of all scales.
    """

    codes: Tensor
    largest: Tensor
    mean: Tensor

    @staticmethod
    def quantize(scales: Tensor) -> "NestedScales":
        """Quantizes ``scales``, float32 [scales]."""
        mean = scales.mean().view(1)
        codes, largest = torch.ops.bitsandbytes.quantize_blockwise(
            scales - mean, nested_levels(scales.device), NESTED_BLOCK
        )
        return NestedScales(codes, largest, mean)

    def dequantize(self) -> Tensor:
        """Float32 [scales]."""
        scales = torch.ops.bitsandbytes.dequantize_blockwise(
            self.codes, self.largest, nested_levels(self.codes.device), NESTED_BLOCK, torch.float32
        )
        return scales.add_(self.mean)

    def dequantize_rows(self) -> Tensor:
        """Float32 [weights · scales], of weights of one size whose parts are stacked.

        The codes are [weights, scales], the largest values [weights, blocks] and the means
        [weights, 1]. A weight's last block may be shorter, so blocks cannot simply be concatenated.
        """
        weights, scales = self.codes.shape
        levels = nested_levels(self.codes.device).index_select(0, self.codes.flatten().int())
        largest = self.largest[:, :, None].expand(-1, -1, NESTED_BLOCK)
        largest = largest.reshape(weights, -1)[:, :scales]
        return levels.view_as(largest).mul_(largest).add_(self.mean).flatten()


@cache
def nested_levels(device: torch.device) -> Tensor:
    """Float32 [256] from -1 to 1: bitsandbytes' dynamic map (arXiv 1511.04561)."""
    return create_dynamic_map().to(device)


def nested_blocks(scales: int) -> int:
    """Number of blocks of ``scales`` scales."""
    return -(-scales // NESTED_BLOCK)
