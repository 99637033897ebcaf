import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from animelm.model.quantization.nf4 import quantize_nf4


def bitsandbytes_quantized(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.ops.bitsandbytes.quantize_4bit(weight.float(), 64, "nf4", torch.uint8)


def assert_same(weight: torch.Tensor) -> None:
    for ours, theirs in zip(quantize_nf4(weight), bitsandbytes_quantized(weight), strict=True):
        assert ours.shape == theirs.shape
        assert torch.equal(ours, theirs)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 40),
    st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
    st.sampled_from([1e-30, 1e-3, 1.0, 1e4]),
)
def test_bytes_and_scales_are_those_of_bitsandbytes(
    seed: int, blocks: int, dtype: torch.dtype, size: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = (torch.randn(blocks, 64, generator=generator) * size).to(dtype)
    weight[0, :3] = torch.tensor([0.0, -0.0, float(weight.abs().max())])
    assert_same(weight)


def test_quotients_on_and_beside_every_bound_get_the_level_of_bitsandbytes() -> None:
    levels = torch.ops.bitsandbytes.dequantize_4bit(
        torch.arange(16, dtype=torch.uint8) << 4 | torch.arange(16, dtype=torch.uint8),
        torch.ones(1), 64, "nf4", (32,), torch.float32,
    ).flatten()[::2]  # fmt: skip
    bounds = (levels[1:] + levels[:-1]) / 2
    below = torch.nextafter(bounds, torch.tensor(-2.0))
    above = torch.nextafter(bounds, torch.tensor(2.0))
    assert_same(torch.cat([bounds, below, above, levels, torch.tensor([1.0, -1.0, 0.0])]))


def test_every_bfloat16_quotient_gets_the_level_of_bitsandbytes() -> None:
    values = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    values = values[values.abs() <= 1]
    values = values[: len(values) // 63 * 63].view(-1, 63)
    assert_same(torch.cat([values, torch.ones(len(values), 1).bfloat16()], 1))


@pytest.mark.parametrize("shape", [(64, 64), (3, 32), (5000, 64)])
def test_blocks_of_zeros_ragged_ends_and_many_chunks_are_no_exception(shape) -> None:
    weight = torch.randn(shape)
    weight[1] = 0
    assert_same(weight)
    assert_same(weight.T)
