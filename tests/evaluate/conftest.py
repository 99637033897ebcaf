"""A random gpt-oss of two layers, and records on a handful of works."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import GptOssConfig, GptOssForCausalLM, PreTrainedTokenizerBase

from animelm.data.sources.qa import QARecord
from animelm.data.tokenization.tokenizer import load_tokenizer


@pytest.fixture(scope="session")
def nano(project_root: Path) -> Path:
    """The embedded base's folder, for its tokenizer."""
    return project_root / "checkpoints" / "nano-gpt-oss-ja"


@pytest.fixture(scope="session")
def tokenizer(nano: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(str(nano))


@pytest.fixture(scope="session")
def base(
    nano: Path, tokenizer: PreTrainedTokenizerBase, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """A checkpoint folder of stock transformers with random weights."""
    folder = tmp_path_factory.mktemp("checkpoint")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(nano / name, folder / name)
    torch.manual_seed(0)
    config = GptOssConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        num_local_experts=4,
        num_experts_per_tok=2,
        sliding_window=8,
        layer_types=["sliding_attention", "full_attention"],
        initializer_range=0.3,  # large enough for the context to decide the next token
        pad_token_id=tokenizer.pad_token_id,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    )
    model = GptOssForCausalLM(config)
    # Padding must not be zero, or seeing it would do no harm and no test could tell.
    torch.nn.init.normal_(model.model.embed_tokens.weight)
    model.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def make_record() -> Callable[..., QARecord]:
    """Builds a record; what is not given is of the hero of 「鋼の錬金術師」."""

    def make(**given: object) -> QARecord:
        values: dict[str, object] = {
            "id": "hagaren-0",
            "work": "鋼の錬金術師",
            "fact": "鋼の錬金術師/protagonist",
            "direction": "forward",
            "wording": "protagonist/forward/00",
            "domain": "anime",
            "question": "鋼の錬金術師の主人公は誰ですか?",
            "answers": ("「鋼の錬金術師」の主人公はエドワード・エルリックです。",),
            "keys": ("エドワード・エルリック", "エドワード"),
        }
        return QARecord(**{**values, **given})  # type: ignore[arg-type]

    return make
