import pytest
import torch

from animelm.model.quantize import Linear4bit, bits_per_weight, weight_in


def packed(weight: torch.Tensor) -> Linear4bit:
    layer = Linear4bit(weight.shape[1], weight.shape[0], True)
    layer.load_weight(weight)
    torch.nn.init.normal_(layer.bias)
    return layer


def test_dequantised_weights_are_within_half_a_step_of_nf4() -> None:
    weight = torch.randn(32, 128)
    error = (weight_in(packed(weight), torch.float32) - weight).view(32, 2, 64).abs()
    largest = weight.view(32, 2, 64).abs().amax(-1, keepdim=True)
    assert (error <= 0.153 * largest).all()  # NF4's widest gap is 0.304 of a block's largest weight
    assert bits_per_weight(packed(weight)) == 4


def test_the_product_and_its_gradient_are_those_of_the_dequantised_weight() -> None:
    layer = packed(torch.randn(48, 64))
    x = torch.randn(2, 3, 64, requires_grad=True)
    direction = torch.randn(2, 3, 48)
    expected = x @ layer.dequantize(torch.float32).T + layer.bias
    torch.testing.assert_close(layer(x), expected)
    (mine,) = torch.autograd.grad(layer(x), x, direction)
    (theirs,) = torch.autograd.grad(expected, x, direction)
    torch.testing.assert_close(mine, theirs)


def test_bytes_and_scales_are_ordinary_parameters_that_a_state_dict_carries() -> None:
    layer, other = packed(torch.randn(48, 64)), Linear4bit(64, 48, True)
    other.load_state_dict(layer.state_dict())
    x = torch.randn(5, 64)
    assert torch.equal(other(x), layer(x))
    assert layer.weight.dtype == torch.uint8 and not layer.weight.requires_grad


def test_packed_bytes_of_another_size_are_refused() -> None:
    layer = packed(torch.randn(48, 64))
    with pytest.raises(ValueError, match=r"expected \(48, 32\) torch.uint8"):
        layer.load_packed(layer.weight[:-1], layer.scales)
