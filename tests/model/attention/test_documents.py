from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import GptOssForCausalLM

from animelm.model.attention.documents import (
    DocumentLayout,
    document_attention_forward,
    packed_hidden_states,
    sink_attention,
)
from animelm.model.attention.tiled import DocumentSpan, tiled_attention
from animelm.model.checkpoint.load import load_base

LENGTHS = [3, 21, 8, 1, 13]  # shorter than, equal to and longer than the sliding window of 8


def packed_positions(blocks: int) -> torch.Tensor:
    return torch.cat([torch.arange(length) for length in LENGTHS]).repeat(blocks, 1)


def test_packed_documents_give_the_logits_of_one_document_at_a_time(
    checkpoint: Path, stock_model: GptOssForCausalLM
) -> None:
    model = load_base(str(checkpoint), "none")
    positions = packed_positions(2)
    input_ids = torch.randint(2, 97, positions.shape, generator=torch.Generator().manual_seed(0))
    packed = model.lm_head(packed_hidden_states(model, input_ids, positions))
    for block, ids in enumerate(input_ids):
        begin = 0
        for length in LENGTHS:
            alone = stock_model(ids[None, begin : begin + length]).logits[0]
            torch.testing.assert_close(
                packed[block, begin : begin + length], alone, rtol=1e-4, atol=1e-4
            )
            begin += length


def test_a_document_is_blind_to_its_neighbors(checkpoint: Path) -> None:
    model = load_base(str(checkpoint), "none")
    positions = packed_positions(1)
    first = torch.randint(2, 97, positions.shape)
    second = first.clone()
    second[0, : LENGTHS[0]] = 96 - second[0, : LENGTHS[0]]
    one, other = (packed_hidden_states(model, ids, positions) for ids in (first, second))
    # Not to the bit: the tokens of a document share their experts' products with other documents.
    torch.testing.assert_close(one[0, LENGTHS[0] :], other[0, LENGTHS[0] :], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(one[0, : LENGTHS[0]], other[0, : LENGTHS[0]])


@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("key_heads", [6, 2])
def test_gradients_equal_those_of_the_plain_formula(window: int | None, key_heads: int) -> None:
    torch.manual_seed(0)
    query, *key_and_value = (
        torch.randn(2, heads, 9, 8, requires_grad=True) for heads in (6, *[key_heads] * 2)
    )
    sinks = torch.randn(6, requires_grad=True)
    key, value = key_and_value
    inputs = (query, key, value, sinks)
    out = sink_attention(query, key, value, sinks, 0.3, window)

    distance = torch.arange(9)[:, None] - torch.arange(9)
    hidden = (distance < 0) | (distance >= (window or 9))
    keys, values = (states.repeat_interleave(6 // key_heads, 1) for states in (key, value))
    logits = (query @ keys.transpose(2, 3) * 0.3).masked_fill(hidden, float("-inf"))
    with_sink = torch.cat([logits, sinks.view(1, -1, 1, 1).expand(2, -1, 9, 1)], -1)
    plain = with_sink.softmax(-1)[..., :-1] @ values

    torch.testing.assert_close(out, plain, rtol=1e-5, atol=1e-5)
    direction = torch.randn_like(out)
    for ours, theirs in zip(
        torch.autograd.grad(out, inputs, direction),
        torch.autograd.grad(plain, inputs, direction),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("window", [None, 8])
def test_bf16_takes_the_same_course_within_its_precision(window: int | None) -> None:
    """On a CPU this is another function, ``tiled_attention``."""
    torch.manual_seed(0)
    positions = packed_positions(2)
    layout = DocumentLayout.from_position_ids(positions)
    states = [torch.randn(2, heads, positions.shape[1], 8) for heads in (6, 2, 2)]
    attention = SimpleNamespace(sinks=torch.randn(6))

    def attend(dtype: torch.dtype) -> torch.Tensor:
        inputs = (tensor.to(dtype) for tensor in states)
        out, _ = document_attention_forward(
            attention, *inputs, None, 0.3, sliding_window=window, document_layout=layout
        )
        return out

    rounded = attend(torch.bfloat16)
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), attend(torch.float32), rtol=0.05, atol=0.03)
    inputs = (tensor.bfloat16() for tensor in (*states, attention.sinks))
    assert torch.equal(rounded, tiled_attention(*inputs, 0.3, window, layout.spans))


def test_layout_knows_the_place_of_each_document() -> None:
    layout = DocumentLayout.from_position_ids(packed_positions(2))
    ends = list(accumulate(LENGTHS))
    assert layout.spans == tuple(
        DocumentSpan(block, end - length, end)
        for block in range(2)
        for length, end in zip(LENGTHS, ends, strict=True)
    )


def test_layout_finds_each_token_again() -> None:
    positions = packed_positions(2)
    layout = DocumentLayout.from_position_ids(positions)
    assert torch.equal(layout.token_index[layout.inverse], torch.arange(positions.numel()))


def test_scattering_undoes_gathering() -> None:
    positions = packed_positions(2)
    layout = DocumentLayout.from_position_ids(positions)
    states = torch.randn(positions.numel(), 3 * 4)
    groups = layout.gather(states, 4)
    assert [tuple(group.shape) for group in groups] == [
        (group.documents, 3, group.longest, 4) for group in layout.groups
    ]
    assert torch.equal(layout.scatter(groups), states)


def test_layout_costs_what_the_documents_cost() -> None:
    many_short = torch.arange(16).repeat(1, 64)
    layout = DocumentLayout.from_position_ids(many_short)
    scores = sum(group.documents * group.longest**2 for group in layout.groups)
    assert scores == 64 * 16**2
