import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import Linear as PeftLinear
from torch import nn

from animelm.model.lora.linear import LoraLinear, dropout_mask, use_lora_linear
from animelm.model.quantization.linear4bit import Linear4bit, weight_in


def adapted(bits: int, dropout: float = 0.0) -> LoraLinear:
    torch.manual_seed(0)
    layer: nn.Linear = nn.Linear(64, 48)
    if bits == 4:
        packed = Linear4bit(64, 48, True)
        packed.load_weight(layer.weight.detach())
        packed.bias = layer.bias
        layer = packed
    holder = nn.Module()
    holder.proj = layer
    config = LoraConfig(r=4, lora_alpha=8, lora_dropout=dropout, target_modules=["proj"])
    proj = get_peft_model(holder, use_lora_linear(config)).base_model.model.proj
    nn.init.normal_(proj.lora_B["default"].weight)
    return proj.train()


@pytest.mark.parametrize("bits", [32, 4])
def test_output_and_gradients_equal_pefts_own_layer(bits: int) -> None:
    layer = adapted(bits)
    x = torch.randn(10, 64, requires_grad=True)
    parameters = (x, layer.lora_A["default"].weight, layer.lora_B["default"].weight)
    ours, theirs = layer(x), PeftLinear.forward(layer, x)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    direction = torch.randn_like(ours)
    for mine, other in zip(
        torch.autograd.grad(ours, parameters, direction),
        torch.autograd.grad(theirs, parameters, direction),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def test_dropout_zeroes_the_adapters_inputs_only() -> None:
    layer = adapted(32, dropout=0.5)
    x = torch.randn(200, 64)
    torch.manual_seed(1)
    update = layer(x) - layer.base_layer(x)
    torch.manual_seed(1)
    mask = dropout_mask(x, 0.5)
    lora_a, lora_b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    torch.testing.assert_close(update, 2.0 * (x * mask) @ lora_a.T @ lora_b.T, rtol=1e-3, atol=1e-3)


def test_no_rows_give_no_rows() -> None:
    assert adapted(4)(torch.randn(0, 64)).shape == (0, 48)


def test_dropout_rests_in_evaluation() -> None:
    layer = adapted(32, dropout=0.5).eval()
    x = torch.randn(5, 64)
    torch.testing.assert_close(layer(x), PeftLinear.forward(layer, x))


def test_the_frozen_weight_gets_no_gradient_and_stays_in_four_bits() -> None:
    layer = adapted(4)
    layer(torch.randn(3, 64, requires_grad=True)).sum().backward()
    assert layer.base_layer.weight.grad is None
    assert layer.base_layer.weight.dtype == torch.uint8


def test_a_disabled_adapter_changes_nothing() -> None:
    layer = adapted(4)
    layer.enable_adapters(False)
    x = torch.randn(3, 64)
    plain = x @ weight_in(layer.base_layer, torch.float32).T + layer.base_layer.bias
    torch.testing.assert_close(layer(x), plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_dropout_keeps_the_mean_and_drops_at_the_rate_in_every_column(rate: float) -> None:
    torch.manual_seed(0)
    mask = dropout_mask(torch.empty(20_000, 9), rate)
    assert set(mask.unique().tolist()) == {0.0, torch.tensor(1 / (1 - rate)).item()}
    dropped = (mask == 0).double().mean(0)
    assert (dropped - rate).abs().max() < 5 * (rate * (1 - rate) / 20_000) ** 0.5
    neighbors = ((mask[:, :-1] == 0) & (mask[:, 1:] == 0)).double().mean()
    assert abs(neighbors - rate**2) < 0.006


def test_pefts_own_forward_draws_the_same_fast_dropout() -> None:
    layer = adapted(32, dropout=0.5)
    x = torch.randn(50, 64)
    torch.manual_seed(1)
    theirs = PeftLinear.forward(layer, x)
    torch.manual_seed(1)
    torch.testing.assert_close(theirs, layer(x), rtol=1e-4, atol=1e-4)
    assert torch.equal(layer.eval()(x), layer(x))


def test_two_active_adapters_add_up_as_peft_has_it() -> None:
    layer = adapted(4)
    layer.update_layer("second", r=4, lora_alpha=4, config=LoraConfig(r=4, lora_alpha=4))
    nn.init.normal_(layer.lora_B["second"].weight)
    layer.set_adapter(["default", "second"])
    x = torch.randn(5, 64)
    assert layer.active_loras() is None  # the first is trained too
    torch.testing.assert_close(layer(x), PeftLinear.forward(layer, x))


def stacked(dropout: float = 0.0) -> LoraLinear:
    """A trained adapter of rank 4 on a frozen one of rank 8."""
    layer = adapted(4, dropout)
    layer.update_layer("below", r=8, lora_alpha=4, config=LoraConfig(r=8, lora_alpha=4))
    nn.init.normal_(layer.lora_B["below"].weight)
    layer.set_adapter(["below", "default"])
    for part in (layer.lora_A, layer.lora_B):
        part["below"].requires_grad_(False)
    return layer


def test_an_adapter_stacked_on_a_frozen_one_computes_as_peft_does() -> None:
    layer = stacked()
    x = torch.randn(10, 64, requires_grad=True)
    parameters = (x, layer.lora_A["default"].weight, layer.lora_B["default"].weight)
    ours, theirs = layer(x), PeftLinear.forward(layer, x)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    direction = torch.randn_like(ours)
    for mine, other in zip(
        torch.autograd.grad(ours, parameters, direction),
        torch.autograd.grad(theirs, parameters, direction),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def kept_bytes(layer: LoraLinear) -> int:
    """What a forward pass keeps for the backward pass."""
    kept: list[int] = []
    x = torch.randn(10, 64, requires_grad=True)

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.nbytes)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        layer(x)
    return sum(kept)


def test_a_frozen_adapter_below_keeps_nothing_for_the_backward_pass() -> None:
    assert kept_bytes(stacked(dropout=0.1)) == kept_bytes(adapted(4, dropout=0.1))


def test_an_adapters_own_bias_is_added() -> None:
    layer = adapted(4)
    config = LoraConfig(r=4, lora_alpha=8, lora_bias=True)
    layer.update_layer("default", r=4, lora_alpha=8, config=config)
    nn.init.normal_(layer.lora_B["default"].bias)
    x = torch.randn(5, 64)
    assert layer.active_loras() is None
    lora_a, lora_b = layer.lora_A["default"].weight, layer.lora_B["default"]
    expected = layer.base_layer(x) + 2.0 * (x @ lora_a.T @ lora_b.weight.T + lora_b.bias)
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-4)
