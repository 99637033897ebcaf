import pytest
import torch

from animelm.model.quantize import Linear4bit, bits_per_weight, weight_in


def packed(weight: torch.Tensor) -> Linear4bit:
    layer = Linear4bit(weight.shape[1], weight.shape[0], True)
    layer.load_weight(weight)
    torch.nn.init.normal_(layer.bias)
    return layer


@pytest.mark.parametrize("width", [128, 96, 32])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dequantised_weights_are_within_half_a_step_of_nf4(width: int, dtype: torch.dtype) -> None:
    weight = torch.randn(32, width)
    error = (weight_in(packed(weight), dtype) - weight).view(-1, 64).abs()
    largest = weight.view(-1, 64).abs().amax(-1, keepdim=True)
    # NF4's widest gap is 0.304 of a block's largest weight, and bf16 rounds by 1 / 256.
    assert (error <= (0.153 + 1 / 256) * largest).all()
    assert bits_per_weight(packed(weight)) == 4
