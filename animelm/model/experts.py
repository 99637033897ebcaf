"""gpt-oss experts as one linear layer each, run over tokens sorted by expert.

Stock transformers keeps the experts of a layer as 3-D parameters, which bitsandbytes cannot
quantise and LoRA cannot reach. Here each expert has two linear layers of its own (4-bit or not), so
both can.

Legend: T tokens, K experts chosen per token, E experts, C hidden width, F intermediate width.
"""

import torch
from torch import Tensor, nn
from transformers import GptOssConfig

from animelm.model.quantize import Quantization, make_linear


def clamped_gate(gate_up: Tensor, alpha: float, limit: float) -> Tensor:
    """gpt-oss's gated unit: (up + 1) · gate · sigmoid(alpha · gate), clamped.

    Args:
        gate_up: [T, 2F], interleaved: even columns gate (clamped above), odd columns up (clamped
            both ways).

    Returns:
        [T, F].
    """
    gate, up = gate_up.unflatten(-1, (-1, 2)).unbind(-1)
    gate = gate.clamp(max=limit)
    return (up.clamp(-limit, limit) + 1) * gate * torch.sigmoid(alpha * gate)


class Experts(nn.Module):
    """The experts of one layer; takes the place of transformers' ``GptOssExperts``."""

    def __init__(self, config: GptOssConfig, quantization: Quantization) -> None:
        super().__init__()
        hidden, intermediate = config.hidden_size, config.intermediate_size
        self.num_experts, self.chosen = config.num_local_experts, config.num_experts_per_tok
        self.alpha, self.limit = config.swiglu_alpha, config.swiglu_limit
        self.gate_up_projs = nn.ModuleList(
            make_linear(hidden, 2 * intermediate, True, quantization)
            for _ in range(self.num_experts)
        )
        self.down_projs = nn.ModuleList(
            make_linear(intermediate, hidden, True, quantization) for _ in range(self.num_experts)
        )

    def forward(
        self, hidden_states: Tensor, router_indices: Tensor, routing_weights: Tensor
    ) -> Tensor:
        """hidden_states [T, C], router_indices [T, K], routing_weights [T, K] -> [T, C]."""
        flat = router_indices.flatten()
        order = torch.argsort(flat, stable=True)
        counts = torch.bincount(flat, minlength=self.num_experts).tolist()
        inputs = hidden_states.index_select(0, order // router_indices.shape[1])
        outputs = [
            self._expert(expert, rows)
            for expert, rows in enumerate(inputs.split(counts))
            if counts[expert]
        ]
        inverse = torch.empty_like(order)
        inverse[order] = torch.arange(order.numel(), device=order.device)
        chosen = torch.cat(outputs).index_select(0, inverse).view(*router_indices.shape, -1)
        return (chosen * routing_weights.unsqueeze(-1).to(chosen.dtype)).sum(1)

    def _expert(self, expert: int, rows: Tensor) -> Tensor:
        gate_up = self.gate_up_projs[expert](rows)
        return self.down_projs[expert](clamped_gate(gate_up, self.alpha, self.limit))
