"""A gpt-oss small enough to build in a blink, written as stock transformers writes it."""

from pathlib import Path

import pytest
import torch
from tiny_gpt_oss import tiny_gpt_oss
from transformers import GptOssConfig, GptOssForCausalLM


@pytest.fixture(scope="session")
def tiny_config() -> GptOssConfig:
    return tiny_gpt_oss()


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
