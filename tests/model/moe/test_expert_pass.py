"""The fused pass against autograd: through plain loops, and by finite differences."""

import pytest
import torch
from torch import nn

from animelm.model.lora.linear import ActiveLora
from animelm.model.moe.expert_pass import (
    ExpertLayers,
    _experts_with_rows,
    draw_seed,
    expert_pass,
)
from animelm.model.moe.projection import AdaptedLinear
from animelm.model.moe.routing import Routing
from animelm.model.moe.swiglu import SwiGLU
from animelm.model.quantization.linear4bit import weight_in

TOKENS, EXPERTS, CHOSEN, HIDDEN, INTERMEDIATE, RANK = 7, 4, 2, 8, 6, 2
SWIGLU = SwiGLU(alpha=1.702, limit=0.7)  # a limit low enough that some values are clamped


def linear(inputs: int, outputs: int, dropout: float, dtype: torch.dtype) -> AdaptedLinear:
    layer = nn.Linear(inputs, outputs, dtype=dtype).requires_grad_(False)
    lora_a = torch.randn(RANK, inputs, dtype=dtype, requires_grad=True)
    lora_b = torch.randn(outputs, RANK, dtype=dtype, requires_grad=True)
    return AdaptedLinear(layer, ActiveLora(lora_a, lora_b, 0.5, dropout))


def experts(dropout: float = 0.0, dtype: torch.dtype = torch.float64) -> list[ExpertLayers]:
    return [
        ExpertLayers(
            linear(HIDDEN, 2 * INTERMEDIATE, dropout, dtype),
            linear(INTERMEDIATE, HIDDEN, dropout, dtype),
        )
        for _ in range(EXPERTS)
    ]


def routed(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    hidden = torch.randn(TOKENS, HIDDEN, dtype=dtype, requires_grad=True)
    scores, indices = torch.randn(TOKENS, EXPERTS - 1).topk(CHOSEN)  # the last one gets no token
    return hidden, scores.softmax(-1).to(dtype).requires_grad_(), indices


def parameters(layers: list[ExpertLayers]) -> list[torch.Tensor]:
    return [parameter for expert in layers for parameter in expert.parameters]


def adapted_product(x: torch.Tensor, linear: AdaptedLinear) -> torch.Tensor:
    update = x @ linear.lora.lora_a.T @ linear.lora.lora_b.T * linear.lora.scaling
    return x @ weight_in(linear.layer, x.dtype).T + linear.layer.bias + update


def plain_loop(hidden, weights, indices, layers) -> torch.Tensor:
    """Token by token, choice by choice."""
    rows = []
    for token in range(TOKENS):
        total = torch.zeros_like(hidden[0])
        for choice in range(CHOSEN):
            expert = layers[int(indices[token, choice])]
            gate_up = adapted_product(hidden[token], expert.gate_up)
            gate = gate_up[0::2].clamp(max=SWIGLU.limit)
            up = gate_up[1::2].clamp(-SWIGLU.limit, SWIGLU.limit)
            unit = (up + 1) * gate * torch.sigmoid(SWIGLU.alpha * gate)
            total = total + weights[token, choice] * adapted_product(unit, expert.down)
        rows.append(total)
    return torch.stack(rows)


@pytest.mark.parametrize("recompute", [False, True])
def test_output_and_every_gradient_equal_those_of_a_plain_loop(recompute: bool) -> None:
    hidden, weights, indices = routed()
    layers = experts()
    inputs = [hidden, weights, *parameters(layers)]
    ours = expert_pass(hidden, weights, indices, layers, SWIGLU, recompute)
    theirs = plain_loop(hidden, weights, indices, layers)
    torch.testing.assert_close(ours, theirs)
    direction = torch.randn_like(ours)
    mine = torch.autograd.grad(ours, inputs, direction)
    expected = torch.autograd.grad(theirs, inputs, direction, allow_unused=True)
    for ours_grad, their_grad in zip(mine, expected, strict=True):
        if their_grad is None:  # the expert without tokens: zero, not missing
            assert not ours_grad.any()
        else:
            torch.testing.assert_close(ours_grad, their_grad)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_gradients_equal_finite_differences_under_dropout_too(
    recompute: bool, dropout: float
) -> None:
    hidden, weights, indices = routed()
    layers = experts(dropout)

    def same_masks(hidden, weights, *_):
        torch.manual_seed(5)
        return expert_pass(hidden, weights, indices, layers, SWIGLU, recompute)

    assert torch.autograd.gradcheck(same_masks, (hidden, weights, *parameters(layers)))


def test_dropout_changes_the_update_and_not_the_frozen_product() -> None:
    hidden, weights, indices = routed()
    layers = experts(0.5)
    first, second = (expert_pass(hidden, weights, indices, layers, SWIGLU, False) for _ in range(2))
    assert not torch.equal(first, second)
    for expert in layers:
        for half in (expert.gate_up, expert.down):
            nn.init.zeros_(half.lora.lora_b)
    first, second = (expert_pass(hidden, weights, indices, layers, SWIGLU, False) for _ in range(2))
    assert torch.equal(first, second)


def test_layers_without_adapters_pass_the_gradient_on() -> None:
    hidden, weights, indices = routed()
    layers = [
        ExpertLayers(expert.gate_up._replace(lora=None), expert.down._replace(lora=None))
        for expert in experts()
    ]

    def without_adapters(hidden, weights):
        return expert_pass(hidden, weights, indices, layers, SWIGLU, False)

    assert torch.autograd.gradcheck(without_adapters, (hidden, weights))


def test_experts_with_as_many_rows_follow_each_other() -> None:
    """Then they reuse the compiled products."""
    indices = torch.tensor([[0], [0], [0], [1], [2], [2], [2], [3]])
    routing = Routing.from_indices(indices, 5)
    run = [(expert, len(x)) for expert, x, _ in _experts_with_rows(routing, torch.zeros(8, 2))]
    assert run == [(1, 1), (3, 1), (0, 3), (2, 3)]


def test_a_seed_is_drawn_on_the_cpu_whatever_the_default_device() -> None:
    """The meta device stands for a GPU: it has no values to wait for."""
    [layers, *_] = experts(dropout=0.5)
    torch.manual_seed(3)
    drawn = draw_seed(layers)
    torch.manual_seed(3)
    with torch.device("meta"):
        assert draw_seed(layers) == drawn
    assert draw_seed(experts(dropout=0.0)[0]) is None
