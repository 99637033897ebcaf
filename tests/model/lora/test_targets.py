from pathlib import Path

import pytest

from animelm.errors import UserError
from animelm.model.checkpoint.load import load_base
from animelm.model.lora.adapters import LoraSettings, add_adapter
from animelm.model.lora.targets import DEFAULT_TARGETS, audit_targets


def test_the_default_targets_reach_attention_and_every_expert(checkpoint: Path) -> None:
    audit = audit_targets(
        add_adapter(load_base(str(checkpoint)), LoraSettings(rank=4)), DEFAULT_TARGETS
    )
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
    model = add_adapter(load_base(str(checkpoint)), LoraSettings(rank=4))
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert audit_targets(model, DEFAULT_TARGETS).total == trained > 0


def test_a_target_that_matches_nothing_is_an_error_with_the_nearest_names(checkpoint: Path) -> None:
    with pytest.raises(UserError, match=r"'gate_projj' matches no linear layer.*gate_proj"):
        add_adapter(
            load_base(str(checkpoint)), LoraSettings(target_modules=("q_proj", "gate_projj"))
        )


def test_the_head_is_no_target(checkpoint: Path) -> None:
    with pytest.raises(
        UserError, match=r"'lm_head' cannot be adapted \(the loss is computed in chunks"
    ):
        add_adapter(load_base(str(checkpoint)), LoraSettings(target_modules=("q_proj", "lm_head")))


def test_no_target_at_all_is_an_error(checkpoint: Path) -> None:
    with pytest.raises(UserError, match="target_modules is empty"):
        add_adapter(load_base(str(checkpoint)), LoraSettings(target_modules=()))


def test_only_the_requested_targets_are_trained(checkpoint: Path) -> None:
    model = add_adapter(
        load_base(str(checkpoint)), LoraSettings(rank=2, target_modules=("up_proj",))
    )
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert trained and all(".gate_up_projs." in name for name in trained)
