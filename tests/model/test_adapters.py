from pathlib import Path

import pytest
import torch
from peft import PeftModel

from animelm.errors import UserError
from animelm.model.adapters import (
    DEFAULT_TARGETS,
    LoraSettings,
    add_adapter,
    audit_targets,
    load_adapter,
    read_ancestry,
    save_adapter,
    stack_adapter,
)
from animelm.model.checkpoint import load_base

SETTINGS = LoraSettings(rank=4, alpha=8, dropout=0.0)


def fresh(checkpoint: Path) -> PeftModel:
    """A base with an adapter whose update is not zero."""
    model = add_adapter(load_base(str(checkpoint)), SETTINGS)
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.arange(2, 18).view(1, 16)).logits


def test_the_default_targets_reach_attention_and_every_expert(checkpoint: Path) -> None:
    audit = audit_targets(fresh(checkpoint), DEFAULT_TARGETS)
    modules = {row.label: row.modules for row in audit.rows}
    assert modules == {
        "q_proj": 2,
        "k_proj": 2,
        "v_proj": 2,
        "o_proj": 2,
        "gate_proj+up_proj": 8,
        "down_proj": 8,
    }


def test_the_audit_counts_every_trainable_parameter_once(checkpoint: Path) -> None:
    model = fresh(checkpoint)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert audit_targets(model, DEFAULT_TARGETS).total == trained > 0


def test_a_target_that_matches_nothing_is_an_error_with_the_nearest_names(checkpoint: Path) -> None:
    with pytest.raises(UserError, match=r"'gate_projj' matches no linear layer.*gate_proj"):
        add_adapter(
            load_base(str(checkpoint)), LoraSettings(target_modules=("q_proj", "gate_projj"))
        )


def test_no_target_at_all_is_an_error(checkpoint: Path) -> None:
    with pytest.raises(UserError, match="target_modules is empty"):
        add_adapter(load_base(str(checkpoint)), LoraSettings(target_modules=()))


def test_only_the_requested_targets_are_trained(checkpoint: Path) -> None:
    model = add_adapter(
        load_base(str(checkpoint)), LoraSettings(rank=2, target_modules=("up_proj",))
    )
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert trained and all(".gate_up_projs." in name for name in trained)


def test_a_saved_adapter_comes_back_the_same(checkpoint: Path, tmp_path: Path) -> None:
    model = fresh(checkpoint)
    save_adapter(model, tmp_path / "adapter", [{"step": "cpt"}])
    again = load_adapter(load_base(str(checkpoint)), tmp_path / "adapter", trainable=False).eval()
    assert torch.equal(logits(again), logits(model))
    assert read_ancestry(tmp_path / "adapter") == [{"step": "cpt"}]


def test_pefts_own_loader_reads_the_saved_adapter(checkpoint: Path, tmp_path: Path) -> None:
    model = fresh(checkpoint)
    save_adapter(model, tmp_path / "adapter", [])
    again = PeftModel.from_pretrained(load_base(str(checkpoint)), tmp_path / "adapter").eval()
    assert torch.equal(logits(again), logits(model))


def test_a_continued_adapter_is_trainable(checkpoint: Path, tmp_path: Path) -> None:
    save_adapter(fresh(checkpoint), tmp_path / "adapter", [])
    model = load_adapter(load_base(str(checkpoint)), tmp_path / "adapter", trainable=True)
    assert audit_targets(model, DEFAULT_TARGETS).total > 0


def test_a_stacked_adapter_leaves_the_one_below_frozen_and_comes_back_with_it(
    checkpoint: Path, tmp_path: Path
) -> None:
    below = fresh(checkpoint)
    save_adapter(below, tmp_path / "cpt", [])
    stacked = stack_adapter(load_base(str(checkpoint)), tmp_path / "cpt", SETTINGS).eval()
    trained = [name for name, parameter in stacked.named_parameters() if parameter.requires_grad]
    assert trained and all(".default." in name for name in trained)
    torch.testing.assert_close(logits(stacked), logits(below))  # a fresh adapter's update is zero
    for name, parameter in stacked.named_parameters():
        if "lora_B.default" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    save_adapter(stacked, tmp_path / "sft", [])
    again = load_adapter(load_base(str(checkpoint)), tmp_path / "sft", trainable=False).eval()
    torch.testing.assert_close(logits(again), logits(stacked))
    assert not torch.allclose(logits(again), logits(below))


def test_a_folder_without_an_adapter_is_named(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no adapter_config\.json"):
        load_adapter(load_base(str(checkpoint)), tmp_path, trainable=False)
