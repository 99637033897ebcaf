"""gpt-oss experts as one linear layer each, run over tokens sorted by expert.

Stock transformers keeps the experts of a layer as 3-D parameters, which bitsandbytes cannot
quantize and LoRA cannot adapt. Here each expert has two linear layers of its own (4-bit or not),
with which both can work.

Legend: T tokens, K experts chosen per token, E experts, C hidden width, F intermediate width.
"""

from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import GptOssConfig

from animelm.model.moe.expert_pass import ExpertLayers, expert_pass
from animelm.model.moe.grouped.expert_pass import fits_grouped_pass, grouped_expert_pass
from animelm.model.moe.grouped.projection import GroupedEngine
from animelm.model.moe.inference import KeptExperts
from animelm.model.moe.projection import adapted_linear
from animelm.model.moe.routing import Routing
from animelm.model.moe.swiglu import SwiGLU
from animelm.model.quantization.linear4bit import Quantization, make_linear
from animelm.model.stacks import lay_side_by_side


def compile_swiglu(model: nn.Module) -> None:
    """Compiles the gated unit of every layer's experts."""
    for module in model.modules():
        if isinstance(module, Experts):
            module.swiglu = replace(module.swiglu, fused=True)


def use_expert_engine(model: nn.Module, engine: GroupedEngine | None) -> None:
    """Makes every layer's experts compute by ``engine``; None: by the loop over experts."""
    for module in model.modules():
        if isinstance(module, Experts):
            module.engine = engine


class Experts(nn.Module):
    """The experts of one layer; takes the place of transformers' ``GptOssExperts``.

    Attributes:
        engine: grouped products; None: the loop over experts.
        recompute: whether a training step computes gate and up again instead of storing them.
        kept: weights that are kept between passes without gradients, for each compute type; None:
            weights are dequantized in every pass.
    """

    engine: GroupedEngine | None = None
    kept: dict[torch.dtype, KeptExperts] | None = None

    def __init__(self, config: GptOssConfig, quantization: Quantization) -> None:
        super().__init__()
        hidden, intermediate = config.hidden_size, config.intermediate_size
        self.num_experts, self.chosen = config.num_local_experts, config.num_experts_per_tok
        self.swiglu = SwiGLU(config.swiglu_alpha, config.swiglu_limit)
        self.recompute = False
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
        adapted_layers = self._layers()
        if adapted_layers is None:
            return self._through_modules(hidden_states, router_indices, routing_weights)
        if self.kept is not None and self.engine is None and not torch.is_grad_enabled():
            dtype = hidden_states.dtype
            if dtype not in self.kept:
                self.kept[dtype] = KeptExperts(adapted_layers, self.swiglu, dtype)
            return self.kept[dtype](hidden_states, router_indices, routing_weights)
        # Without gradients there is no backward pass to store anything for.
        recompute = (self.recompute and self.training) or not torch.is_grad_enabled()
        arguments = (hidden_states, routing_weights, router_indices, adapted_layers, self.swiglu)
        if self.engine is None or not fits_grouped_pass(adapted_layers):
            return expert_pass(*arguments, recompute)
        return grouped_expert_pass(*arguments, recompute, self.engine)

    def _apply(self, *arguments: Any, **options: Any) -> Self:
        """Also lays the experts' weights side by side on a GPU, to which they were moved singly."""
        super()._apply(*arguments, **options)
        if next(self.parameters()).device.type == "cuda":
            self.lay_weights_side_by_side()
        return self

    def lay_weights_side_by_side(self) -> None:
        """Moves parameters that all experts have into one storage, which grouped products read.

        That is the frozen weights, scales and biases, and A and B of every adapter, which remain
        parameters of their own. Sharded parameters, and weights that are trained themselves, stay
        where they are.
        """
        for projections in (self.gate_up_projs, self.down_projs):
            by_name: dict[str, list[nn.Parameter]] = {}
            for projection in projections:
                for name, parameter in projection.named_parameters():
                    if "lora_" in name or not parameter.requires_grad:
                        by_name.setdefault(name, []).append(parameter)
            for alike in by_name.values():
                kinds = {(type(p.data), p.shape, p.dtype) for p in alike}
                if len(kinds) == 1 and type(alike[0].data) is Tensor:
                    lay_side_by_side(alike)

    def _layers(self) -> list[ExpertLayers] | None:
        found = []
        for modules in zip(self.gate_up_projs, self.down_projs, strict=True):
            gate_up, down = (adapted_linear(module) for module in modules)
            if gate_up is None or down is None:
                return None
            found.append(ExpertLayers(gate_up, down))
        return found

    def _through_modules(
        self, hidden_states: Tensor, router_indices: Tensor, routing_weights: Tensor
    ) -> Tensor:
        """For what ``expert_pass`` does not support, such as trained weights."""
        # In training an expert without rows runs too and gets gradients of zero, because other
        # processes may have others to average with.
        routing = Routing.from_indices(router_indices, self.num_experts)
        inputs = hidden_states.index_select(0, routing.token)
        outputs = [
            self._expert(expert, rows)
            for expert, rows in enumerate(inputs.split(routing.counts))
            if len(rows) or self.training
        ]
        chosen = torch.cat(outputs)[routing.place]
        return (chosen * routing_weights.unsqueeze(-1).to(chosen.dtype)).sum(1)

    def _expert(self, expert: int, rows: Tensor) -> Tensor:
        gate_up = self.gate_up_projs[expert](rows)
        gate, up = gate_up.unflatten(-1, (-1, 2)).unbind(-1)
        gate = gate.clamp(max=self.swiglu.limit)
        up = up.clamp(-self.swiglu.limit, self.swiglu.limit) + 1
        return self.down_projs[expert](up * gate * torch.sigmoid(self.swiglu.alpha * gate))
