import torch
from bitsandbytes.functional import quantize_4bit
from hypothesis import given
from hypothesis import strategies as st

from animelm.model.quantization.double_quantization import NestedScales, nested_blocks


@given(st.integers(0, 2**32 - 1), st.integers(1, 700))
def test_codes_sizes_and_mean_are_those_of_bitsandbytes(seed: int, blocks: int) -> None:
    weight = torch.randn(blocks, 64, generator=torch.Generator().manual_seed(seed))
    scales = weight.abs().amax(1)
    _, theirs = quantize_4bit(weight, quant_type="nf4", compress_statistics=True)
    ours = NestedScales.quantize(scales)
    assert torch.equal(ours.codes, theirs.absmax)
    assert torch.equal(ours.largest, theirs.state2.absmax)
    assert torch.equal(ours.mean[0], theirs.offset)
    assert len(ours.largest) == nested_blocks(blocks)


def test_what_comes_back_is_within_half_a_step() -> None:
    scales = torch.rand(1000) + 0.1
    nested = NestedScales.quantize(scales)
    error = (nested.dequantize() - scales).abs()
    # The widest steps, those farthest from 0, are 0.0141 of a block's largest magnitude.
    largest = nested.largest.repeat_interleave(256)[:1000]
    assert (error <= 0.00705 * largest + 1e-7).all()
    assert nested.dequantize().dtype == torch.float32


def test_scales_that_are_all_alike_come_back_as_they_were() -> None:
    scales = torch.full((300,), 0.25)
    assert torch.equal(NestedScales.quantize(scales).dequantize(), scales)
