import json
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig

from animelm.errors import UserError
from animelm.model.lora.adapter_config import honored_settings

FILE = Path("a/adapter_config.json")


def written(folder: Path, **settings: Any) -> dict[str, Any]:
    """What PEFT writes for an adapter."""
    LoraConfig(**settings).save_pretrained(str(folder))
    return json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "settings",
    [
        {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj"], "task_type": "CAUSAL_LM"},
        {"target_modules": r"(?:.*\.)?(?:q_proj|gate_up_projs\.\d+|down_projs\.\d+)"},
        {"target_modules": r"(?:(?:.*\.)?q_proj)|(?:(?:.*\.)?mlp\.experts\.down_projs\.\d+)"},
        {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"], "lora_bias": True},
        {"target_modules": ["q_proj"], "rank_pattern": {"layers.1.q_proj": 8}, "use_dora": True},
        {"target_modules": ["q_proj"], "alpha_pattern": {"q_proj": 8.5}, "use_rslora": True},
        {"target_modules": ["q_proj"], "layers_to_transform": [0, 1], "layers_pattern": "layers"},
        {"target_modules": [], "target_parameters": ["mlp.experts.down_proj"]},
    ],
)
def test_what_is_honored_is_what_peft_has_written(tmp_path: Path, settings: dict) -> None:
    values = written(tmp_path, **settings)
    made = LoraConfig(**honored_settings(FILE, values))
    expected = LoraConfig.from_pretrained(str(tmp_path)).to_dict()
    ignored = {"inference_mode", "revision", "peft_version", "auto_mapping"}
    assert {k: v for k, v in made.to_dict().items() if k not in ignored} == {
        k: v for k, v in expected.items() if k not in ignored
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("megatron_config", {"hidden_size": 8}),
        ("megatron_core", "megatron.payload"),
        ("layer_replication", [[0, 2], [1, 2]]),
        ("trainable_token_indices", [1, 2]),
        ("loftq_config", {"loftq_bits": 4}),
        ("eva_config", {"rho": 2.0}),
        ("fan_in_fan_out", True),
        ("use_qalora", True),
        ("a_key_of_a_later_version", {"class_path": "os.system"}),
    ],
)
def test_a_key_that_is_not_honored_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(
        UserError, match=rf"^a/adapter_config\.json: {key} is .* not supported here"
    ):
        honored_settings(FILE, {"peft_type": "LORA", key: value})


@pytest.mark.parametrize("value", [None, False, {}, []])
def test_a_key_without_effect_is_left_out(value: object) -> None:
    assert honored_settings(FILE, {"r": 4, "some_config": value}) == {"r": 4}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("r", "16"),
        ("r", True),
        ("r", 0),
        ("r", 10**9),
        ("lora_alpha", float("nan")),
        ("lora_alpha", -1),
        ("lora_alpha", [1]),
        ("lora_dropout", 1.0),
        ("lora_dropout", float("inf")),
        ("target_modules", "(a*)*b"),
        ("target_modules", r"(?:.*\.)?(?:.*)"),
        ("target_modules", "all-linear"),
        ("target_modules", [".*"]),
        ("target_modules", {"q_proj": 1}),
        ("modules_to_save", "lm_head"),
        ("rank_pattern", {"(a*)*b": 4}),
        ("rank_pattern", {"q_proj": "4"}),
        ("alpha_pattern", [1]),
        ("layers_to_transform", [-1]),
        ("layers_pattern", "(a*)*"),
        ("use_dora", "yes"),
        ("task_type", "POETRY"),
        ("base_model_name_or_path", 5),
    ],
)
def test_a_value_of_another_type_or_out_of_range_is_refused(key: str, value: object) -> None:
    with pytest.raises(UserError, match=rf"^a/adapter_config\.json: {key} is .*; expected "):
        honored_settings(FILE, {"peft_type": "LORA", key: value})
