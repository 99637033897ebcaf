"""Attention of packed documents on a GPU: rotary embedding, flash attention and sinks.

PyTorch's flash kernel takes the documents' cumulative lengths, sliding windows and grouped heads,
but no sinks. They enter through its log-sum, as ``attention.documents`` explains for the CPU's.

Legend: T tokens, H query heads, J key heads, D head dimension, W = H·D + 2·J·D.
"""

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssAttention
from transformers.models.llama.modeling_llama import LlamaAttention

from animelm.model.attention.documents import DocumentLayout
from animelm.model.fused.linear import adapted_linears, shared_input
from animelm.model.fused.rotary import rotate, rotate_back
from animelm.model.operators import operator

_Attention = GptOssAttention | LlamaAttention


@operator(
    "(Tensor(a!) out, Tensor(b!) logarithms, Tensor sinks) -> ()",
    "animelm.model.fused.kernels.sinks",
)
def give_to_sinks(out: Tensor, logarithms: Tensor, sinks: Tensor) -> None:
    """Lets sinks take their share of the probability, in place.

    Args:
        out: [T, H, D], attention without sinks.
        logarithms: float32 [H, T], log Σ exp(scores); the sink's score is added to the sum.
        sinks: [H].
    """
    before = logarithms.clone()
    torch.logaddexp(before, sinks.float()[:, None], out=logarithms)
    out.mul_(torch.exp(before - logarithms).T[..., None].to(out.dtype))


class AttentionShape(NamedTuple):
    """What the kernel has to know beside the tensors.

    Attributes:
        heads, key_heads: H and J.
        longest: an upper bound of the documents' lengths.
        scale: factor on the scores.
        window: a token sees itself and the ``window - 1`` tokens before it; None: all before it.
    """

    heads: int
    key_heads: int
    longest: int
    scale: float
    window: int | None

    def split(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value as views of ``states`` [T, W]."""
        by_head = states.view(len(states), self.heads + 2 * self.key_heads, -1)
        query, key, value = by_head.split([self.heads, self.key_heads, self.key_heads], 1)
        return query, key, value

    @property
    def windows(self) -> dict[str, int]:
        left = -1 if self.window is None else self.window - 1
        return {"window_size_left": left, "window_size_right": 0}


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(ctx, states, cos, sin, sinks, lengths, shape):
        rotated = shape.heads + shape.key_heads
        rotate(states.view(len(states), rotated + shape.key_heads, -1), cos, sin, rotated)
        query, key, value = shape.split(states)
        longest = shape.longest
        out, logarithms, random, unused, _ = torch.ops.aten._flash_attention_forward(
            *(query, key, value, lengths, lengths, longest, longest, 0.0, True, False),
            scale=shape.scale,
            **shape.windows,
        )
        if sinks is not None:
            give_to_sinks(out, logarithms, sinks)
        ctx.save_for_backward(
            query, key, value, out, logarithms, random, unused, lengths, cos, sin, sinks
        )
        ctx.shape = shape
        return out

    @staticmethod
    def backward(ctx, grad_out):
        query, key, value, out, logarithms, random, unused, lengths, *rest = ctx.saved_tensors
        (cos, sin, sinks), shape = rest, ctx.shape
        longest = shape.longest
        grads = torch.ops.aten._flash_attention_backward(
            *(grad_out.contiguous(), query, key, value, out, logarithms, lengths, lengths),
            *(longest, longest, 0.0, True, random, unused),
            scale=shape.scale,
            **shape.windows,
        )
        grad_sinks = None
        if ctx.needs_input_grad[3]:
            share = torch.exp(sinks.float()[:, None] - logarithms)
            grad_sinks = -(share * (grad_out * out).sum(-1).float().T).sum(1).to(sinks.dtype)
        grad_states = rotate_back(*grads, cos, sin)
        return grad_states.flatten(1), None, None, grad_sinks, None, None


def attend(
    states: Tensor,
    cos: Tensor,
    sin: Tensor,
    sinks: Tensor | None,
    layout: DocumentLayout,
    shape: AttentionShape,
) -> Tensor:
    """Causal attention inside documents, [T, H, D].

    Args:
        states: [T, W], query, key and value of each token; query and key are rotated in place.
        cos, sin: [T, D/2].
        sinks: [H], or None.
        layout: the documents.
        shape: heads and window.
    """
    attended: Tensor = _Attend.apply(states, cos, sin, sinks, layout.cumulative, shape)
    return attended


def fused_attention_forward(
    attention: _Attention,
    hidden_states: Tensor,
    position_embeddings: tuple[Tensor, Tensor],
    attention_mask: Tensor | None = None,
    past_key_values: Any = None,
    document_layout: DocumentLayout | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """In place of the forward pass of transformers' attention; hidden_states [B, S, C].

    Generation, which has no layout, and projections that autograd must see take transformers' own.
    """
    inputs = adapted_linears([attention.q_proj, attention.k_proj, attention.v_proj])
    output = adapted_linears([attention.o_proj])
    if document_layout is None or past_key_values is not None or not inputs or not output:
        stock: Any = type(attention).forward
        return cast(
            tuple[Tensor, Tensor | None],
            stock(
                attention,
                hidden_states=hidden_states,
                position_embeddings=position_embeddings,
                attention_mask=attention_mask,
                past_key_values=past_key_values,
                document_layout=document_layout,
                **kwargs,
            ),
        )
    dimension = attention.head_dim
    heads, key_heads, _ = (linear.layer.out_features // dimension for linear in inputs)
    window = getattr(attention, "sliding_window", None)
    shape = AttentionShape(heads, key_heads, hidden_states.shape[1], attention.scaling, window)
    # transformers gives Llama each angle twice.
    cos, sin = (
        angles.reshape(-1, angles.shape[-1])[:, : dimension // 2] for angles in position_embeddings
    )
    states = shared_input(inputs, hidden_states).flatten(0, 1)
    sinks = getattr(attention, "sinks", None)
    out = attend(states, cos, sin, sinks, document_layout, shape)
    return shared_input(output, out.view(*hidden_states.shape[:2], -1)), None
