"""All experts of a layer with their LoRA updates, as one differentiable operation.

Tokens are sorted by expert. Each expert dequantizes its two weights once in the forward and once in
the backward pass, computes the rows routed to it, and drops the weights. There is no autograd graph
inside, nothing is concatenated, and the routed outputs are weighted and summed in one pass.

Legend: T tokens, K experts chosen per token, N = T·K rows sorted by expert, n rows of one expert,
C hidden width, F intermediate width, R LoRA rank. ``gate_up`` is [n, 2F]: all gates, then all ups.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, cast

import torch
from torch import Tensor

from animelm.model.lora.linear import ActiveLora, dropout_mask
from animelm.model.moe.projection import AdaptedLinear, Projection
from animelm.model.moe.routing import Routing
from animelm.model.moe.swiglu import SwiGLU


@dataclass(frozen=True)
class ExpertLayers:
    """The two linear layers of one expert."""

    gate_up: AdaptedLinear
    down: AdaptedLinear

    @property
    def adapters(self) -> list[ActiveLora]:
        return [linear.lora for linear in (self.gate_up, self.down) if linear.lora]

    @property
    def parameters(self) -> list[Tensor]:
        """Its adapters' A and B, gate_up's first."""
        return [matrix for lora in self.adapters for matrix in (lora.lora_a, lora.lora_b)]


class _ExpertPass(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden, weights, indices, experts, swiglu, recompute, *parameters):
        multiple = row_multiple(indices.numel(), len(experts), hidden.dtype, hidden.device.type)
        routing = Routing.from_indices(indices, len(experts), multiple)
        rows = hidden.new_empty(len(routing.token), hidden.shape[1])
        kept = None if recompute else _new_gate_up(experts[0], rows)
        saved: list[Tensor | None] = []
        seeds = [
            draw_seed(layers) if n else None
            for layers, n in zip(experts, routing.counts, strict=True)
        ]
        for expert, x, place in _experts_with_rows(routing, hidden):
            gate_up = _new_gate_up(experts[expert], x) if kept is None else kept[place]
            state = _forward(experts[expert], swiglu, x, seeds[expert], gate_up, rows[place])
            saved += [] if recompute else state
        ctx.save_for_backward(hidden, weights, indices, kept, *saved)
        ctx.experts, ctx.swiglu, ctx.recompute = experts, swiglu, recompute
        ctx.routing, ctx.seeds = routing, seeds
        return routing.combine(rows, weights.to(rows.dtype))

    @staticmethod
    def backward(ctx, grad_out):
        hidden, weights, _, kept, *saved = ctx.saved_tensors
        routing: Routing = ctx.routing
        grad_rows = hidden.new_empty(len(routing.token), hidden.shape[1])
        row_weights = grad_rows.new_zeros(len(grad_rows))  # padding keeps weight 0
        row_weights[routing.place] = weights.to(grad_rows.dtype)
        grad_row_weights = torch.empty_like(row_weights)
        grads: dict[int, list[Tensor]] = {}
        for number, (expert, x, place) in enumerate(_experts_with_rows(routing, hidden)):
            grad_y = grad_out.index_select(0, routing.token[place])
            state = None if kept is None else (kept[place], *saved[2 * number : 2 * number + 2])
            grads[expert], grad_row_weights[place] = _backward(
                ctx.experts[expert],
                ctx.swiglu,
                x,
                ctx.seeds[expert],
                state,
                grad_y,
                row_weights[place],
                grad_rows[place],
            )
        # An expert without tokens has gradients of zero, because other processes may have others to
        # average with.
        parameter_grads = [
            grad
            for expert, layers in enumerate(ctx.experts)
            for grad in grads.get(expert) or [torch.zeros_like(p) for p in layers.parameters]
        ]
        grad_weights = grad_row_weights[routing.place].to(weights.dtype)
        grad_hidden = routing.combine(grad_rows, None)
        return grad_hidden, grad_weights, None, None, None, None, *parameter_grads


def row_multiple(rows: int, experts: int, dtype: torch.dtype, device: str) -> int:
    """The multiple that each expert's rows are padded to, for ``rows`` of all experts together.

    For bf16 on a CPU, oneDNN compiles a kernel for every new number of rows and keeps the last
    1,024, of 0.65 MB each. Rounded to about an eighth of an expert's mean, the numbers recur.
    """
    if dtype != torch.bfloat16 or device != "cpu":
        return 1
    eighth = rows // (8 * experts)
    return 1 << max(0, eighth.bit_length() - 1)


def _new_gate_up(layers: ExpertLayers, rows: Tensor) -> Tensor:
    """An uninitialized [n, 2F] for rows [n, C].

    The stored values of all experts share one tensor: many tensors of different sizes, most of
    about a MiB, would fragment the heap.
    """
    return rows.new_empty(len(rows), layers.gate_up.layer.out_features)


def _experts_with_rows(routing: Routing, hidden: Tensor) -> Iterator[tuple[int, Tensor, slice]]:
    """Each expert with tokens, its input rows [n, C], and its slice of all rows.

    Experts with equal numbers of rows follow each other and reuse the compiled products.
    """
    ends = list(accumulate(routing.counts))
    for expert in sorted(range(len(ends)), key=routing.counts.__getitem__):
        if routing.counts[expert]:
            place = slice(ends[expert] - routing.counts[expert], ends[expert])
            yield expert, hidden.index_select(0, routing.token[place]), place


def draw_seed(layers: ExpertLayers) -> int | None:
    """Seed of this pass's dropout, from which the backward pass draws the same masks."""
    has_dropout = any(lora.dropout for lora in layers.adapters)
    return int(torch.randint(2**62, (), device="cpu")) if has_dropout else None


class _Masks:
    """Dropout masks of one expert, drawn in order from one seed."""

    def __init__(self, seed: int | None, device: torch.device) -> None:
        self.generator = None
        if seed is not None:
            self.generator = torch.Generator(device).manual_seed(seed)

    def next(self, like: Tensor, linear: AdaptedLinear) -> Tensor | None:
        """The next mask, of the shape and dtype of ``like``; None without dropout."""
        rate = linear.lora.dropout if linear.lora else 0.0
        return dropout_mask(like, rate, self.generator) if rate else None


def _forward(
    layers: ExpertLayers, swiglu: SwiGLU, x: Tensor, seed: int | None, gate_up: Tensor, out: Tensor
) -> list[Tensor | None]:
    """One expert over its rows x [n, C]; writes ``gate_up`` [n, 2F] and ``out`` [n, C].

    Returns:
        The adapters' A·x [n, R], of gate_up and of down, for the backward pass.
    """
    masks = _Masks(seed, x.device)
    first = Projection(layers.gate_up, x.dtype, even_rows_first=True)
    gate_up_hidden = first.forward(x, masks.next(x, layers.gate_up), gate_up)
    del first  # one dequantized weight at a time
    unit = swiglu.forward(gate_up)
    second = Projection(layers.down, x.dtype)
    down_hidden = second.forward(unit, masks.next(unit, layers.down), out)
    return [gate_up_hidden, down_hidden]


def _backward(
    layers: ExpertLayers,
    swiglu: SwiGLU,
    x: Tensor,
    seed: int | None,
    state: Sequence[Tensor | None] | None,
    grad_out: Tensor,
    row_weights: Tensor,
    grad_x: Tensor,
) -> tuple[list[Tensor], Tensor]:
    """Gradients of one expert.

    Args:
        layers, swiglu, x, seed: as in ``_forward``.
        state: gate_up [n, 2F] and what ``_forward`` returned; None: gate and up are recomputed.
        grad_out: [n, C], gradient of the tokens' sums, not yet weighted.
        row_weights: [n], routing weights.
        grad_x: [n, C], receives the gradient of x.

    Returns:
        Gradients of the adapters in the order of ``layers.parameters``, and of the routing weights
        [n]. The latter is ⟨grad_out, y⟩ for y = W·unit + b, and it needs no second down projection:
        ⟨grad_out, y⟩ = ⟨Wᵀ·grad_out, unit⟩ + ⟨grad_out, b⟩.
    """
    masks = _Masks(seed, x.device)
    gate_up_mask = masks.next(x, layers.gate_up)
    first = None
    if state is None:
        first = Projection(layers.gate_up, x.dtype, even_rows_first=True)
        gate_up = _new_gate_up(layers, x)
        gate_up_hidden = first.forward(x, gate_up_mask, gate_up)
    else:
        gate_up, gate_up_hidden = cast(Tensor, state[0]), state[1]
    second = Projection(layers.down, x.dtype)
    grad_unit = x.new_empty(len(x), layers.down.layer.in_features)
    down_mask = masks.next(grad_unit, layers.down)
    grad_down_hidden = second.input_gradient(grad_out, down_mask, grad_unit)
    grad_gate_up, grad_row_weights, unit = swiglu.backward(gate_up, grad_unit, row_weights)
    del grad_unit
    if state is None:
        down_hidden = second.update.hidden(unit, down_mask) if second.update else None
    else:
        down_hidden = state[2]
    down_grads = second.adapter_gradients(
        unit, down_mask, down_hidden, grad_out, grad_down_hidden, row_weights[:, None]
    )
    if second.bias is not None:
        grad_row_weights += (grad_out @ second.bias[:, None])[:, 0]
    del second, unit
    first = first or Projection(layers.gate_up, x.dtype, even_rows_first=True)
    grad_gate_up_hidden = first.input_gradient(grad_gate_up, gate_up_mask, grad_x)
    gate_up_grads = first.adapter_gradients(
        x, gate_up_mask, gate_up_hidden, grad_gate_up, grad_gate_up_hidden
    )
    return [*gate_up_grads, *down_grads], grad_row_weights


def expert_pass(
    hidden: Tensor,
    weights: Tensor,
    indices: Tensor,
    experts: Sequence[ExpertLayers],
    swiglu: SwiGLU,
    recompute: bool,
) -> Tensor:
    """Routed sum of the experts' outputs.

    Args:
        hidden: [T, C], any float type; everything is computed in it.
        weights: [T, K], routing weights.
        indices: [T, K] int64, chosen experts.
        experts: the layers of every expert.
        swiglu: the gated unit.
        recompute: whether the backward pass recomputes the gate and up projections instead of
            storing them; the down projection is not needed twice.

    Returns:
        [T, C].
    """
    parameters: list[Any] = [p for layers in experts for p in layers.parameters]
    return _ExpertPass.apply(hidden, weights, indices, experts, swiglu, recompute, *parameters)
