"""A gpt-oss of 110 million parameters with random weights, as stock transformers writes it."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import GptOssConfig, GptOssForCausalLM

from training_speed_parts.documents import VOCABULARY

PAD_TOKEN_ID = 0


def write_checkpoint(folder: Path, seed: int = 0) -> int:
    """Writes model and tokenizer; returns the number of parameters."""
    config = GptOssConfig(
        num_hidden_layers=6,
        hidden_size=512,
        intermediate_size=512,
        num_local_experts=16,
        num_experts_per_tok=4,
        num_attention_heads=8,
        num_key_value_heads=2,
        head_dim=64,
        vocab_size=VOCABULARY,
        max_position_embeddings=4096,
        pad_token_id=PAD_TOKEN_ID,
        bos_token_id=None,
        eos_token_id=1,
        # Both sides train on the token loss alone.
        router_aux_loss_coef=0.0,
    )
    torch.manual_seed(seed)
    model = GptOssForCausalLM(config)
    model.to(torch.bfloat16).save_pretrained(folder)
    _write_tokenizer(folder)
    return model.num_parameters()


def _write_tokenizer(folder: Path) -> None:
    """Both trainers ask for a tokenizer, though the documents come tokenized."""
    words = {"<pad>": PAD_TOKEN_ID, "<end>": 1}
    Tokenizer(WordLevel(words, unk_token="<pad>")).save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": "<pad>",
        "eos_token": "<end>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
