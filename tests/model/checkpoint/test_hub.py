import json
from pathlib import Path

import pytest
from tiny_base import EMBEDDED_BASE
from transformers import GptOssConfig, LlamaConfig, PreTrainedTokenizerFast

from animelm.errors import UserError
from animelm.model.checkpoint import hub
from animelm.model.checkpoint.hub import check_vocabulary, load_config
from animelm.model.checkpoint.released import released_config


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda *names: None)


def test_published_bases_are_described_without_network_or_cache() -> None:
    assert isinstance(load_config("openai/gpt-oss-20b"), GptOssConfig)
    assert isinstance(load_config("llm-jp/llm-jp-3-7.2b-instruct3"), LlamaConfig)
    assert load_config("openai/gpt-oss-20b").hidden_size == 2880


def test_what_the_cache_holds_counts_before_the_description(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = released_config("openai/gpt-oss-20b") | {
        "num_hidden_layers": 2,
        "layer_types": None,
        "quantization_config": {"quant_method": "mxfp4"},
    }
    (tmp_path / "config.json").write_text(json.dumps(own))
    cached = str(tmp_path / "config.json")
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda *names: cached)
    config = load_config("openai/gpt-oss-20b")
    assert config.num_hidden_layers == 2
    assert not hasattr(config, "quantization_config")


def test_a_config_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json: not valid JSON"):
        load_config(str(tmp_path))


def test_a_config_that_is_no_object_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(UserError, match=r"config\.json: found \[\]; expected an object"):
        load_config(str(tmp_path))


def test_a_tokenizer_with_more_tokens_than_the_embedding_has_rows_is_refused(
    tmp_path: Path,
) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(EMBEDDED_BASE)
    values = json.loads((EMBEDDED_BASE / "config.json").read_text())
    tokens = len(tokenizer)
    (tmp_path / "config.json").write_text(json.dumps(values | {"vocab_size": tokens}))
    check_vocabulary(tokenizer, str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps(values | {"vocab_size": tokens - 1}))
    message = f"its tokenizer has {tokens} tokens, and its embedding has {tokens - 1} rows"
    with pytest.raises(UserError, match=message):
        check_vocabulary(tokenizer, str(tmp_path))
