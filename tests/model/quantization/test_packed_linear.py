"""What every 4-bit layer does, whatever its format."""

from functools import partial

import pytest
import torch

from animelm.model.quantization.linear4bit import Linear4bit, LinearDouble4bit, bits_per_weight
from animelm.model.quantization.mxfp4 import LinearMXFP4, encode_mxfp4
from animelm.model.quantization.packed_linear import PackedLinear


def nf4(weight: torch.Tensor, kind: type[Linear4bit] = Linear4bit) -> PackedLinear:
    layer = kind(weight.shape[1], weight.shape[0], True)
    layer.load_weight(weight)
    return layer


def mxfp4(weight: torch.Tensor) -> PackedLinear:
    layer = LinearMXFP4(weight.shape[1], weight.shape[0], True)
    layer.load_packed(*encode_mxfp4(weight))
    return layer


nf4_double = partial(nf4, kind=LinearDouble4bit)


@pytest.fixture(params=[nf4, nf4_double, mxfp4], ids=["nf4", "nf4-double", "mxfp4"])
def packed(request: pytest.FixtureRequest):
    """Makes a layer [O, I] with random weights and bias."""

    def make(rows: int, width: int) -> PackedLinear:
        layer = request.param(torch.randn(rows, width))
        torch.nn.init.normal_(layer.bias)
        return layer

    return make


def test_the_product_and_its_gradient_are_those_of_the_dequantized_weight(packed) -> None:
    layer = packed(48, 64)
    x = torch.randn(2, 3, 64, requires_grad=True)
    direction = torch.randn(2, 3, 48)
    expected = x @ layer.dequantize(torch.float32).T + layer.bias
    torch.testing.assert_close(layer(x), expected)
    (mine,) = torch.autograd.grad(layer(x), x, direction)
    (theirs,) = torch.autograd.grad(expected, x, direction)
    torch.testing.assert_close(mine, theirs)


def test_gradients_pass_a_numerical_check(packed) -> None:
    x = torch.randn(3, 64, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(packed(6, 64), (x,))


@pytest.mark.parametrize("width", [64, 32, 96])  # blocks that end with a row, and that do not
def test_even_rows_come_first_where_that_is_asked(packed, width: int) -> None:
    layer = packed(10, width)
    weight = layer.dequantize(torch.float32)
    expected = torch.cat([weight[0::2], weight[1::2]])
    assert torch.equal(layer.dequantize(torch.float32, even_rows_first=True), expected)


def test_bytes_and_scales_are_ordinary_parameters_that_a_state_dict_carries(packed) -> None:
    layer, other = packed(48, 64), packed(48, 64)
    other.load_state_dict(layer.state_dict())
    x = torch.randn(5, 64)
    assert torch.equal(other(x), layer(x))
    assert bits_per_weight(layer) == 4
    assert layer.weight.dtype == torch.uint8 and not layer.weight.requires_grad


def test_packed_bytes_of_another_size_are_refused(packed) -> None:
    layer = packed(48, 64)
    with pytest.raises(ValueError, match=r"expected \(48, 32\) torch.uint8"):
        layer.load_packed(layer.weight[:-1], *layer.scale_parameters())
