import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from animelm.errors import UserError
from animelm.model.quantization.linear4bit import make_linear
from animelm.model.quantization.mxfp4 import LinearMXFP4, dequantize_mxfp4, encode_mxfp4


def transformers_values(blocks: torch.Tensor, scales: torch.Tensor, dtype) -> torch.Tensor:
    """[O, I]: transformers has a leading expert dimension and turns the matrix round."""
    return convert_moe_packed_tensors(blocks[None], scales[None], dtype=dtype)[0].T


def every_byte_under_every_scale() -> tuple[torch.Tensor, torch.Tensor]:
    blocks = torch.arange(256, dtype=torch.uint8).view(1, 16, 16).repeat(256, 1, 1)
    return blocks, torch.arange(256, dtype=torch.uint8)[:, None].repeat(1, 16)


def layer_of(weight: torch.Tensor) -> LinearMXFP4:
    layer = LinearMXFP4(weight.shape[1], weight.shape[0], True)
    layer.load_packed(*encode_mxfp4(weight))
    torch.nn.init.normal_(layer.bias)
    return layer


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float16])
def test_every_byte_under_every_scale_gives_the_bits_of_transformers(dtype: torch.dtype) -> None:
    blocks, scales = every_byte_under_every_scale()
    ours = dequantize_mxfp4(blocks.flatten(1), scales, dtype)
    theirs = transformers_values(blocks, scales, dtype)
    assert torch.equal(ours.isnan(), theirs.isnan())
    assert torch.equal(ours.nan_to_num(7), theirs.nan_to_num(7))
    assert torch.equal(ours.signbit()[~ours.isnan()], theirs.signbit()[~theirs.isnan()])


@given(st.integers(0, 2**32 - 1), st.integers(1, 70), st.integers(1, 5))
def test_random_rows_of_any_size_give_the_bits_of_transformers(seed: int, rows: int, blocks: int):
    generator = torch.Generator().manual_seed(seed)
    packed = torch.randint(0, 256, (rows, blocks, 16), dtype=torch.uint8, generator=generator)
    scales = torch.randint(100, 150, (rows, blocks), dtype=torch.uint8, generator=generator)
    ours = dequantize_mxfp4(packed.flatten(1), scales, torch.float32)
    assert torch.equal(ours, transformers_values(packed, scales, torch.float32))


def test_rows_that_do_not_fit_one_chunk_are_all_dequantized() -> None:
    packed = torch.randint(0, 256, (200, 128, 16), dtype=torch.uint8)
    scales = torch.randint(100, 150, (200, 128), dtype=torch.uint8)
    ours = dequantize_mxfp4(packed.flatten(1), scales, torch.bfloat16)
    assert torch.equal(ours, transformers_values(packed, scales, torch.bfloat16))


def test_what_mxfp4_can_hold_is_encoded_without_change() -> None:
    packed = torch.randint(0, 256, (40, 3, 16), dtype=torch.uint8)
    packed[..., 0] = 0x77  # the largest value is in each block, so the scale is determined
    scales = torch.randint(100, 150, (40, 3), dtype=torch.uint8)
    values = dequantize_mxfp4(packed.flatten(1), scales, torch.float32)
    again = dequantize_mxfp4(encode_mxfp4(values)[0].flatten(1), scales, torch.float32)
    assert torch.equal(again, values)
    assert torch.equal(encode_mxfp4(values)[1], scales)


def test_encoding_is_within_half_a_step() -> None:
    weight = torch.randn(2, 8, 64)
    blocks, scales = encode_mxfp4(weight)
    values = dequantize_mxfp4(blocks.flatten(0, 1).flatten(1), scales.flatten(0, 1), torch.float32)
    error = (values.view_as(weight) - weight).abs().unflatten(-1, (-1, 32))
    # A value in [6, 8) of the scale becomes 6; the widest step is 2.
    assert (error <= 2 * 2.0 ** (scales[..., None].float() - 127)).all()
    assert error.mean() < 0.1


def test_a_width_that_no_block_divides_is_refused() -> None:
    with pytest.raises(UserError, match="a multiple of 32"):
        make_linear(48, 8, True, "mxfp4")


def test_dequantizing_leaves_the_packed_bytes_to_whoever_frees_them() -> None:
    layer = layer_of(torch.randn(64, 64))
    layer.dequantize(torch.bfloat16)
    # As FSDP2 does with what it has gathered.
    layer.weight.untyped_storage().resize_(0)
