"""RMSNorm in one operation."""

import pytest
import torch
from model.fused.kernel_checks import TOLERANCE, assert_same
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssRMSNorm

from animelm.model.fused.norm import fused_norm_forward, rms_norm, rms_norm_backward

ROWS, WIDTH, EPSILON = 7, 40, 1e-5


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_kernels_compute_the_formula(interpreted_triton, dtype: torch.dtype) -> None:
    from animelm.model.fused.kernels import norm as kernels

    x, grad = (torch.randn(ROWS, WIDTH, dtype=dtype) for _ in range(2))
    weight = torch.rand(WIDTH, dtype=dtype)
    assert_same(kernels.rms_norm, rms_norm, x, weight, EPSILON)
    factor = rms_norm(x, weight, EPSILON)[1]
    assert_same(kernels.rms_norm_backward, rms_norm_backward, grad, x, weight, factor)


@pytest.mark.parametrize("trained", [False, True])
def test_output_and_gradients_are_those_of_the_norm_as_it_was(trained: bool) -> None:
    norm = GptOssRMSNorm(WIDTH)
    norm.weight.data.uniform_()
    norm.weight.requires_grad_(trained)
    x = torch.randn(2, ROWS, WIDTH, requires_grad=True)
    wanted = [x, norm.weight] if trained else [x]
    direction = torch.randn(2, ROWS, WIDTH)
    found, expected = (
        [y, *torch.autograd.grad(y, wanted, direction)]
        for y in (fused_norm_forward(norm, x), norm(x))
    )
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine - theirs).abs().max() <= 1e-5 * theirs.abs().max()
