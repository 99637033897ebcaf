"""The gated unit against autograd through its formula."""

import pytest
import torch
from torch import Tensor

from animelm.model.moe.swiglu import SwiGLU

# A limit low enough that some values are clamped.
SWIGLU, FUSED = SwiGLU(1.702, 0.7), SwiGLU(1.702, 0.7, fused=True)
INTERMEDIATE = 40


def plain(gate_up: Tensor, weights: Tensor) -> Tensor:
    gate, up = gate_up[:, :INTERMEDIATE], gate_up[:, INTERMEDIATE:]
    gate, up = gate.clamp(max=0.7), up.clamp(-0.7, 0.7)
    return weights[:, None] * (up + 1) * gate * torch.sigmoid(1.702 * gate)


def example(rows: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(rows)
    gate_up = torch.randn(rows, 2 * INTERMEDIATE).to(dtype)
    return gate_up, torch.randn(rows, INTERMEDIATE).to(dtype), torch.rand(rows).to(dtype)


def ours(swiglu: SwiGLU, gate_up: Tensor, grad: Tensor, weights: Tensor) -> tuple[Tensor, ...]:
    *gradients, unit = swiglu.backward(gate_up, grad, weights)
    assert torch.equal(unit, swiglu.forward(gate_up))
    return unit, *gradients


def expected(gate_up: Tensor, grad: Tensor, weights: Tensor) -> tuple[Tensor, ...]:
    gate_up, weights = gate_up.double().requires_grad_(), weights.double().requires_grad_()
    out = plain(gate_up, weights)
    gradients = torch.autograd.grad(out, (gate_up, weights), grad.double())
    return plain(gate_up, torch.ones_like(weights)).detach(), *gradients


@pytest.mark.parametrize("swiglu", [SWIGLU, FUSED], ids=["by operators", "fused"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 4e-2)])
def test_output_and_gradients_are_those_of_the_formula(
    swiglu: SwiGLU, dtype: torch.dtype, tolerance: float
) -> None:
    inputs = example(9, dtype)
    for mine, theirs in zip(ours(swiglu, *inputs), expected(*inputs), strict=True):
        assert mine.dtype == dtype
        torch.testing.assert_close(mine.double(), theirs, rtol=tolerance, atol=tolerance)


def test_in_bf16_a_fused_unit_is_rounded_once() -> None:
    inputs = example(33, torch.bfloat16)
    fused, exact = ours(FUSED, *inputs), expected(*inputs)
    assert torch.equal(fused[0], exact[0].bfloat16())
    by_operators = ours(SWIGLU, *inputs)
    for one, several, true in zip(fused, by_operators, exact, strict=True):
        assert (one - true).abs().mean() < (several - true).abs().mean()


def test_other_numbers_of_rows_compile_nothing_more() -> None:
    ours(FUSED, *example(5, torch.float32))
    ours(FUSED, *example(7, torch.float32))
    with torch.compiler.set_stance("fail_on_recompile"):
        for rows in (2, 24, 301):
            ours(FUSED, *example(rows, torch.float32))
