"""Sinks through the flash kernel's log-sum, and attention's way back to transformers' own."""

import pytest
import torch
from measuring.flash_attention import emulated_flash_attention
from model.fused.kernel_checks import TOLERANCE, assert_same

from animelm.model.attention.documents import DocumentLayout
from animelm.model.attention.tiled import tiled_attention
from animelm.model.fused.attention import AttentionShape, attend, give_to_sinks

BLOCKS, LENGTH, HEADS, KEY_HEADS, DIMENSION = 2, 20, 4, 2, 8
POSITIONS = torch.cat([torch.arange(7), torch.arange(12), torch.arange(1)]).repeat(BLOCKS, 1)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_kernel_computes_the_formula(interpreted_triton, dtype: torch.dtype) -> None:
    from animelm.model.fused.kernels import sinks as kernels

    out, logarithms = torch.randn(9, HEADS, DIMENSION).to(dtype), 3 * torch.randn(HEADS, 9)
    sinks = torch.randn(HEADS).to(dtype)
    assert_same(kernels.give_to_sinks, give_to_sinks, out, logarithms, sinks)


@pytest.mark.parametrize("window", [None, 5])
def test_output_and_every_gradient_are_those_of_attention_in_tiles(window: int | None) -> None:
    torch.manual_seed(0)
    tokens, heads = BLOCKS * LENGTH, HEADS + 2 * KEY_HEADS
    states = torch.randn(tokens, heads * DIMENSION, requires_grad=True)
    sinks = torch.randn(HEADS, requires_grad=True)
    layout = DocumentLayout.from_position_ids(POSITIONS)
    unturned = (torch.ones(tokens, DIMENSION // 2), torch.zeros(tokens, DIMENSION // 2))
    by_head = states.view(BLOCKS, LENGTH, heads, DIMENSION).transpose(1, 2)
    parts = by_head.split([HEADS, KEY_HEADS, KEY_HEADS], 1)
    expected = tiled_attention(*parts, sinks, 0.3, window, layout.spans).flatten(0, 1)
    direction = torch.randn_like(expected)
    theirs = [expected, *torch.autograd.grad(expected, [states, sinks], direction)]
    shape = AttentionShape(HEADS, KEY_HEADS, LENGTH, 0.3, window)
    with emulated_flash_attention():
        out = attend(states.clone(), *unturned, sinks, layout, shape)
        ours = [out, *torch.autograd.grad(out, [states, sinks], direction)]
    for mine, exact in zip(ours, theirs, strict=True):
        assert (mine - exact).abs().max() <= 1e-5 * exact.abs().max()
