"""All experts of a layer as grouped products: the same sums as ``moe.expert_pass``, without a loop.

Rows are sorted by expert once. A dozen products forward, and about twice as many backward, take all
experts together; nothing waits for the device. Backward, weights are dequantized again, and dropout
masks are drawn again from their seed.

Legend: T tokens, K experts chosen per token, N = T·K rows sorted by expert, C hidden width, F
intermediate width, P columns of an update. ``gate_up`` is [N, 2F], gates and ups taking turns.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from animelm.model.lora.linear import dropout_mask
from animelm.model.moe.expert_pass import ExpertLayers, draw_seed
from animelm.model.moe.grouped.gradients import accumulate
from animelm.model.moe.grouped.projection import (
    GroupedEngine,
    GroupedProjection,
    are_alike,
    masked,
)
from animelm.model.moe.routing import DeviceRouting, Groups
from animelm.model.moe.swiglu import SwiGLU


class _Layer:
    """The projections of one pass over a layer's experts, and its dropout masks.

    The masks of gate_up and of down are drawn in this order, forward and backward.
    """

    def __init__(
        self,
        experts: Sequence[ExpertLayers],
        dtype: torch.dtype,
        engine: GroupedEngine,
        groups: Groups,
        seed: int | None,
    ) -> None:
        def projection(name: str) -> GroupedProjection:
            linears = [getattr(expert, name) for expert in experts]
            return GroupedProjection(linears, dtype, engine, groups)

        self.gate_up, self.down = projection("gate_up"), projection("down")
        self.generator: torch.Generator | None = None
        if seed is not None:
            self.generator = torch.Generator(groups.ends.device).manual_seed(seed)

    def mask(self, like: Tensor, projection: GroupedProjection) -> Tensor | None:
        """The next dropout mask, of the shape and dtype of ``like``; None without dropout."""
        rate = projection.dropout
        return dropout_mask(like, rate, self.generator) if rate else None


class _GroupedPass(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden, weights, indices, experts, swiglu, recompute, engine, *parameters):
        routing = DeviceRouting.from_indices(indices, len(experts))
        seed = draw_seed(experts[0])
        layer = _Layer(experts, hidden.dtype, engine, routing.groups, seed)
        x = hidden.index_select(0, routing.token)
        gate_up, gate_up_hidden = layer.gate_up.forward(x, layer.mask(x, layer.gate_up))
        del x
        unit = swiglu.forward(gate_up)
        rows, down_hidden = layer.down.forward(unit, layer.mask(unit, layer.down))
        state = [] if recompute else [gate_up, gate_up_hidden, down_hidden]
        ctx.save_for_backward(
            hidden, weights, routing.token, routing.place, *routing.groups, *state
        )
        ctx.experts, ctx.swiglu, ctx.engine, ctx.seed = experts, swiglu, engine, seed
        return routing.combine(rows, weights.to(rows.dtype))

    @staticmethod
    def backward(ctx, grad_out):
        hidden, weights, token, place, *rest = ctx.saved_tensors
        groups, state = Groups(*rest[:3]), rest[3:]
        routing = DeviceRouting(token, place, groups)
        layer = _Layer(ctx.experts, hidden.dtype, ctx.engine, groups, ctx.seed)
        row_weights = hidden.new_empty(len(token))
        row_weights.scatter_(0, place.flatten(), weights.flatten().to(hidden.dtype))
        x, grad_y = hidden.index_select(0, token), grad_out.index_select(0, token)
        grad_x, grad_row_weights, grads = _backward(
            layer, ctx.swiglu, x, state, grad_y, row_weights
        )
        grad_weights = grad_row_weights[place].to(weights.dtype)
        # By expert, each with the gradients of its A and B.
        kinds = zip(*(expert.parameters for expert in ctx.experts), strict=True)
        returned = [accumulate(kind, new) for kind, new in zip(kinds, grads, strict=True)]
        parameter_grads = [grad for expert in zip(*returned, strict=True) for grad in expert]
        grad_hidden = routing.combine(grad_x, None)
        return grad_hidden, grad_weights, None, None, None, None, None, *parameter_grads


def _backward(
    layer: _Layer,
    swiglu: SwiGLU,
    x: Tensor,
    state: Sequence[Tensor],
    grad_y: Tensor,
    row_weights: Tensor,
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Gradients of x [N, C], of the row weights [N], and of all experts' adapters.

    The last are four stacks: of gate_up's A and B, and of down's.

    Args:
        layer, swiglu: as in the forward pass.
        x: [N, C].
        state: gate_up [N, 2F] and both ``hidden`` [N, P]; empty: they are computed again.
        grad_y: [N, C], gradient of the tokens' sums, not yet weighted.
        row_weights: [N], routing weights.
    """
    first, second = layer.gate_up, layer.down
    first_mask = layer.mask(x, first)
    gate_up, first_hidden = state[:2] if state else first.forward(x, first_mask)
    second_mask = layer.mask(gate_up[:, : gate_up.shape[1] // 2], second)
    grad_unit, grad_hidden = second.input_gradient(grad_y, second_mask)
    # ⟨grad_y, W·unit + b⟩ = ⟨Wᵀ·grad_y, unit⟩ + ⟨grad_y, b⟩ needs no second down projection.
    grad_gate_up, grad_row_weights, unit = swiglu.backward(gate_up, grad_unit, row_weights)
    del gate_up, grad_unit
    if second.has_bias:
        grad_row_weights += grad_hidden[:, second.bias_column]
    masked_unit = masked(unit, second_mask)
    second_hidden = state[2] if state else second.hidden(unit, masked_unit)
    row_weights = row_weights[:, None]
    down_grads = second.adapter_gradients(
        masked_unit, second_hidden * row_weights, grad_y, grad_hidden * row_weights
    )
    del unit, masked_unit, second_mask
    grad_x, grad_hidden = first.input_gradient(grad_gate_up, first_mask)
    gate_up_grads = first.adapter_gradients(
        masked(x, first_mask), first_hidden, grad_gate_up, grad_hidden
    )
    return grad_x, grad_row_weights, [*gate_up_grads, *down_grads]


def fits_grouped_pass(experts: Sequence[ExpertLayers]) -> bool:
    """Whether all experts are alike, so that their layers and adapters can be stacked."""
    return all(
        are_alike([getattr(expert, name) for expert in experts]) for name in ("gate_up", "down")
    )


def grouped_expert_pass(
    hidden: Tensor,
    weights: Tensor,
    indices: Tensor,
    experts: Sequence[ExpertLayers],
    swiglu: SwiGLU,
    recompute: bool,
    engine: GroupedEngine,
) -> Tensor:
    """Routed sum of the experts' outputs, [T, C]; the arguments are those of ``expert_pass``.

    Args:
        hidden, weights, indices, swiglu, recompute: as there.
        experts: the layers of every expert, for which ``fits_grouped_pass`` is true.
        engine: how they are computed.
    """
    parameters: list[Any] = [p for layers in experts for p in layers.parameters]
    interleaved = replace(swiglu, interleaved=True)
    return _GroupedPass.apply(
        hidden, weights, indices, experts, interleaved, recompute, engine, *parameters
    )
