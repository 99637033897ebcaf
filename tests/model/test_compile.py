"""Compiled functions, and compiled norms against transformers' own."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch._inductor import config
from torch._inductor.exc import TritonMissing
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from animelm.errors import UserError
from animelm.model.compile import compile_norms, compiled, require_compiler

WIDTH = 48
KINDS = pytest.mark.parametrize("kind", [GptOssRMSNorm, LlamaRMSNorm])


def test_a_compiled_function_gives_what_it_gave() -> None:
    def product(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x * y + 1

    x, y = torch.randn(2, 5, 3)
    torch.testing.assert_close(compiled(product)(x, y), product(x, y))


def test_a_missing_compiler_is_named_with_what_to_do() -> None:
    without = config.patch({"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True})
    message = r"trial .*InvalidCxxCompiler.*such as g\+\+.*compile_kernels=false"
    with without, pytest.raises(UserError, match=message):
        require_compiler(torch.device("cpu"))


def test_a_missing_triton_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def compile(function, dynamic):
        def call(*arguments):
            raise TritonMissing(None)

        return call

    monkeypatch.setattr(torch, "compile", compile)
    message = r"trial .*working triton.*on a GPU Triton.*compile_kernels=false"
    with pytest.raises(UserError, match=message):
        require_compiler(torch.device("cpu"))


def two_alike(kind: type[nn.Module], dtype: torch.dtype) -> tuple[nn.Module, nn.Module]:
    """Stock, and compiled."""
    torch.manual_seed(0)
    stock = kind(WIDTH, 1e-5)
    stock.weight.data.normal_()
    stock = stock.to(dtype).requires_grad_(False)
    fused = deepcopy(stock)
    compile_norms(nn.Sequential(fused))
    return stock, fused


def out_and_gradient(norm: nn.Module, states: Tensor) -> tuple[Tensor, Tensor]:
    states = states.clone().requires_grad_()
    out = norm(states)
    return out.detach(), torch.autograd.grad(out, states, torch.ones_like(out).cumsum(-1))[0]


@KINDS
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_output_and_gradient_are_those_of_the_stock_norm(
    kind: type[nn.Module], dtype: torch.dtype, tolerance: float
) -> None:
    stock, fused = two_alike(kind, dtype)
    states = torch.randn(1, 7, WIDTH).to(dtype)
    expected = out_and_gradient(stock, states)
    for mine, theirs in zip(out_and_gradient(fused, states), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance)


@KINDS
def test_the_gradient_of_a_trained_weight_is_that_of_the_stock_norm(kind: type[nn.Module]) -> None:
    gradients = []
    for norm in two_alike(kind, torch.float32):
        norm.requires_grad_(True)
        norm(torch.linspace(-1, 2, 5 * WIDTH).view(1, 5, WIDTH)).pow(2).sum().backward()
        gradients.append(norm.weight.grad)
    torch.testing.assert_close(*gradients)


def test_norms_of_other_layers_and_other_lengths_compile_nothing_more() -> None:
    norms = nn.ModuleList(GptOssRMSNorm(WIDTH, 1e-5) for _ in range(12)).requires_grad_(False)
    compile_norms(norms)
    for norm in norms[:2]:
        for length in (9, 11):
            out_and_gradient(norm, torch.randn(1, length, WIDTH))
    with torch.compiler.set_stance("fail_on_recompile"):
        for norm in norms:
            for length in (2, 24, 301):
                out_and_gradient(norm, torch.randn(1, length, WIDTH))


def test_outside_training_the_stock_norm_runs_as_it_is() -> None:
    stock, fused = two_alike(GptOssRMSNorm, torch.float32)
    fused.eval()
    states = torch.randn(3, 1, WIDTH)
    with torch.compiler.set_stance("fail_on_recompile"):
        assert torch.equal(fused(states), stock(states))
