"""The kernels in Triton's interpreter, against what the CPU dequantizes, bit for bit."""

import pytest
import torch
from torch import Tensor

from animelm.model import operators
from animelm.model.quantization.linear4bit import LinearDouble4bit, make_linear, stacked_weight
from animelm.model.quantization.mxfp4 import dequantize_mxfp4
from animelm.model.quantization.nf4 import dequantize_nf4, quantize_nf4

TYPES = [torch.float32, torch.bfloat16, torch.float16]


@pytest.fixture
def unpack(interpreted_triton):
    from animelm.model.quantization.kernels import unpack

    return unpack


def nf4_like(packed: Tensor, scales: Tensor, dtype: torch.dtype, shape: tuple[int, int]) -> Tensor:
    return dequantize_nf4(packed, scales, torch.empty(shape, dtype=dtype))


@pytest.mark.parametrize("dtype", TYPES)
def test_every_byte_and_every_scale_of_mxfp4_is_dequantized_as_on_a_cpu(unpack, dtype) -> None:
    # Rows of 512 values, in which each byte occurs; in row s all scales are s.
    packed = torch.arange(256, dtype=torch.uint8).expand(256, -1).contiguous()
    scales = torch.arange(256, dtype=torch.uint8)[:, None].expand(-1, 16).contiguous()
    out = torch.full((256, 512), torch.nan, dtype=dtype)
    unpack.unpack_mxfp4(packed, scales, out)
    expected = dequantize_mxfp4(packed, scales, dtype)
    assert torch.equal(out, expected)


@pytest.mark.parametrize("dtype", TYPES[:2])
@pytest.mark.parametrize("shape", [(96, 64), (5, 320)])
def test_nf4_is_dequantized_as_on_a_cpu(unpack, dtype: torch.dtype, shape) -> None:
    torch.manual_seed(0)
    packed, scales = quantize_nf4(torch.randn(shape))
    out = torch.empty(shape, dtype=dtype)
    unpack.unpack_nf4(packed, scales, out)
    assert torch.equal(out, nf4_like(packed, scales, dtype, shape))


@pytest.mark.parametrize("dtype", TYPES[:2])
def test_scales_in_8_bits_are_dequantized_as_on_a_cpu(unpack, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layers = []
    for _ in range(2):  # of 320 scales each, no multiple of a nested block's 256
        layer = LinearDouble4bit(512, 40, False)
        layer.load_weight(torch.randn(40, 512) + 0.3)
        layers.append(layer)
    parts = zip(*(layer.scale_parameters() for layer in layers), strict=True)
    scales = map(torch.stack, parts)
    packed = torch.stack([layer.weight.detach() for layer in layers])
    out = torch.empty(2, 40, 512, dtype=dtype)
    unpack.unpack_nested_nf4(packed, *scales, out)
    assert torch.equal(out, torch.stack([layer.dequantize(dtype) for layer in layers]))


@pytest.mark.parametrize("quantization", ["nf4", "nf4-double", "mxfp4"])
def test_layers_use_the_kernels_where_these_serve(
    unpack, quantization, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    layers = [make_linear(64, 40, False, quantization).to_empty(device="cpu") for _ in range(2)]
    for layer in layers:
        if quantization == "mxfp4":
            scales = torch.randint_like(layer.scales, 100, 150)
            layer.load_packed(torch.randint_like(layer.weight, 256), scales)
        else:
            layer.load_weight(torch.randn(40, 64))
    expected = stacked_weight(layers, torch.bfloat16)
    runs: list = []
    monkeypatch.setattr(unpack, "unpack_kernel", Counted(unpack.unpack_kernel, runs))
    monkeypatch.setattr(operators, "kernels_serve", lambda _: True)
    assert torch.equal(stacked_weight(layers, torch.bfloat16), expected)
    assert len(runs) == 1


class Counted:
    """A kernel that notes each launch."""

    def __init__(self, kernel, runs: list) -> None:
        self.kernel, self.runs = kernel, runs

    def __getitem__(self, grid):
        self.runs.append(grid)
        return self.kernel[grid]
