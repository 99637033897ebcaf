import torch
from hypothesis import given
from hypothesis import strategies as st

from animelm.model.quantization.mxfp4 import dequantize_mxfp4
from animelm.model.quantization.mxfp4_to_nf4 import nf4_from_mxfp4


def assert_as_bitsandbytes(packed: torch.Tensor, scales: torch.Tensor) -> None:
    values = dequantize_mxfp4(packed, scales, torch.float32)
    theirs = torch.ops.bitsandbytes.quantize_4bit(values, 64, "nf4", torch.uint8)
    for ours, expected in zip(nf4_from_mxfp4(packed, scales), theirs, strict=True):
        assert ours.shape == expected.shape and ours.dtype == expected.dtype
        assert torch.equal(ours, expected)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 40),
    st.integers(1, 5),
    st.sampled_from([(118, 122), (100, 130), (16, 240), (0, 250)]),
)
def test_bytes_and_scales_are_those_that_bitsandbytes_makes_of_the_values(
    seed: int, rows: int, blocks: int, scale_range: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(seed)
    packed = torch.randint(0, 256, (rows, 16 * blocks), dtype=torch.uint8, generator=generator)
    # Some blocks without large values, some without any.
    masks = torch.tensor([0xFF, 0xBB, 0x99, 0x88], dtype=torch.uint8)
    chosen = torch.randint(0, 4, (rows, blocks, 1), generator=generator)
    packed = (packed.view(rows, blocks, 16) & masks[chosen]).flatten(1)
    low, high = scale_range
    scales = torch.randint(low, high, (rows, blocks), dtype=torch.uint8, generator=generator)
    assert_as_bitsandbytes(packed, scales)


def test_every_byte_beside_every_largest_value_and_every_distance_of_scales() -> None:
    largest = torch.arange(8, dtype=torch.uint8).repeat_interleave(32)
    other = torch.arange(104, 136, dtype=torch.uint8).repeat(8)
    scales = torch.stack([torch.full_like(other, 120), other], 1)
    for byte in range(256):
        packed = torch.zeros(len(largest), 32, dtype=torch.uint8)
        packed[:, 0] = byte
        packed[:, 16] = largest
        assert_as_bitsandbytes(packed, scales)


def test_more_blocks_than_one_chunk_are_all_packed() -> None:
    packed = torch.randint(0, 256, (300, 16 * 40), dtype=torch.uint8)
    assert_as_bitsandbytes(packed, torch.randint(110, 120, (300, 40), dtype=torch.uint8))
