"""The pass over all experts where no gradient follows, with weights that are kept.

Legend: T tokens, K experts chosen per token, N = T·K rows sorted by expert, C hidden width,
F intermediate width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from animelm.model.moe.expert_pass import ExpertLayers, row_multiple
from animelm.model.moe.projection import Projection
from animelm.model.moe.routing import Routing
from animelm.model.moe.swiglu import SwiGLU


class KeptExperts:
    """The experts of a layer, dequantized once; nothing is stored for a backward pass.

    Args:
        experts: The layers of every expert.
        swiglu: The gated unit.
        dtype: The compute type.
    """

    def __init__(self, experts: Sequence[ExpertLayers], swiglu: SwiGLU, dtype: torch.dtype) -> None:
        self._swiglu = swiglu
        self._first = [
            Projection(layers.gate_up, dtype, even_rows_first=True, kept=True, merged=True)
            for layers in experts
        ]
        self._second = [
            Projection(layers.down, dtype, kept=True, merged=True) for layers in experts
        ]

    def __call__(self, hidden: Tensor, router_indices: Tensor, routing_weights: Tensor) -> Tensor:
        """hidden [T, C], router_indices [T, K], routing_weights [T, K] -> [T, C]."""
        experts = len(self._first)
        multiple = row_multiple(router_indices.numel(), experts, hidden.dtype, hidden.device.type)
        routing = Routing.from_indices(router_indices, experts, multiple)
        rows = hidden.index_select(0, routing.token)
        gate_up = _through(self._first, rows, routing.counts)
        outputs = _through(self._second, self._swiglu.forward(gate_up), routing.counts)
        return routing.combine(outputs, routing_weights.to(outputs.dtype))


def _through(projections: Sequence[Projection], rows: Tensor, counts: Sequence[int]) -> Tensor:
    """Each expert's rows through its projection."""
    return torch.cat(
        [
            projection.output(part)
            for projection, part in zip(projections, rows.split(list(counts)), strict=True)
            if len(part)
        ]
    )
