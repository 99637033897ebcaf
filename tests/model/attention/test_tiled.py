"""Attention by row blocks against the plain formula, document by document."""

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from animelm.model.attention import tiled as module
from animelm.model.attention.tiled import DocumentSpan, tiled_attention

HEADS, KEY_HEADS, DIMENSION, SCALE = 6, 2, 4, 0.3
# In two blocks of 330 tokens: one of more rows than a row block has, and one of a single token.
SPANS = (
    DocumentSpan(0, 0, 300),
    DocumentSpan(0, 300, 330),
    DocumentSpan(1, 0, 1),
    DocumentSpan(1, 1, 90),
    DocumentSpan(1, 90, 330),
)


def example(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    states = [
        torch.randn(2, heads, 330, DIMENSION, dtype=dtype, requires_grad=True)
        for heads in (HEADS, KEY_HEADS, KEY_HEADS)
    ]
    return *states, torch.randn(HEADS, dtype=dtype, requires_grad=True)


def plain(query: Tensor, key: Tensor, value: Tensor, sinks: Tensor, window: int | None) -> Tensor:
    out = torch.zeros(2, 330, HEADS, DIMENSION, dtype=query.dtype)
    key, value = (states.repeat_interleave(HEADS // KEY_HEADS, 1) for states in (key, value))
    for block, begin, end in SPANS:
        q, k, v = (states[block, :, begin:end] for states in (query, key, value))
        distance = torch.arange(end - begin)[:, None] - torch.arange(end - begin)
        hidden = (distance < 0) | (distance >= (window or end))
        logits = (q @ k.transpose(1, 2) * SCALE).masked_fill(hidden, float("-inf"))
        with_sink = torch.cat([logits, sinks.view(-1, 1, 1).expand(-1, end - begin, 1)], -1)
        out[block, begin:end] = (with_sink.softmax(-1)[..., :-1] @ v).transpose(0, 1)
    return out


@pytest.mark.parametrize("window", [None, 1, 20, 280])
def test_output_and_gradients_are_those_of_the_formula(window: int | None) -> None:
    inputs = example()
    ours = tiled_attention(*inputs, SCALE, window, SPANS)
    theirs = plain(*inputs, window)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    direction = torch.randn_like(ours)
    for mine, wanted in zip(
        torch.autograd.grad(ours, inputs, direction),
        torch.autograd.grad(theirs, inputs, direction),
        strict=True,
    ):
        torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=1e-5)


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)
    states = [torch.randn(1, heads, 9, 3, dtype=torch.float64) for heads in (4, 2, 2)]
    inputs = [*states, torch.randn(4, dtype=torch.float64)]
    spans = (DocumentSpan(0, 0, 7), DocumentSpan(0, 7, 9))
    assert torch.autograd.gradcheck(
        lambda *inputs: tiled_attention(*inputs, SCALE, 4, spans),
        [tensor.requires_grad_() for tensor in inputs],
    )


def test_bf16_stays_within_its_precision() -> None:
    inputs = example()
    rounded = tiled_attention(*(tensor.bfloat16() for tensor in inputs), SCALE, 20, SPANS)
    exact = plain(*inputs, 20)
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, rtol=0.05, atol=0.03)


def test_no_number_is_lost_where_scores_are_far_apart() -> None:
    query, key, value, sinks = example(torch.bfloat16)
    out = tiled_attention(query * 300, key * 300, value, sinks, SCALE, 20, SPANS)
    assert out.isfinite().all()
    for gradient in torch.autograd.grad(out.float().sum(), (query, key, value, sinks)):
        assert gradient.isfinite().all()


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """The shapes of all scores that are computed."""
    shapes: list[torch.Size] = []
    softmax = torch.softmax

    def noted(scores: Tensor, dimension: int) -> Tensor:
        shapes.append(scores.shape)
        return softmax(scores, dimension)

    monkeypatch.setattr(module.torch, "softmax", noted)
    return shapes


def test_documents_of_like_lengths_share_their_shapes(scored: list[torch.Size]) -> None:
    """oneDNN compiles and keeps kernels for every shape: they must come again."""
    inputs = example()
    for length in range(65, 95):
        tiled_attention(*inputs, SCALE, None, [DocumentSpan(0, 0, length)])
    assert len(scored) == 30 and len(set(scored)) == 1


def test_a_window_bounds_the_scores(
    monkeypatch: pytest.MonkeyPatch, scored: list[torch.Size]
) -> None:
    monkeypatch.setattr(module, "TILE_ROWS", 64)
    tiled_attention(*example(), SCALE, 20, [DocumentSpan(0, 0, 330)])
    # 64 rows, the 19 tokens before the first of them, and the sink, padded up.
    assert max(shape[-1] for shape in scored) == 96


class OneDevice(TorchDispatchMode):
    """Refuses operations on tensors of two devices, as a GPU does and the meta device does not."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        assert len({tensor.device for tensor in inputs if tensor.dim()}) < 2, function
        return function(*args, **(kwargs or {}))


def test_all_is_computed_where_the_query_is() -> None:
    inputs = [tensor.detach().to("meta").requires_grad_() for tensor in example(torch.bfloat16)]
    with OneDevice():
        out = tiled_attention(*inputs, SCALE, 20, SPANS)
        gradients = torch.autograd.grad(out.float().sum(), inputs)
    assert {tensor.device.type for tensor in (out, *gradients)} == {"meta"}
