"""The published bases, described from the configurations that come with the project."""

import re
from collections import Counter

import pytest
import torch
from transformers import GptOssConfig, GptOssForCausalLM, LlamaConfig

from animelm.model.checkpoint.load import empty_model
from animelm.model.checkpoint.released import RELEASED, released_config
from animelm.model.inspection import describe_modules

# The print-out of the 4-bit 20B: name, type, in, out, bias, bits, how many of it.
_LAYER = r"model\.layers\.\d+\."
TABLE = [
    (r"model\.embed_tokens", "Embedding", 201088, 2880, False, 16, 1),
    (_LAYER + r"self_attn\.q_proj", "Linear4bit", 2880, 4096, True, 4, 24),
    (_LAYER + r"self_attn\.k_proj", "Linear4bit", 2880, 512, True, 4, 24),
    (_LAYER + r"self_attn\.v_proj", "Linear4bit", 2880, 512, True, 4, 24),
    (_LAYER + r"self_attn\.o_proj", "Linear4bit", 4096, 2880, True, 4, 24),
    (_LAYER + r"mlp\.router", "GptOssTopKRouter", 2880, 32, True, 16, 24),
    (_LAYER + r"mlp\.experts\.gate_up_projs\.\d+", "Linear4bit", 2880, 5760, True, 4, 24 * 32),
    (_LAYER + r"mlp\.experts\.down_projs\.\d+", "Linear4bit", 2880, 2880, True, 4, 24 * 32),
    (_LAYER + r"input_layernorm", "GptOssRMSNorm", 2880, 2880, False, 16, 24),
    (_LAYER + r"post_attention_layernorm", "GptOssRMSNorm", 2880, 2880, False, 16, 24),
    (r"model\.norm", "GptOssRMSNorm", 2880, 2880, False, 16, 1),
    (r"lm_head", "Linear", 2880, 201088, False, 16, 1),
]


@pytest.fixture(scope="module")
def model() -> GptOssForCausalLM:
    """The 20B in 4 bits on the meta device: shapes and types, no memory."""
    config = GptOssConfig.from_dict(released_config("unsloth/gpt-oss-20b"))
    described = empty_model(config, "nf4")
    torch.nn.Module.to(described, torch.bfloat16)
    return described


def test_the_20b_agrees_with_the_table_row_by_row(model: GptOssForCausalLM) -> None:
    found = Counter(
        (pattern, row.type, row.in_features, row.out_features, row.bias, row.bits)
        for row in describe_modules(model)
        for pattern in [next((p for p, *_ in TABLE if re.fullmatch(p, row.name)), row.name)]
    )
    assert found == {tuple(row): count for *row, count in TABLE}


def test_the_20b_has_the_constants_of_the_published_model(model: GptOssForCausalLM) -> None:
    config = model.config
    assert model.model.embed_tokens.padding_idx == 199999
    assert {norm.variance_epsilon for norm in _norms(model)} == {1e-5}
    assert config.num_experts_per_tok == 4
    assert config.sliding_window == 128
    assert config.layer_types == ["sliding_attention", "full_attention"] * 12
    assert [tuple(layer.self_attn.sinks.shape) for layer in model.model.layers] == [(64,)] * 24
    rope = config.rope_parameters
    assert (rope["rope_type"], rope["rope_theta"], rope["factor"]) == ("yarn", 150000, 32.0)
    assert (rope["original_max_position_embeddings"], rope["truncate"]) == (4096, False)


def test_the_dense_base_has_the_size_of_the_published_files() -> None:
    """Its three files of bf16 are listed with 5.00, 4.95 and 4.64 GB."""
    config = LlamaConfig.from_dict(released_config("llm-jp/llm-jp-3-7.2b-instruct3"))
    width, inner = config.hidden_size, config.intermediate_size
    layer = 4 * width * width + 3 * width * inner + 2 * width
    parameters = 2 * config.vocab_size * width + config.num_hidden_layers * layer + width
    assert 2 * parameters == pytest.approx((5.00 + 4.95 + 4.64) * 1e9, rel=1e-3)
    assert config.max_position_embeddings == 4096
    assert config.num_key_value_heads == config.num_attention_heads == width // config.head_dim


def test_each_published_name_has_a_configuration_of_its_own_to_change() -> None:
    for base in RELEASED:
        config = released_config(base)
        assert config is not None
        config["vocab_size"] = 0
        assert released_config(base)["vocab_size"] > 0


def test_another_base_has_none() -> None:
    assert released_config("checkpoints/nano-gpt-oss-ja") is None
    assert released_config("unsloth/gpt-oss-120b") is None


def _norms(model: GptOssForCausalLM) -> list[torch.nn.Module]:
    return [module for module in model.modules() if type(module).__name__ == "GptOssRMSNorm"]
