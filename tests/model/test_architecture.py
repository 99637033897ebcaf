"""What a config.json says is taken, or refused with the file named."""

import pytest
import torch
from tiny_gpt_oss import tiny_gpt_oss
from transformers import GptOssConfig, LlamaConfig

from animelm.errors import UserError
from animelm.model.architecture import empty_model, read_config

GPT_OSS = tiny_gpt_oss().to_dict() | {"architectures": ["GptOssForCausalLM"]}
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 97,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


@pytest.mark.parametrize(
    ("values", "expected"),
    [(GPT_OSS, GptOssConfig), (LLAMA, LlamaConfig)],
    ids=["gpt-oss", "llama"],
)
@pytest.mark.parametrize("architectures", [None, []])
def test_without_architectures_the_model_type_decides(
    values: dict, expected: type, architectures: list | None
) -> None:
    assert isinstance(read_config(values, "x"), expected)
    without = values | {"architectures": architectures}
    assert isinstance(read_config(without, "x"), expected)
    del without["architectures"]
    assert isinstance(read_config(without, "x"), expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"architectures": None, "model_type": None},
        {"architectures": None, "model_type": "bert"},
        {"architectures": None, "model_type": {}},
        {"architectures": ["BertModel"]},
        {"architectures": [{}]},
        {"architectures": "LlamaForCausalLM"},
        {"architectures": 5},
    ],
)
def test_another_or_no_architecture_is_refused(changes: dict) -> None:
    with pytest.raises(UserError, match=r"^some/config\.json: architectures is .*expected GptOss"):
        read_config(LLAMA | changes, "some/config.json")


@pytest.mark.parametrize("values", [[], None, 5, "text", [{}] * 99])
def test_what_is_no_object_is_refused(values: object) -> None:
    with pytest.raises(UserError, match=r"^some/config\.json: found .*expected an object"):
        read_config(values, "some/config.json")


@pytest.mark.parametrize("values", [GPT_OSS, LLAMA], ids=["gpt-oss", "llama"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hidden_size": "256"}, "hidden_size.*expected int, got str"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0; expected 1 or more"),
        ({"num_key_value_heads": 0}, "num_key_value_heads is 0; expected 1 or more"),
        ({"head_dim": 0}, "head_dim is 0; expected 1 or more"),
        ({"hidden_size": -4}, "hidden_size is -4; expected 1 or more"),
        (
            {"num_local_experts": 10**9},
            "num_local_experts is 1000000000; expected 1 or more, to 4,",
        ),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000; expected 1 or more"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0; expected 1 or more"),
        ({"head_dim": 7}, "requires an even rotary dimension"),
        ({"rope_parameters": {"rope_type": "no_type", "rope_theta": 1e4}}, "KeyError: 'no_type'"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "required keys.*factor"),
        ({"rope_parameters": 5}, "rope_parameters"),
        ({"pad_token_id": 10**6}, "Padding_idx must be within"),
        ({"dtype": "no_type"}, "no_type"),
        ({"layer_types": ["no_type"]}, "layer_types"),
    ],
)
def test_what_transformers_builds_no_model_of_is_told_in_its_words(
    values: dict, changes: dict, words: str
) -> None:
    with pytest.raises(UserError, match=rf"^some/config\.json: .*{words}"):
        read_config(values | changes, "some/config.json")


def test_reading_a_configuration_leaves_the_random_numbers_as_they_are() -> None:
    before = torch.get_rng_state()
    read_config(GPT_OSS, "x")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_width_that_four_bits_cannot_hold_is_named() -> None:
    config = read_config(GPT_OSS | {"intermediate_size": 33}, "x")
    with pytest.raises(UserError, match=r"input width 33 and output width 64; .*quantization none"):
        empty_model(config, "nf4")
    empty_model(config, "none")


@pytest.mark.parametrize(
    "key",
    [
        "attn_implementation",
        "_attn_implementation",
        "_attn_implementation_internal",
        "experts_implementation",
        "_experts_implementation_internal",
    ],
)
@pytest.mark.parametrize("name", ["someone/kernel", {"": "someone/kernel"}, "flash_attention_2"])
def test_an_implementation_that_the_hub_would_have_to_give_is_refused(
    key: str, name: object
) -> None:
    with pytest.raises(UserError, match=rf"^some/config\.json: {key} is .*fetched from the hub"):
        read_config(GPT_OSS | {key: name}, "some/config.json")
    read_config(GPT_OSS | {key: "eager"}, "some/config.json")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"num_experts_per_tok": 5}, "num_experts_per_tok is 5; expected at most num_local_expert"),
        ({"sliding_window": -5}, "sliding_window is -5; expected 1 or more"),
    ],
)
def test_numbers_that_no_model_has_are_refused(changes: dict, told: str) -> None:
    with pytest.raises(UserError, match=f"x: {told}"):
        read_config(GPT_OSS | changes, "x")


def test_classes_which_a_language_model_has_not_are_left_out() -> None:
    config = read_config(GPT_OSS | {"num_labels": 10**9, "id2label": {"a": 1}}, "x")
    assert len(config.id2label) < 10
