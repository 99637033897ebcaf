"""The 4-bit experts against transformers' own, on the dequantized weights."""

import copy
from pathlib import Path

import pytest
import torch
from peft.tuners.lora import Linear as PeftLinear
from transformers import GptOssForCausalLM
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssExperts

from animelm.model.checkpoint.load import load_base
from animelm.model.lora.adapters import LoraSettings, add_adapter, save_adapter
from animelm.model.lora.linear import LoraLinear
from animelm.model.moe import projection
from animelm.model.moe.experts import Experts
from animelm.model.quantization.linear4bit import weight_in
from animelm.model.stacks import stacked
from animelm.train.optimizer import OptimizerSettings, build_optimizer


def routed(tokens: int = 23) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    hidden = torch.randn(tokens, 64)
    scores, indices = torch.randn(tokens, 3).topk(2, dim=-1)  # expert 3 gets no token
    return hidden, indices, scores.softmax(-1)


def stock_twin(ours: Experts, stock: GptOssExperts) -> GptOssExperts:
    """transformers' experts with the weights that ours hold after quantization."""
    twin = copy.deepcopy(stock)
    with torch.no_grad():
        for expert in range(twin.num_experts):
            twin.gate_up_proj[expert] = weight_in(base(ours.gate_up_projs[expert]), torch.float32).T
            twin.down_proj[expert] = weight_in(base(ours.down_projs[expert]), torch.float32).T
    return twin


def base(layer: torch.nn.Module) -> torch.nn.Module:
    return getattr(layer, "base_layer", layer)


def test_forward_equals_transformers_experts_on_dequantized_weights(
    checkpoint: Path, stock_model: GptOssForCausalLM
) -> None:
    ours = load_base(str(checkpoint), "nf4").model.layers[0].mlp.experts
    twin = stock_twin(ours, stock_model.model.layers[0].mlp.experts)
    hidden, indices, weights = routed()
    torch.testing.assert_close(
        ours(hidden, indices, weights), twin(hidden, indices, weights), rtol=1e-4, atol=1e-4
    )


def test_every_lora_gradient_equals_the_one_through_the_merged_weight(
    checkpoint: Path, stock_model: GptOssForCausalLM
) -> None:
    model = add_adapter(
        load_base(str(checkpoint), "nf4"), LoraSettings(rank=4, alpha=8, dropout=0.0)
    )
    ours = model.get_base_model().model.layers[0].mlp.experts
    twin = stock_twin(ours, stock_model.model.layers[0].mlp.experts)
    hidden, indices, weights = routed()
    hidden.requires_grad_()
    pairs = {"gate_up_proj": ours.gate_up_projs, "down_proj": ours.down_projs}
    for layers in pairs.values():
        for layer in layers:
            torch.nn.init.normal_(layer.lora_B["default"].weight, std=0.1)
    fused = {
        name: torch.stack(
            [
                (
                    weight_in(l.base_layer, torch.float32)
                    + 2.0 * l.lora_B["default"].weight @ l.lora_A["default"].weight
                ).T
                for l in layers  # noqa: E741
            ]
        )
        for name, layers in pairs.items()
    }
    theirs = torch.func.functional_call(twin, fused, (hidden, indices, weights))
    out = ours(hidden, indices, weights)
    torch.testing.assert_close(out, theirs, rtol=1e-3, atol=1e-3)
    trained = [
        p
        for layers in pairs.values()
        for layer in layers
        for p in layer.parameters()
        if p.requires_grad
    ]
    assert len(trained) == 2 * 2 * 4
    inputs, direction = [hidden, *trained], torch.randn_like(out)
    mine = torch.autograd.grad(out, inputs, direction, allow_unused=True)
    expected = torch.autograd.grad(theirs, inputs, direction, allow_unused=True)
    for ours_grad, their_grad in zip(mine, expected, strict=True):
        if ours_grad is None:  # the expert without tokens
            assert not their_grad.any()
        else:
            torch.testing.assert_close(ours_grad, their_grad, rtol=1e-3, atol=1e-3)


def test_every_experts_adapter_has_changed_after_ten_steps(checkpoint: Path) -> None:
    torch.manual_seed(0)
    model = add_adapter(load_base(str(checkpoint), "nf4"), LoraSettings(rank=4)).train()
    before = {
        name: p.detach().clone()
        for name, p in model.named_parameters()
        if ".experts." in name and p.requires_grad
    }
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(10):
        ids = torch.randint(2, 97, (4, 32))
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    after = dict(model.named_parameters())
    assert len(before) == 2 * 4 * 2 * 2  # layers, experts, projections, A and B
    assert all(not torch.equal(before[name], after[name]) for name in before)


def test_under_stacked_adapters_an_expert_without_tokens_has_gradients_of_zero(
    checkpoint: Path,
) -> None:
    model = add_adapter(load_base(str(checkpoint), "nf4"), LoraSettings(rank=4))
    model.add_adapter("below", model.peft_config["default"])
    model.base_model.set_adapter(["below", "default"])
    ours = model.train().get_base_model().model.layers[0].mlp.experts
    ours(*routed()).sum().backward()
    assert ours.gate_up_projs[0].lora_B["default"].weight.grad.any()
    for layers in (ours.gate_up_projs, ours.down_projs):
        for part in (layers[3].lora_A, layers[3].lora_B):
            assert not part["default"].weight.grad.any()


def test_experts_that_have_answered_in_inference_mode_can_be_trained(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection, "_WORKSPACES", {})
    # In fp16 weights are unpacked as on a GPU: by an operator, into memory that is kept.
    model = add_adapter(load_base(str(checkpoint), compute_dtype=torch.float16), LoraSettings())
    tokens = torch.arange(8)[None]
    with torch.inference_mode():
        model(input_ids=tokens)
    model.train()(input_ids=tokens).logits.sum().backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("recompute", [False, True])
def test_an_adapter_stacked_on_a_frozen_one_computes_as_peft_does(
    checkpoint: Path, recompute: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = add_adapter(load_base(str(checkpoint), "nf4"), LoraSettings(rank=4, dropout=0.0))
    model.add_adapter("below", model.peft_config["default"])
    model.base_model.set_adapter(["below", "default"])
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
        if ".below." in name:
            parameter.requires_grad_(False)
    ours = model.train().get_base_model().model.layers[0].mlp.experts
    ours.recompute = recompute
    hidden, indices, weights = routed()
    trained = [p for p in ours.parameters() if p.requires_grad]
    inputs = [hidden.requires_grad_(), weights.requires_grad_(), *trained]

    def compute() -> list[torch.Tensor]:
        out = ours(hidden, indices, weights)
        return [out, *torch.autograd.grad(out, inputs, torch.ones_like(out))]

    with monkeypatch.context() as patched:
        patched.setattr(ours, "_layers", lambda: None)
        patched.setattr(LoraLinear, "forward", PeftLinear.forward)
        expected = compute()
    monkeypatch.setattr(ours, "_through_modules", None)  # the pass over all experts serves
    torch.testing.assert_close(compute(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("adapted", [False, True])
def test_weights_laid_side_by_side_are_the_same_and_no_longer_copied(
    checkpoint: Path, adapted: bool
) -> None:
    model = load_base(str(checkpoint), "nf4")
    if adapted:
        model = add_adapter(model, LoraSettings(rank=4)).get_base_model()
    ours = model.eval().model.layers[0].mlp.experts
    expected = ours(*routed())
    ours.lay_weights_side_by_side()
    assert torch.equal(ours(*routed()), expected)
    for projections in (ours.gate_up_projs, ours.down_projs):
        layers = [base(layer) for layer in projections]
        for name in ("weight", "scales", "bias"):
            tensors = [getattr(layer, name) for layer in layers]
            assert stacked(tensors).data_ptr() == tensors[0].data_ptr()


def test_adapters_laid_side_by_side_stay_parameters_and_are_trained_in_place(
    checkpoint: Path, tmp_path: Path
) -> None:
    model = add_adapter(load_base(str(checkpoint), "nf4"), LoraSettings(rank=4))
    ours = model.get_base_model().model.layers[0].mlp.experts
    names = {name: parameter for name, parameter in model.named_parameters()}
    save_adapter(model, tmp_path / "before")
    ours.lay_weights_side_by_side()
    assert all(parameter is names[name] for name, parameter in model.named_parameters())
    save_adapter(model, tmp_path / "after")
    before, after = (
        (tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("before", "after")
    )
    assert before == after
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = build_optimizer(trained, OptimizerSettings())
    for parameter in trained:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    for part in ("lora_A", "lora_B"):
        tensors = [getattr(each, part)["default"].weight for each in ours.down_projs]
        assert stacked(tensors).data_ptr() == tensors[0].data_ptr()


def test_weights_that_are_trained_stay_where_they_are(checkpoint: Path) -> None:
    model = load_base(str(checkpoint), "none")  # nothing is frozen before there is an adapter
    layers = model.model.layers[0].mlp.experts.requires_grad_().gate_up_projs
    places = [layer.weight.data_ptr() for layer in layers]
    model.model.layers[0].mlp.experts.lay_weights_side_by_side()
    assert [layer.weight.data_ptr() for layer in layers] == places
