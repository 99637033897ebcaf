"""A gpt-oss base of random weights, small enough to write in a blink."""

import shutil
from pathlib import Path

import torch
from tiny_gpt_oss import tiny_gpt_oss
from transformers import GptOssForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

# Not the tokenizer's own size: the weights, and so the golden losses, shall not depend on it.
_VOCABULARY = 8192
EMBEDDED_BASE = Path(__file__).resolve().parent.parent / "checkpoints" / "nano-gpt-oss-ja"


def write_tiny_base(folder: Path) -> Path:
    """Writes a base of 2 layers, 64 wide, with 4 experts and the embedded base's tokenizer.

    The weights are the same on every machine up to the last bits, and large enough for their
    products to be told from noise.
    """
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(EMBEDDED_BASE / name, folder)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    assert len(tokenizer) <= _VOCABULARY
    config = tiny_gpt_oss(
        vocab_size=_VOCABULARY,
        sliding_window=16,
        max_position_embeddings=1024,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(0)
    model = GptOssForCausalLM(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.normal_(std=0.1)
    model.save_pretrained(folder)
    return folder


def write_tiny_llama(folder: Path) -> None:
    """Writes a dense Llama in 16 bits, as llm-jp-3 is released."""
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(EMBEDDED_BASE / name, folder)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).bfloat16().save_pretrained(folder)
