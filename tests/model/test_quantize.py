import torch

from animelm.model.quantize import Linear4bit, bits_per_weight, dequantized_weight


def packed(weight: torch.Tensor) -> Linear4bit:
    layer = Linear4bit(weight.shape[1], weight.shape[0], True, torch.float32)
    layer.load_weight(weight)
    torch.nn.init.normal_(layer.bias)
    return layer


def test_dequantised_weights_are_within_half_a_step_of_nf4() -> None:
    weight = torch.randn(32, 128)
    error = (dequantized_weight(packed(weight)) - weight).view(32, 2, 64).abs()
    largest = weight.view(32, 2, 64).abs().amax(-1, keepdim=True)
    assert (error <= 0.153 * largest).all()  # NF4's widest gap is 0.304 of a block's largest weight
    assert bits_per_weight(packed(weight)) == 4


def test_evaluation_leaves_the_packed_bytes_as_they_are() -> None:
    layer = packed(torch.randn(64, 64))
    before, x = layer.weight.data.clone(), torch.randn(3, 64)
    trained = layer.train()(x)
    with torch.no_grad():
        evaluated = layer.eval()(x)
    assert torch.equal(layer.weight.data, before)
    torch.testing.assert_close(evaluated, trained)
