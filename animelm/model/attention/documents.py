"""Attention whose cost depends on the documents' lengths, not on the block's.

A packed batch holds many short documents. Instead of masking a block-sized score matrix, the
documents are gathered into groups of similar length, and each group runs one causal attention.

Legend: B blocks, S tokens per block, T = B·S, G documents of a group, L tokens of its longest
document, M = Σ G·L of all groups, H query heads, J key and value heads, each for H/J query heads,
D head dimension.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from peft import PeftModel
from torch import Tensor
from transformers import GptOssForCausalLM, LlamaForCausalLM, PreTrainedModel
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssAttention, repeat_kv
from transformers.models.llama import modeling_llama

from animelm.model.attention.cached import cached_attention
from animelm.model.attention.tiled import DocumentSpan, tiled_attention

DOCUMENT_ATTENTION = "document"
# Shortest document of a group, as a share of its longest.
_SHORTEST_SHARE = 0.75


@dataclass(frozen=True)
class DocumentGroup:
    """Documents of similar length.

    Attributes:
        documents: G.
        longest: L, in tokens.
    """

    documents: int
    longest: int


class _Groups(NamedTuple):
    """See ``DocumentLayout``."""

    groups: tuple[DocumentGroup, ...]
    token_index: Tensor
    inverse: Tensor


@dataclass(frozen=True)
class DocumentLayout:
    """The positions of the documents in a packed batch.

    The attributes below are computed at their first use, because most wait for the device.

    Attributes:
        starts, ends: int64, each document's first token in the flattened batch, and the token after
            its last one.
        length: tokens of a block.
        cumulative: int32 [documents + 1], the starts and the end of the last document.
        spans: the documents' spans, in order.
        groups: groups of documents of similar length.
        token_index: [M] int64, position in the flattened batch of each token of all groups' [G, L];
            documents are padded by repeating their last token.
        inverse: [T] int64, row in the groups' concatenated output of each token of the batch.
    """

    starts: Tensor
    ends: Tensor
    length: int

    @staticmethod
    def from_position_ids(position_ids: Tensor) -> "DocumentLayout":
        """Finds the documents: ``position_ids`` [B, S] int64 restart at 0 with each."""
        flat = position_ids.reshape(-1)
        starts = torch.nonzero(flat == 0).flatten()
        ends = torch.cat([starts[1:], starts.new_full((1,), flat.numel())])
        return DocumentLayout(starts, ends, position_ids.shape[1])

    @cached_property
    def cumulative(self) -> Tensor:
        return torch.cat([self.starts, self.ends[-1:]]).int()

    @cached_property
    def spans(self) -> tuple[DocumentSpan, ...]:
        return _spans(self.starts, self.ends, self.length)

    @property
    def groups(self) -> tuple[DocumentGroup, ...]:
        return self._grouped.groups

    @property
    def token_index(self) -> Tensor:
        return self._grouped.token_index

    @property
    def inverse(self) -> Tensor:
        return self._grouped.inverse

    @cached_property
    def _grouped(self) -> _Groups:
        starts, ends, device = self.starts, self.ends, self.starts.device
        lengths = ends - starts
        order = torch.argsort(lengths, descending=True, stable=True)
        groups, indices, offset = [], [], 0
        inverse = starts.new_empty(int(ends[-1]))
        for members in _similar_lengths(lengths[order].tolist()):
            rows = order[members]
            longest = int(lengths[rows[0]])
            steps = torch.arange(longest, device=device)
            inside = steps < lengths[rows, None]
            token_index = torch.minimum(starts[rows, None] + steps, ends[rows, None] - 1)
            cells = offset + torch.arange(token_index.numel(), device=device).view_as(token_index)
            inverse[token_index[inside]] = cells[inside]
            groups.append(DocumentGroup(len(rows), longest))
            indices.append(token_index.flatten())
            offset += token_index.numel()
        return _Groups(tuple(groups), torch.cat(indices), inverse)

    def gather(self, states: Tensor, dimension: int) -> list[Tensor]:
        """Gathers ``states`` [T, H·D] into each group's [G, H, L, D]."""
        # One gather for all groups, so that the backward pass adds up a single gradient.
        rows = states.index_select(0, self.token_index)
        sizes = [group.documents * group.longest for group in self.groups]
        return [
            part.view(group.documents, group.longest, -1, dimension).transpose(1, 2)
            for part, group in zip(rows.split(sizes), self.groups, strict=True)
        ]

    def scatter(self, groups: list[Tensor]) -> Tensor:
        """The inverse of ``gather``: each group's [G, H, L, D] -> [T, H·D]."""
        rows = [states.transpose(1, 2).flatten(2).flatten(0, 1) for states in groups]
        return torch.cat(rows).index_select(0, self.inverse)


def _spans(starts: Tensor, ends: Tensor, length: int) -> tuple[DocumentSpan, ...]:
    """Spans of documents from ``starts`` to ``ends`` in flattened blocks of ``length`` tokens."""
    return tuple(
        DocumentSpan(start // length, start % length, start % length + end - start)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    )


def _similar_lengths(descending_lengths: list[int]) -> list[slice]:
    slices, first = [], 0
    for row, length in enumerate(descending_lengths):
        if length < _SHORTEST_SHARE * descending_lengths[first]:
            slices.append(slice(first, row))
            first = row
    slices.append(slice(first, len(descending_lengths)))
    return slices


class _SinkFlashAttention(torch.autograd.Function):
    """Causal softmax attention with one learned sink logit per head, on PyTorch's CPU flash kernel.

    The kernel does not support sinks. With lse = log Σ exp(scores), a sink z turns the output into
    out · exp(lse - lse') where lse' = log(exp(lse) + exp(z)). Called with lse' and the rescaled
    output, the kernel's own backward gives the exact gradients of query, key and value, since it
    recomputes the probabilities as exp(scores - lse'); the sink's gradient is
    -Σ exp(z - lse') · (grad_out · out).
    """

    @staticmethod
    def forward(ctx, query, key, value, sinks, mask, scale):
        causal = mask is None
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, causal, attn_mask=mask, scale=scale
        )
        sink = sinks.float().view(1, -1, 1)
        total = torch.logaddexp(lse, sink)
        out = out * torch.exp(lse - total).unsqueeze(-1).to(out.dtype)
        ctx.save_for_backward(query, key, value, out, total, sinks, mask)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx, grad_out):
        query, key, value, out, total, sinks, mask = ctx.saved_tensors
        grads = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
            grad_out.contiguous(),
            query,
            key,
            value,
            out,
            total,
            0.0,
            mask is None,
            attn_mask=mask,
            scale=ctx.scale,
        )
        grad_sinks = None
        if ctx.needs_input_grad[3]:
            share = torch.exp(sinks.float().view(1, -1, 1) - total)
            grad_sinks = -(share * (grad_out * out).sum(-1).float()).sum((0, 2)).to(sinks.dtype)
        return *grads, grad_sinks, None, None


def sink_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    sinks: Tensor | None,
    scale: float,
    window: int | None,
) -> Tensor:
    """Causal attention inside documents; sinks are supported in float32 on a CPU only.

    Args:
        query: [G, H, L, D].
        key, value: [G, J, L, D].
        sinks: [H], one logit per head that takes probability and gives no value; None: no sinks.
        scale: factor on the scores.
        window: a token sees itself and the ``window - 1`` tokens before it; None: every earlier
            token.

    Returns:
        [G, H, L, D].
    """
    length = query.shape[2]
    repeats = query.shape[1] // key.shape[1]
    key, value = repeat_kv(key, repeats), repeat_kv(value, repeats)
    sliding = window is not None and length > window
    mask = _window_mask(length, window, query) if sliding else None
    if sinks is None:
        causal = mask is None
        return F.scaled_dot_product_attention(query, key, value, mask, 0.0, causal, scale=scale)
    return _SinkFlashAttention.apply(query, key, value, sinks, mask, scale)


def uses_tiled_attention(device: str, dtype: torch.dtype) -> bool:
    """Whether attention with sinks is computed by ``tiled_attention``.

    On a CPU, bf16 matrix products are faster than its flash kernel. A GPU computes so only where
    its layers are not fused (``fused.attention``).
    """
    return device != "cpu" or dtype == torch.bfloat16


def _window_mask(length: int, window: int | None, like: Tensor) -> Tensor:
    steps = torch.arange(length, device=like.device)
    distance = steps[:, None] - steps
    visible = (distance >= 0) & (distance < (window or length))
    mask = torch.zeros(length, length, dtype=like.dtype, device=like.device)
    return mask.masked_fill_(~visible, torch.finfo(like.dtype).min)[None, None]


def document_attention_forward(
    module: GptOssAttention | modeling_llama.LlamaAttention,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    sliding_window: int | None = None,
    s_aux: Tensor | None = None,
    document_layout: DocumentLayout | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attention function with the signature that transformers expects (query [B, H, S, D]).

    Without a ``document_layout`` (in generation) new tokens attend to cached ones.
    """
    sinks = getattr(module, "sinks", None)
    if document_layout is None:
        return cached_attention(query, key, value, attention_mask, sinks, scaling), None
    batch, _, length, dimension = query.shape
    if sinks is not None and uses_tiled_attention(query.device.type, query.dtype):
        spans = document_layout.spans
        return tiled_attention(query, key, value, sinks, scaling, sliding_window, spans), None

    def flatten(states: Tensor) -> Tensor:  # [B, H, S, D] -> [T, H·D]
        return states.transpose(1, 2).reshape(batch * length, -1)

    groups = (document_layout.gather(flatten(states), dimension) for states in (query, key, value))
    outputs = [
        sink_attention(q, k, v, sinks, scaling, sliding_window)
        for q, k, v in zip(*groups, strict=True)
    ]
    merged = document_layout.scatter(outputs)
    return merged.view(batch, length, -1, dimension), None


ALL_ATTENTION_FUNCTIONS.register(DOCUMENT_ATTENTION, document_attention_forward)
# Without a layout the eager attention runs, so the masks must be made for it.
ALL_MASK_ATTENTION_FUNCTIONS.register(DOCUMENT_ATTENTION, eager_mask)


def _no_masks(model: PreTrainedModel) -> Any:
    """Placeholders that the model accepts instead of masks, which the layout replaces."""
    if isinstance(model, GptOssForCausalLM):
        return {"full_attention": None, "sliding_attention": None}
    return torch.zeros(1, 1, 1, 1, device=model.device)


def packed_hidden_states(
    model: PreTrainedModel | PeftModel, input_ids: Tensor, position_ids: Tensor
) -> Tensor:
    """Last hidden states [B, S, C] of packed documents, which do not attend to each other.

    Args:
        model: made by ``load_base``, with or without adapters.
        input_ids: [B, S] int64.
        position_ids: [B, S] int64, 0 at every document's first token.
    """
    causal = cast(
        GptOssForCausalLM | LlamaForCausalLM,
        model.get_base_model() if isinstance(model, PeftModel) else model,
    )
    if causal.config._attn_implementation != DOCUMENT_ATTENTION:
        # Without masks, any other attention would let tokens see later ones.
        raise RuntimeError(f"packed documents need the attention function {DOCUMENT_ATTENTION!r}")
    return causal.model(
        input_ids=input_ids,
        position_ids=position_ids,
        attention_mask=_no_masks(causal),
        document_layout=DocumentLayout.from_position_ids(position_ids),
        use_cache=False,
    ).last_hidden_state
