import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file
from tiny_gpt_oss import tiny_gpt_oss
from transformers import GptOssForCausalLM

from animelm.errors import UserError
from animelm.model.checkpoint.load import load_base
from animelm.model.lora.adapters import (
    LoraSettings,
    add_adapter,
    continue_adapter,
    load_adapter,
    save_adapter,
    stack_adapter,
)
from animelm.model.lora.targets import DEFAULT_TARGETS, audit_targets
from animelm.model.quantization.linear4bit import Quantization

SETTINGS = LoraSettings(rank=4, alpha=8, dropout=0.0)
EXPERTS = r"(?:.*\.)?(?:gate_up_projs\.\d+|down_projs\.\d+)"


def fresh(checkpoint: Path, settings: LoraSettings = SETTINGS) -> PeftModel:
    """A base with an adapter whose update is not zero."""
    model = add_adapter(load_base(str(checkpoint)), settings)
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def stock(
    checkpoint: Path, folder: Path, quantization: Quantization = "nf4", **settings: Any
) -> PeftModel:
    """A base with random values in an adapter of PEFT's own making, which ``folder`` then holds."""
    config = LoraConfig(r=4, lora_alpha=8, task_type="CAUSAL_LM", **settings)
    model = get_peft_model(load_base(str(checkpoint), quantization), config).eval()
    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(folder, save_embedding_layers=False)
    return model


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.arange(2, 18).view(1, 16)).logits


def test_a_saved_adapter_comes_back_the_same(checkpoint: Path, tmp_path: Path) -> None:
    model = fresh(checkpoint)
    save_adapter(model, tmp_path / "adapter")
    again = load_adapter(load_base(str(checkpoint)), tmp_path / "adapter", trainable=False).eval()
    assert torch.equal(logits(again), logits(model))


def test_a_saved_adapter_can_be_read_by_whoever_reads_its_config(
    checkpoint: Path, tmp_path: Path
) -> None:
    save_adapter(fresh(checkpoint), tmp_path)
    assert len({file.stat().st_mode for file in tmp_path.iterdir() if file.is_file()}) == 1


def test_a_saved_adapter_names_its_base(checkpoint: Path, tmp_path: Path) -> None:
    save_adapter(fresh(checkpoint), tmp_path / "cpt")
    stacked = stack_adapter(load_base(str(checkpoint)), tmp_path / "cpt", SETTINGS)
    save_adapter(stacked, tmp_path / "sft")
    for folder in ("cpt", "sft", "sft/stacked_on"):
        text = (tmp_path / folder / "adapter_config.json").read_text(encoding="utf-8")
        assert json.loads(text)["base_model_name_or_path"] == str(checkpoint)


def test_saving_an_adapter_does_not_look_its_base_up(
    checkpoint: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    model = fresh(checkpoint)
    model.get_base_model().name_or_path = model.peft_config["default"].base_model_name_or_path = (
        "somebody/on-the-hub"
    )
    save_adapter(model, tmp_path)
    assert not [warning for warning in recwarn if "on-the-hub" in str(warning.message)]


@pytest.mark.parametrize(
    "targets",
    [DEFAULT_TARGETS, ("gate_proj",), ("q_proj", "down_proj"), ("k_proj",)],
    ids=["all", "gate and up", "attention and down", "attention"],
)
def test_an_adapter_on_any_targets_comes_back_the_same(
    checkpoint: Path, tmp_path: Path, targets: tuple[str, ...]
) -> None:
    model = fresh(checkpoint, replace(SETTINGS, target_modules=targets))
    save_adapter(model, tmp_path)
    again = load_adapter(load_base(str(checkpoint)), tmp_path, trainable=False).eval()
    assert torch.equal(logits(again), logits(model))


def test_an_adapter_in_the_layout_of_one_layer_per_expert_is_still_read(
    checkpoint: Path, tmp_path: Path
) -> None:
    model = fresh(checkpoint)
    model.save_pretrained(tmp_path, save_embedding_layers=False)
    assert ".gate_up_projs.0." in " ".join(load_file(tmp_path / "adapter_model.safetensors"))
    again = load_adapter(load_base(str(checkpoint)), tmp_path, trainable=False).eval()
    assert torch.equal(logits(again), logits(model))
    save_adapter(again, tmp_path / "again")
    assert "gate_up_projs" not in " ".join(load_file(tmp_path / "again/adapter_model.safetensors"))


def test_an_adapter_that_stock_peft_cannot_hold_is_written_per_expert_with_a_warning(
    checkpoint: Path, tmp_path: Path
) -> None:
    model = stock(checkpoint, tmp_path, target_modules=EXPERTS, lora_bias=True)
    with pytest.warns(UserWarning, match="no lora_bias on fused experts, .* opens only here"):
        save_adapter(model, tmp_path / "again")
    again = load_adapter(load_base(str(checkpoint)), tmp_path / "again", trainable=False).eval()
    assert torch.equal(logits(again), logits(model))


def test_target_parameters_of_another_model_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    save_adapter(fresh(checkpoint), tmp_path)
    path = tmp_path / "adapter_config.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    values["target_parameters"] = ["feed_forward.experts.w1"]
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(UserError, match=r"names feed_forward\.experts\.w1; expected parameters of"):
        load_adapter(load_base(str(checkpoint)), tmp_path, trainable=False)


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["q_proj"], "lora_bias": True},
        {"target_modules": EXPERTS, "lora_bias": True},
        {"target_modules": EXPERTS, "use_rslora": True},
        {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    ],
    ids=["biases", "experts' biases", "rslora", "head saved whole"],
)
def test_an_adapter_of_pefts_own_making_gives_its_logits(
    checkpoint: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    theirs = stock(checkpoint, tmp_path, **settings)
    ours = load_adapter(load_base(str(checkpoint)), tmp_path, trainable=False).eval()
    torch.testing.assert_close(logits(ours), logits(theirs), rtol=1e-4, atol=1e-4)


def test_a_continued_adapter_is_trainable(checkpoint: Path, tmp_path: Path) -> None:
    save_adapter(fresh(checkpoint), tmp_path / "adapter")
    model = load_adapter(load_base(str(checkpoint)), tmp_path / "adapter", trainable=True)
    assert audit_targets(model, DEFAULT_TARGETS).total > 0


def test_a_stacked_adapter_leaves_the_one_below_frozen_and_comes_back_with_it(
    checkpoint: Path, tmp_path: Path
) -> None:
    below = fresh(checkpoint)
    save_adapter(below, tmp_path / "cpt")
    stacked = stack_adapter(load_base(str(checkpoint)), tmp_path / "cpt", SETTINGS).eval()
    trained = [name for name, parameter in stacked.named_parameters() if parameter.requires_grad]
    assert trained and all(".default." in name for name in trained)
    torch.testing.assert_close(logits(stacked), logits(below))  # a fresh adapter's update is zero
    for name, parameter in stacked.named_parameters():
        if "lora_B.default" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    save_adapter(stacked, tmp_path / "sft")
    again = load_adapter(load_base(str(checkpoint)), tmp_path / "sft", trainable=False).eval()
    torch.testing.assert_close(logits(again), logits(stacked))
    assert not torch.allclose(logits(again), logits(below))


def test_the_frozen_adapter_of_a_stack_has_no_dropout(checkpoint: Path, tmp_path: Path) -> None:
    below = fresh(checkpoint)
    below.peft_config["default"].lora_dropout = 0.5
    save_adapter(below, tmp_path)
    stacked = stack_adapter(load_base(str(checkpoint)), tmp_path, replace(SETTINGS, dropout=0.5))
    expected = logits(stacked.eval())
    # The fresh adapter's own dropout does not show, because its update is zero.
    torch.testing.assert_close(logits(stacked.train()), expected)


def test_a_folder_without_an_adapter_is_named(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no adapter_config\.json"):
        load_adapter(load_base(str(checkpoint)), tmp_path, trainable=False)


def test_a_folder_whose_adapter_fits_another_base_is_named(
    checkpoint: Path, tmp_path: Path
) -> None:
    model = fresh(checkpoint)
    save_adapter(model, tmp_path / "adapter")
    weights = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    cut = {name: weight[:, :2].contiguous() for name, weight in weights.items()}
    save_file(cut, tmp_path / "adapter" / "adapter_model.safetensors")
    with pytest.raises(UserError, match=r"adapter: the adapter does not fit this base"):
        load_adapter(load_base(str(checkpoint)), tmp_path / "adapter", trainable=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_hidden_layers": 3}, r"24 tensors are missing from its file, .*\.layers\.2\."),
        ({"num_local_experts": 8}, r"32 tensors are missing .*\.down_projs\.4\.lora_A"),
        ({"num_hidden_layers": 1}, r"24 tensors of its file do not exist in the base, the first"),
    ],
)
@pytest.mark.parametrize("below", [False, True], ids=["alone", "stacked on"])
def test_an_adapter_that_fits_the_base_in_part_is_refused(
    checkpoint: Path, tmp_path: Path, changes: dict[str, int], message: str, below: bool
) -> None:
    save_adapter(fresh(checkpoint), tmp_path / "adapter")
    GptOssForCausalLM(tiny_gpt_oss(**changes)).save_pretrained(tmp_path / "other")
    other = load_base(str(tmp_path / "other"))
    with pytest.raises(
        UserError, match=rf"adapter: the adapter does not fit this base: .*{message}"
    ):
        if below:
            stack_adapter(other, tmp_path / "adapter", SETTINGS)
        else:
            load_adapter(other, tmp_path / "adapter", trainable=False)


def test_an_adapter_of_which_nothing_fits_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    stock(checkpoint, tmp_path, target_modules=["q_proj"])
    save_file({"another.lora_A.weight": torch.ones(1)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(UserError, match=r"4 tensors are missing.*; 1 tensors of its file.*another"):
        load_adapter(load_base(str(checkpoint)), tmp_path, trainable=False)


def test_an_adapter_whose_whole_head_is_missing_is_refused(
    checkpoint: Path, tmp_path: Path
) -> None:
    stock(checkpoint, tmp_path, target_modules=["q_proj"], modules_to_save=["lm_head"])
    weights = load_file(tmp_path / "adapter_model.safetensors")
    save_file(
        {name: weight for name, weight in weights.items() if "lm_head" not in name},
        tmp_path / "adapter_model.safetensors",
    )
    with pytest.raises(UserError, match=r"does not fit this base: .*lm_head\.weight"):
        load_adapter(load_base(str(checkpoint)), tmp_path, trainable=False)


def test_an_adapter_with_lora_on_the_head_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    stock(checkpoint, tmp_path, target_modules=["q_proj", "lm_head"])
    with pytest.raises(UserError, match="this adapter has LoRA on lm_head"):
        load_adapter(load_base(str(checkpoint)), tmp_path, trainable=False)


def test_an_adapter_of_the_embedding_fits(checkpoint: Path, tmp_path: Path) -> None:
    theirs = stock(checkpoint, tmp_path, target_modules=["q_proj", "embed_tokens"])
    theirs.save_pretrained(tmp_path)  # with the embedding itself
    ours = load_adapter(load_base(str(checkpoint)), tmp_path, trainable=False).eval()
    torch.testing.assert_close(logits(ours), logits(theirs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("targets", "written"), [(DEFAULT_TARGETS, 0.0), (("q_proj",), 0.25)], ids=["experts", "none"]
)
def test_continuing_takes_the_dropout_of_the_settings(
    checkpoint: Path, tmp_path: Path, targets: tuple[str, ...], written: float
) -> None:
    below = replace(SETTINGS, target_modules=targets)
    save_adapter(fresh(checkpoint, below), tmp_path / "cpt")
    settings = replace(below, dropout=0.25)
    model = continue_adapter(load_base(str(checkpoint)), tmp_path / "cpt", settings)
    rates = {
        module.lora_dropout["default"].p
        for module in model.modules()
        if isinstance(module, LoraLayer)
    }
    assert rates == {0.25}
    save_adapter(model, tmp_path / "sft")
    config = json.loads((tmp_path / "sft" / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["lora_dropout"] == written  # PEFT has none on fused experts


@pytest.mark.parametrize("setting", ["rank", "alpha"])
def test_continuing_with_another_shape_is_an_error(
    checkpoint: Path, tmp_path: Path, setting: str
) -> None:
    save_adapter(fresh(checkpoint), tmp_path / "cpt")
    own = getattr(SETTINGS, setting)
    settings = replace(SETTINGS, **{setting: 64})
    with pytest.raises(UserError, match=f"adapter's {setting} is {own}, the settings say 64"):
        continue_adapter(load_base(str(checkpoint)), tmp_path / "cpt", settings)


def test_continuing_with_a_target_that_the_adapter_lacks_is_an_error(
    checkpoint: Path, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, target_modules=("q_proj",))
    save_adapter(add_adapter(load_base(str(checkpoint)), settings), tmp_path / "cpt")
    with pytest.raises(UserError, match="this adapter does not cover k_proj"):
        continue_adapter(
            load_base(str(checkpoint)),
            tmp_path / "cpt",
            replace(SETTINGS, target_modules=("q_proj", "k_proj")),
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target_modules": ["q_proj", "v_proj"]}, r"parameters on v_proj, which"),
        (
            {"target_modules": EXPERTS.replace(r"?:g", r"?:q_proj|g")},
            r"on down_projs, gate_up_projs, which",
        ),
        (
            {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
            r"on lm_head \(modules_to_save\), which",
        ),
        (
            {"target_modules": ["q_proj", "embed_tokens"]},
            r"on embed_tokens \(lora_embedding_A\), embed_tokens \(lora_embedding_B\), which",
        ),
    ],
)
def test_continuing_an_adapter_that_trains_more_than_the_settings_ask_is_an_error(
    checkpoint: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    stock(checkpoint, tmp_path, **settings)
    asked = replace(SETTINGS, target_modules=("q_proj",))
    with pytest.raises(UserError, match=message):
        continue_adapter(load_base(str(checkpoint)), tmp_path, asked)


def test_continuing_an_adapter_with_biases_counts_them(checkpoint: Path, tmp_path: Path) -> None:
    stock(checkpoint, tmp_path, target_modules=["q_proj"], lora_bias=True)
    asked = replace(SETTINGS, target_modules=("q_proj",))
    model = continue_adapter(load_base(str(checkpoint)), tmp_path, asked)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert audit_targets(model, asked.target_modules).total == trained


@pytest.mark.parametrize(("setting", "value"), [("rank", 0), ("alpha", -1), ("dropout", 1.0)])
def test_a_setting_that_lora_has_no_meaning_for_is_named(setting: str, value: float) -> None:
    with pytest.raises(UserError, match=f"LoRA's {setting} is {value}; expected"):
        LoraSettings(**{setting: value})
