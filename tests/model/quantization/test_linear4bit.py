import pytest
import torch

from animelm.model.quantization.linear4bit import (
    Linear4bit,
    LinearDouble4bit,
    bits_per_weight,
    make_linear,
    stacked_weight,
    weight_in,
)


def packed(weight: torch.Tensor) -> Linear4bit:
    layer = Linear4bit(weight.shape[1], weight.shape[0], True)
    layer.load_weight(weight)
    torch.nn.init.normal_(layer.bias)
    return layer


@pytest.mark.parametrize("width", [128, 96, 32])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dequantized_weights_are_within_half_a_step_of_nf4(width: int, dtype: torch.dtype) -> None:
    weight = torch.randn(32, width)
    error = (weight_in(packed(weight), dtype) - weight).view(-1, 64).abs()
    largest = weight.view(-1, 64).abs().amax(-1, keepdim=True)
    # NF4's widest gap is 0.304 of a block's largest weight, and bf16 rounds by 1 / 256.
    assert (error <= (0.153 + 1 / 256) * largest).all()
    assert bits_per_weight(packed(weight)) == 4


@pytest.mark.parametrize("width", [128, 96])
def test_scales_of_their_own_scales_move_a_weight_by_little_and_save_three_bytes_of_four(
    width: int,
) -> None:
    weight = torch.randn(256, width)
    plain, double = packed(weight), LinearDouble4bit(width, 256, False)
    double.load_weight(weight)
    assert torch.equal(double.weight, plain.weight)
    values = weight_in(plain, torch.float32)
    assert (weight_in(double, torch.float32) - values).abs().max() < 0.02 * values.abs().max()
    assert sum(p.nbytes for p in double.scale_parameters()) < 0.28 * plain.scales.nbytes
    assert bits_per_weight(double) == 4


@pytest.mark.parametrize("quantization", ["nf4", "nf4-double", "mxfp4", "none"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
# 320 scales, which are no whole blocks of double quantization; and values that are no whole blocks.
@pytest.mark.parametrize("shape", [(40, 512), (3, 32)])
def test_layers_dequantized_together_equal_each_alone(quantization, dtype, shape) -> None:
    layers = []
    for _ in range(3):
        layer = make_linear(shape[1], shape[0], False, quantization).to_empty(device="cpu")
        if isinstance(layer, Linear4bit):
            layer.load_weight(torch.randn(shape) + 0.2)
        elif quantization == "mxfp4":
            layer.load_packed(
                torch.randint_like(layer.weight, 256), torch.randint_like(layer.scales, 100, 150)
            )
        else:
            torch.nn.init.normal_(layer.weight)
        layers.append(layer.requires_grad_(False))
    expected = torch.stack([weight_in(layer, dtype) for layer in layers])
    assert torch.equal(stacked_weight(layers, dtype), expected)
