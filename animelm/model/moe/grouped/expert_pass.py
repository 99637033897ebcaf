"""All experts of a layer as grouped products: the same sums as ``moe.expert_pass``, without a loop.

Rows are sorted by expert once. A dozen products forward, and about twice as many backward, take all
experts together; nothing waits for the device. Backward, weights are dequantized again, and dropout
masks are drawn again from their seed.

Legend: T tokens, K experts chosen per token, N = T·K rows sorted by expert, C hidden width, F
intermediate width, P columns of an update. ``gate_up`` is [N, 2F], gates and ups taking turns.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from animelm.model.moe.expert_pass import ExpertLayers, draw_seed
from animelm.model.moe.grouped.gradients import accumulate
from animelm.model.moe.grouped.operators import combine, gated_unit, gated_unit_backward
from animelm.model.moe.grouped.projection import GroupedEngine, GroupedProjection, are_alike
from animelm.model.moe.grouped.routing import DeviceRouting
from animelm.model.moe.routing import Groups
from animelm.model.moe.swiglu import SwiGLU


class _Layer:
    """The projections of one pass over a layer's experts."""

    def __init__(
        self,
        experts: Sequence[ExpertLayers],
        dtype: torch.dtype,
        engine: GroupedEngine,
        groups: Groups,
        seed: int | None,
        chosen: Tensor | None = None,
    ) -> None:
        def projection(name: str, number: int) -> GroupedProjection:
            linears = [getattr(expert, name) for expert in experts]
            return GroupedProjection(linears, dtype, engine, groups, (seed or 0) + number, chosen)

        self.gate_up, self.down = projection("gate_up", 0), projection("down", 1)


class _GroupedPass(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden, weights, indices, experts, swiglu, recompute, engine, *parameters):
        routing = DeviceRouting.from_indices(indices, len(experts))
        seed = draw_seed(experts[0])
        layer = _Layer(experts, hidden.dtype, engine, routing.groups, seed)
        x = hidden.index_select(0, routing.token)
        gate_up, gate_up_hidden = layer.gate_up.forward(x)
        del x
        unit = gated_unit(gate_up, swiglu.alpha, swiglu.limit)
        state = [] if recompute else [gate_up, gate_up_hidden]
        ctx.save_for_backward(hidden, weights, *routing, *state)
        del gate_up
        rows, _ = layer.down.forward(unit)
        ctx.experts, ctx.swiglu, ctx.engine, ctx.seed = experts, swiglu, engine, seed
        return routing.combine(rows, weights)

    @staticmethod
    def backward(ctx, grad_out):
        hidden, weights, *rest = ctx.saved_tensors
        routing, state = DeviceRouting(*rest[:5]), rest[5:]
        layer = _Layer(ctx.experts, hidden.dtype, ctx.engine, routing.groups, ctx.seed)
        x, grad_y = (rows.index_select(0, routing.token) for rows in (hidden, grad_out))
        grad_x, grad_weights, grads = _backward(
            layer, ctx.swiglu, x, state, grad_y, weights, routing.order
        )
        # By expert, each with the gradients of its A and B.
        kinds = list(zip(*(expert.parameters for expert in ctx.experts), strict=True))
        nodes = [node for node, _ in ctx.next_functions[-len(kinds) * len(ctx.experts) :]]
        returned = [
            accumulate(kind, nodes[number :: len(kinds)], new)
            for number, (kind, new) in enumerate(zip(kinds, grads, strict=True))
        ]
        parameter_grads = [grad for expert in zip(*returned, strict=True) for grad in expert]
        grad_hidden = routing.combine(grad_x, None)
        return grad_hidden, grad_weights, None, None, None, None, None, *parameter_grads


def _backward(
    layer: _Layer,
    swiglu: SwiGLU,
    x: Tensor,
    state: Sequence[Tensor],
    grad_y: Tensor,
    weights: Tensor,
    order: Tensor,
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Gradients of x [N, C], of the routing weights [T, K], and of all experts' adapters.

    The last are four stacks: of gate_up's A and B, and of down's.

    Args:
        layer, swiglu: as in the forward pass.
        x: [N, C].
        state: gate_up [N, 2F] and its ``hidden`` [N, P]; empty: they are computed again.
        grad_y: [N, C], gradient of the tokens' sums, not yet weighted.
        weights: [T, K], routing weights.
        order: [N], the place of each row's weight.
    """
    first, second = layer.gate_up, layer.down
    gate_up, first_hidden = state or first.forward(x)
    grad_unit, grad_hidden = second.input_gradient(grad_y)
    # ⟨grad_y, W·unit + b⟩ = ⟨Wᵀ·grad_y, unit⟩ + ⟨grad_y, b⟩ needs no second down projection.
    grad_gate_up, grad_weights, unit = gated_unit_backward(
        gate_up,
        grad_unit,
        weights,
        order,
        second.bias_gradient(grad_hidden),
        swiglu.alpha,
        swiglu.limit,
    )
    del gate_up, grad_unit
    # The unit is weighted, and stands for the rows' weights in the gradients of A and B alike.
    unit = second.dropped(unit)
    down_hidden = second.hidden(unit, bias=False)
    down_grads = second.adapter_gradients(unit, down_hidden, grad_y, grad_hidden)
    del unit
    grad_x, grad_hidden = first.input_gradient(grad_gate_up)
    gate_up_grads = first.adapter_gradients(
        first.dropped(x), first_hidden, grad_gate_up, grad_hidden
    )
    return grad_x, grad_weights, [*gate_up_grads, *down_grads]


def _few_tokens(
    hidden: Tensor,
    weights: Tensor,
    indices: Tensor,
    experts: Sequence[ExpertLayers],
    swiglu: SwiGLU,
    engine: GroupedEngine,
) -> Tensor:
    """The pass for fewer rows than experts, as in decoding: only chosen experts are dequantized.

    Each row is a group of its own, so nothing is sorted; there is no backward pass.
    """
    choices = torch.arange(indices.numel() + 1, dtype=torch.int32, device=hidden.device)
    groups = Groups(choices[:-1], choices[1:])
    layer = _Layer(experts, hidden.dtype, engine, groups, draw_seed(experts[0]), indices.flatten())
    repeated = hidden[:, None].expand(-1, indices.shape[1], -1)
    x = repeated.reshape(-1, hidden.shape[1]).contiguous()  # a single token's rows are no copy yet
    gate_up, _ = layer.gate_up.forward(x)
    rows, _ = layer.down.forward(gated_unit(gate_up, swiglu.alpha, swiglu.limit))
    summed: Tensor = combine(rows, choices[:-1].long().view_as(indices), weights)
    return summed


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
    if not torch.is_grad_enabled() and indices.numel() < len(experts):
        return _few_tokens(hidden, weights, indices, experts, swiglu, engine)
    parameters: list[Any] = [p for layers in experts for p in layers.parameters]
    return _GroupedPass.apply(
        hidden, weights, indices, experts, swiglu, recompute, engine, *parameters
    )
