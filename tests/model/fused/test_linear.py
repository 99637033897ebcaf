"""Linear layers with one input against one after the other, by autograd."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from animelm.model.fused import linear as fused
from animelm.model.fused.linear import shared_input
from animelm.model.lora.linear import ActiveLora
from animelm.model.moe.projection import AdaptedLinear
from animelm.model.quantization.linear4bit import make_linear, weight_in

ROWS, INPUTS, OUTPUTS, DROPPED = 11, 64, (24, 8, 16), 0.25


def lora(outputs: int, rank: int, dropout: float = 0.0) -> ActiveLora:
    lora_a, lora_b = torch.randn(rank, INPUTS) / 8, torch.randn(outputs, rank)
    return ActiveLora(lora_a.requires_grad_(), lora_b.requires_grad_(), 0.5, dropout)


def layers(quantization, dropout: float = 0.0, bias: bool = True) -> list[AdaptedLinear]:
    """The second has no adapter, the third one that is stacked on a frozen one."""
    found = []
    for outputs in OUTPUTS:
        layer = make_linear(INPUTS, outputs, bias, quantization).to_empty(device="cpu")
        weight = torch.randn(outputs, INPUTS) / 8
        if quantization == "none":
            layer.weight = nn.Parameter(weight)
        else:
            layer.load_weight(weight)
        if bias:
            layer.bias = nn.Parameter(torch.randn(outputs))
        found.append(layer.requires_grad_(False))
    return [
        AdaptedLinear(found[0], lora(OUTPUTS[0], 4, dropout)),
        AdaptedLinear(found[1], None),
        AdaptedLinear(found[2], lora(OUTPUTS[2], 2, dropout), (lora(OUTPUTS[2], 3),)),
    ]


def by_autograd(linears: list[AdaptedLinear], x: Tensor, mask: Tensor | float) -> Tensor:
    outputs = []
    for linear in linears:
        y = nn.functional.linear(x, weight_in(linear.layer, x.dtype), linear.layer.bias)
        for below in linear.below:
            y = y + x @ below.lora_a.detach().T @ below.lora_b.detach().T * below.scaling
        if linear.lora:
            y = y + (x * mask) @ linear.lora.lora_a.T @ linear.lora.lora_b.T * linear.lora.scaling
        outputs.append(y)
    return torch.cat(outputs, -1)


def with_gradients(y: Tensor, x: Tensor, linears: list[AdaptedLinear]) -> list[Tensor]:
    trained = [x]
    for linear in linears:
        trained += [linear.lora.lora_a, linear.lora.lora_b] if linear.lora else []
    return [y, *torch.autograd.grad(y, trained, torch.linspace(-1, 1, y.numel()).view_as(y))]


@pytest.mark.parametrize("dropout", [0.0, DROPPED])
@pytest.mark.parametrize("quantization", ["none", "nf4", "nf4-double"])
def test_outputs_and_every_gradient_are_those_of_single_layers(
    quantization, dropout: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    linears = layers(quantization, dropout)
    x = torch.randn(ROWS, INPUTS, requires_grad=True)
    mask = (torch.rand(ROWS, INPUTS) > dropout) / (1 - dropout)
    monkeypatch.setattr(fused, "drop", lambda given, *_: given * mask)
    monkeypatch.setattr(fused, "add_dropped", lambda total, given, *_: total.add_(given * mask))
    found = with_gradients(shared_input(linears, x), x, linears)
    expected = with_gradients(by_autograd(linears, x, mask), x, linears)
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine - theirs).abs().max() <= 1e-5 * theirs.abs().max()


def test_without_adapters_and_biases_only_the_frozen_products_remain() -> None:
    linears = [linear._replace(lora=None, below=()) for linear in layers("nf4", bias=False)]
    x = torch.randn(ROWS, INPUTS, requires_grad=True)
    found = with_gradients(shared_input(linears, x), x, linears)
    expected = with_gradients(by_autograd(linears, x, 1.0), x, linears)
    for mine, theirs in zip(found, expected, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)


def test_the_mask_is_drawn_again_in_the_backward_pass() -> None:
    torch.manual_seed(0)
    x = torch.randn(ROWS, INPUTS, requires_grad=True)
    linears = layers("none", DROPPED)[:1]
    dead = linears[0]._replace(layer=nn.Linear(INPUTS, OUTPUTS[0], False).requires_grad_(False))
    dead.layer.weight.zero_()
    once = dead._replace(lora=replace(dead.lora, lora_b=torch.eye(OUTPUTS[0], 4)))
    once.lora.lora_b.requires_grad_()
    y = shared_input([once], x)
    # Linear in x, so that ⟨grad, x⟩ = ⟨direction, y⟩ exactly where the masks agree.
    direction = torch.randn_like(y)
    (grad,) = torch.autograd.grad(y, [x], direction)
    assert torch.allclose((grad * x).sum(), (direction * y).sum(), rtol=1e-4)
