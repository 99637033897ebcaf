"""How many layers keep their activations; what each keeps is compared with autograd elsewhere."""

import pytest
import torch
from transformers import GptOssConfig, LlamaConfig

from animelm.model.architecture import Config
from animelm.model.kept_activations import (
    AdapterShape,
    BatchShape,
    kept_by_layer,
    layers_that_keep,
)

GPT_OSS = GptOssConfig(
    vocab_size=97, hidden_size=96, intermediate_size=64, num_hidden_layers=3,
    num_attention_heads=6, num_key_value_heads=2, head_dim=32, num_local_experts=4,
    num_experts_per_tok=2, sliding_window=128,
)  # fmt: skip
LLAMA = LlamaConfig(
    vocab_size=97, hidden_size=128, intermediate_size=352, num_hidden_layers=3,
    num_attention_heads=4, num_key_value_heads=2,
)  # fmt: skip
ADAPTERS = AdapterShape(frozenset(), 8, dropout=False)


def shape(kept_bytes: int) -> BatchShape:
    return BatchShape(384, 384, torch.bfloat16, checkpointing=True, kept_bytes=kept_bytes)


@pytest.mark.parametrize("config", [GPT_OSS, LLAMA], ids=["gpt-oss", "llama"])
def test_as_many_layers_keep_their_activations_as_the_budget_pays_for(config: Config) -> None:
    one = kept_by_layer(config, ADAPTERS, shape(0)).worth_keeping()
    for budget, layers in ((one - 1, 0), (one, 1), (2 * one, 2), (2**40, 3)):
        assert layers_that_keep(config, ADAPTERS, shape(budget)) == layers


def test_an_expert_layer_keeps_gate_up_of_every_row_rounded_up_for_the_kernels() -> None:
    kept = kept_by_layer(GPT_OSS, ADAPTERS, shape(0))
    rows = 2 * 384 + 4 * 15 // 2  # two experts per token; multiples of 16, half of them filled up
    assert kept.worth_keeping() == 2 * 64 * rows * 2
