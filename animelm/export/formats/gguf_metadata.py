"""What a GGUF file says beside its tensors: sizes, rotary settings, tokenizer, chat template."""

import json
from pathlib import Path
from typing import Any

import gguf
from transformers import GptOssConfig, PreTrainedTokenizerBase

from animelm.data.tokenization.tokenizer import control_token_ids, load_tokenizer

# The split of o200k, gpt-oss's tokenizer, which llama.cpp calls gpt-4o.
_O200K = "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"


def add_metadata(
    writer: gguf.GGUFWriter, config: GptOssConfig, folder: Path, file_type: gguf.LlamaFileType
) -> list[str]:
    """Adds everything that llama.cpp reads before the tensors.

    Args:
        writer: of the file.
        config: of the base.
        folder: of the base, which holds its tokenizer.
        file_type: type of most matrices.

    Returns:
        What a user of the file should know.
    """
    writer.add_name(folder.name)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_expert_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_expert_count(config.num_local_experts)
    writer.add_expert_used_count(config.num_experts_per_tok)
    writer.add_sliding_window(config.sliding_window or 0)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _add_rotary(writer, config.rope_parameters or {})
    return _add_tokenizer(writer, config, folder)


def _add_rotary(writer: gguf.GGUFWriter, rotary: dict[str, Any]) -> None:
    writer.add_rope_freq_base(rotary["rope_theta"])
    if rotary["rope_type"] != "yarn":
        return
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(rotary["factor"])
    writer.add_rope_scaling_orig_ctx_len(rotary["original_max_position_embeddings"])
    writer.add_rope_scaling_yarn_beta_fast(rotary.get("beta_fast", 32.0))
    writer.add_rope_scaling_yarn_beta_slow(rotary.get("beta_slow", 1.0))


def _add_tokenizer(writer: gguf.GGUFWriter, config: GptOssConfig, folder: Path) -> list[str]:
    tokenizer = load_tokenizer(str(folder))
    split = json.dumps(json.loads((folder / "tokenizer.json").read_text("utf-8"))["pre_tokenizer"])
    known = json.dumps(_O200K)[1:-1] in split
    tokens, types = _vocabulary(tokenizer, config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-4o" if known else "default")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    special = gguf.SpecialVocab(folder, load_merges=True, n_vocab=config.vocab_size)
    special.add_to_gguf(writer, quiet=True)
    if known:
        return []
    return [
        "llama.cpp cannot split texts as this base's tokenizer does; give it token ids instead of "
        "texts"
    ]


def _vocabulary(
    tokenizer: PreTrainedTokenizerBase, size: int
) -> tuple[list[str], list[gguf.TokenType]]:
    """Spelling and type of every row of the embedding."""
    spellings = {number: text for text, number in tokenizer.get_vocab().items()}
    control, added = control_token_ids(tokenizer), tokenizer.added_tokens_decoder
    tokens, types = [], []
    for number in range(size):
        kind = gguf.TokenType.NORMAL
        if number not in spellings:
            kind = gguf.TokenType.UNUSED
        elif number in control:
            kind = gguf.TokenType.CONTROL
        elif number in added:
            kind = gguf.TokenType.USER_DEFINED
        tokens.append(spellings.get(number, f"[PAD{number}]"))
        types.append(kind)
    return tokens, types
