"""Rotary embedding of query and key where they lie."""

import pytest
import torch
from model.fused.kernel_checks import TOLERANCE, assert_same
from transformers.models.gpt_oss.modeling_gpt_oss import apply_rotary_pos_emb

from animelm.model.fused.rotary import rotate, rotate_back

TOKENS, HEADS, KEY_HEADS, DIMENSION = 9, 4, 2, 8


def angles() -> tuple[torch.Tensor, torch.Tensor]:
    phases = torch.randn(TOKENS, DIMENSION // 2)
    return phases.cos(), phases.sin()


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_kernel_computes_the_formula(interpreted_triton, dtype: torch.dtype) -> None:
    from animelm.model.fused.kernels import rotary as kernels

    states = torch.randn(TOKENS, HEADS + 2 * KEY_HEADS, DIMENSION).to(dtype)
    cos, sin = (each.to(dtype) for each in angles())
    assert_same(kernels.rotate, rotate, states, cos, sin, HEADS + KEY_HEADS)
    parts = [part.contiguous() for part in states.split([HEADS, KEY_HEADS, KEY_HEADS], 1)]
    assert_same(kernels.rotate_back, rotate_back, *parts, cos, sin)


def test_query_and_key_are_rotated_as_transformers_does_and_values_stay() -> None:
    states, (cos, sin) = torch.randn(TOKENS, HEADS + 2 * KEY_HEADS, DIMENSION), angles()
    query, key, value = (
        part.transpose(0, 1)[None] for part in states.split([HEADS, KEY_HEADS, KEY_HEADS], 1)
    )
    expected = torch.cat([*apply_rotary_pos_emb(query, key, cos[None], sin[None]), value], 1)
    rotated = states.clone()
    rotate(rotated, cos, sin, HEADS + KEY_HEADS)
    assert torch.allclose(rotated, expected[0].transpose(0, 1), atol=1e-6)
    back = rotate_back(*rotated.split([HEADS, KEY_HEADS, KEY_HEADS], 1), cos, sin)
    assert torch.allclose(back, states, atol=1e-5)
