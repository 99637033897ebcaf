import pytest
import torch
from model.moe.expert_layers import random_experts, routed

from animelm.model.moe.expert_pass import ExpertLayers, expert_pass
from animelm.model.moe.inference import KeptExperts
from animelm.model.moe.swiglu import SwiGLU
from animelm.model.quantization.linear4bit import Quantization

SWIGLU = SwiGLU(alpha=1.702, limit=0.7)
HIDDEN, INTERMEDIATE = 64, 32
CHOICES = torch.tensor([[0, 2], [2, 0], [2, 3], [0, 3], [3, 2]])  # expert 1 gets no token


def stacked(experts: list[ExpertLayers], below: list[ExpertLayers]) -> list[ExpertLayers]:
    """The experts with the adapters of others below their own."""
    return [
        ExpertLayers(
            *(
                linear._replace(below=(under.lora,))
                for linear, under in (
                    (expert.gate_up, other.gate_up),
                    (expert.down, other.down),
                )
            )
        )
        for expert, other in zip(experts, below, strict=True)
    ]


@pytest.mark.parametrize("quantization", ["none", "nf4", "nf4-double", "mxfp4"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rank", [0, 4])
@torch.no_grad()
def test_kept_experts_compute_what_the_pass_of_training_computes(
    quantization: Quantization, dtype: torch.dtype, rank: int
) -> None:
    torch.manual_seed(0)
    experts = random_experts(4, HIDDEN, INTERMEDIATE, quantization, rank)
    if rank:
        experts = stacked(experts, random_experts(4, HIDDEN, INTERMEDIATE, quantization, 2))
    hidden, weights, indices = routed(CHOICES.repeat(20, 1), HIDDEN, dtype)
    expected = expert_pass(hidden, weights, indices, experts, SWIGLU, recompute=True)
    kept = KeptExperts(experts, SWIGLU, dtype)
    tolerance = 2e-5 if dtype == torch.float32 else 3e-2
    for _ in range(2):
        found = kept(hidden, indices, weights)
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance * 10)
