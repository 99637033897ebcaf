import pytest
import torch
from transformers import GptOssConfig, GptOssForCausalLM

from animelm.train.pretrain import LoadBalancer


@pytest.fixture
def model() -> GptOssForCausalLM:
    torch.manual_seed(0)
    config = GptOssConfig(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        num_local_experts=4,
        num_experts_per_tok=2,
        pad_token_id=0,
        eos_token_id=1,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    )
    return GptOssForCausalLM(config).train()


def run(model: GptOssForCausalLM) -> None:
    model(input_ids=torch.randint(2, 50, (2, 64)), use_cache=False)


def set_bias(model: GptOssForCausalLM, bias: list[float]) -> None:
    with torch.no_grad():
        for layer in model.model.layers:
            layer.mlp.router.weight.mul_(1e-3)
            layer.mlp.router.bias.copy_(torch.tensor(bias))


def test_equal_shares_cost_as_much_as_experts_are_chosen(model: GptOssForCausalLM) -> None:
    balance = LoadBalancer(model, weight=0.5)
    set_bias(model, [0.0] * 4)
    run(model)
    assert balance.loss().item() == pytest.approx(0.5 * 2, rel=0.05)


def test_a_collapse_on_two_experts_costs_twice_as_much(model: GptOssForCausalLM) -> None:
    balance = LoadBalancer(model, weight=0.5)
    set_bias(model, [30.0, 30.0, 0.0, 0.0])
    run(model)
    assert balance.loss().item() == pytest.approx(0.5 * 4, rel=0.05)


def test_the_loss_pushes_the_router_away_from_the_crowded_experts(
    model: GptOssForCausalLM,
) -> None:
    balance = LoadBalancer(model, weight=1.0)
    set_bias(model, [2.0, 2.0, 0.0, 0.0])
    run(model)
    balance.loss().backward()
    for layer in model.model.layers:
        gradient = layer.mlp.router.bias.grad
        assert (gradient[:2] > 0).all() and (gradient[2:] < 0).all()


def test_reset_drops_earlier_passes(model: GptOssForCausalLM) -> None:
    balance = LoadBalancer(model, weight=1.0)
    set_bias(model, [30.0, 30.0, 0.0, 0.0])
    run(model)
    balance.reset()
    set_bias(model, [0.0] * 4)
    run(model)
    assert balance.loss().item() == pytest.approx(2, rel=0.05)


def test_logits_of_evaluation_are_not_collected(model: GptOssForCausalLM) -> None:
    balance = LoadBalancer(model, weight=1.0)
    set_bias(model, [0.0] * 4)
    run(model)
    before = balance.loss().item()
    set_bias(model, [30.0, 30.0, 0.0, 0.0])
    run(model.eval())
    assert balance.loss().item() == before
