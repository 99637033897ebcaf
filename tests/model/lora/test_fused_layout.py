import re

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora.layer import ParamWrapper
from tiny_gpt_oss import tiny_gpt_oss
from transformers import GptOssForCausalLM

from animelm.errors import UserError
from animelm.model.lora.fused_layout import (
    PROJECTIONS,
    fuse_experts,
    fused_targets,
    split_experts,
    split_targets,
)

EXPERTS, RANK, HIDDEN, INTERMEDIATE = 6, 4, 8, 10
PREFIX = "base_model.model.model.layers.0.mlp.experts"


def per_expert() -> dict[str, torch.Tensor]:
    """Random adapters of one layer's experts, and one on attention."""
    torch.manual_seed(0)
    sizes = {"gate_up_projs": (HIDDEN, 2 * INTERMEDIATE), "down_projs": (INTERMEDIATE, HIDDEN)}
    weights = {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": torch.ones(4, 8)}
    for listed, (inputs, outputs) in sizes.items():
        for expert in range(EXPERTS):
            name = f"{PREFIX}.{listed}.{expert}"
            weights[f"{name}.lora_A.weight"] = torch.randn(RANK, inputs)
            weights[f"{name}.lora_B.weight"] = torch.randn(outputs, RANK)
    return weights


def test_fused_tensors_have_the_names_and_shapes_that_peft_gives_them() -> None:
    fused = fuse_experts(per_expert())
    config = tiny_gpt_oss(
        num_local_experts=EXPERTS, hidden_size=HIDDEN, intermediate_size=INTERMEDIATE, head_dim=4
    )
    names = [f"mlp.experts.{name}" for name in PROJECTIONS]
    lora = LoraConfig(r=RANK, target_modules=["q_proj"], target_parameters=names)
    stock = get_peft_model(GptOssForCausalLM(config), lora)
    inner = stock.base_model.model.model.layers[0].mlp.experts.base_layer
    assert isinstance(inner, ParamWrapper) and inner.parameter_name == "gate_up_proj"
    shapes = {
        name.replace(".default", ""): tuple(tensor.shape)
        for name, tensor in stock.state_dict().items()
        if re.search(r"layers\.0\.mlp\.experts\..*lora_", name)
    }
    found = {name: tuple(tensor.shape) for name, tensor in fused.items() if ".experts." in name}
    assert found == shapes


def test_an_expert_is_slowest_in_a_and_fastest_in_b() -> None:
    weights = per_expert()
    fused = fuse_experts(weights)
    a, b = (fused[f"{PREFIX}.base_layer.lora_{part}.weight"] for part in "AB")
    name = f"{PREFIX}.gate_up_projs.3.lora_"
    assert torch.equal(a.view(EXPERTS, RANK, HIDDEN)[3], weights[f"{name}A.weight"])
    assert torch.equal(b.view(2 * INTERMEDIATE, RANK, EXPERTS)[..., 3], weights[f"{name}B.weight"])


@pytest.mark.parametrize("projections", [PROJECTIONS, PROJECTIONS[:1], PROJECTIONS[1:]])
def test_splitting_undoes_fusing(projections: tuple[str, ...]) -> None:
    weights = {
        name: tensor
        for name, tensor in per_expert().items()
        if ".experts." not in name or any(f".{each}s." in name for each in projections)
    }
    again = split_experts(fuse_experts(weights), RANK, projections)
    assert again.keys() == weights.keys()
    assert all(torch.equal(again[name], weights[name]) for name in weights)


def test_an_adapter_without_one_of_the_experts_cannot_be_fused() -> None:
    weights = per_expert()
    del weights[f"{PREFIX}.down_projs.2.lora_A.weight"]
    with pytest.raises(ValueError, match="down_projs lacks the adapter of an expert"):
        fuse_experts(weights)


def test_another_rank_than_the_tensors_have_is_an_error() -> None:
    with pytest.raises(ValueError, match="multiple of the rank, 5"):
        split_experts(fuse_experts(per_expert()), 5, PROJECTIONS)


def test_tensors_of_a_projection_that_is_not_targeted_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"base_layer.* belongs to none of .* down_proj"):
        split_experts(fuse_experts(per_expert()), RANK, ["down_proj"])


def test_what_every_layer_has_is_named_once_and_the_rest_by_its_path() -> None:
    names = per_expert()
    assert fused_targets(names, layers=1) == (
        ["q_proj"],
        ["mlp.experts.down_proj", "mlp.experts.gate_up_proj"],
    )
    modules, parameters = fused_targets(names, layers=2)
    assert modules == ["model.layers.0.self_attn.q_proj"]
    assert "model.layers.0.mlp.experts.down_proj" in parameters


def test_targets_of_fused_experts_reach_each_experts_layers() -> None:
    pattern, projections = split_targets(["q_proj"], ["mlp.experts.gate_up_proj"])
    assert projections == {"gate_up_proj"}
    for path in ("model.layers.1.self_attn.q_proj", "model.layers.1.mlp.experts.gate_up_projs.7"):
        assert re.fullmatch(pattern, path)
    for path in ("model.layers.1.mlp.experts.down_projs.7", "model.layers.1.self_attn.k_proj"):
        assert not re.fullmatch(pattern, path)


def test_a_parameter_of_another_model_is_refused() -> None:
    with pytest.raises(UserError, match=r"w1; expected parameters of gpt-oss's experts"):
        split_targets(None, ["feed_forward.experts.w1"])
