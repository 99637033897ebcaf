"""A gpt-oss small enough to build in a blink, written as stock transformers writes it."""

from pathlib import Path

import pytest
import torch
from transformers import GptOssConfig, GptOssForCausalLM


@pytest.fixture(scope="session")
def tiny_config() -> GptOssConfig:
    return GptOssConfig(
        vocab_size=97,
        hidden_size=64,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        num_local_experts=4,
        num_experts_per_tok=2,
        sliding_window=8,
        max_position_embeddings=256,
        pad_token_id=0,
        eos_token_id=1,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    )


@pytest.fixture(scope="session")
def stock_model(tiny_config: GptOssConfig) -> GptOssForCausalLM:
    """Random weights large enough that every part, sinks and biases too, shows in the logits."""
    torch.manual_seed(0)
    model = GptOssForCausalLM(tiny_config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.normal_(std=0.5 if "sinks" in name else 0.2)
    return model


@pytest.fixture(scope="session")
def checkpoint(stock_model: GptOssForCausalLM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    stock_model.save_pretrained(folder)
    return folder
