"""The configuration of a gpt-oss small enough to build in a blink."""

from typing import Any

from transformers import GptOssConfig


def tiny_gpt_oss(**changes: Any) -> GptOssConfig:
    """2 layers, 64 wide, 4 experts of which 2 are chosen; ``changes`` in GptOssConfig's names."""
    settings = {
        "vocab_size": 97,
        "hidden_size": 64,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "sliding_window": 8,
        "max_position_embeddings": 256,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    }
    return GptOssConfig(**(settings | changes))
