from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import lightning as L
import pytest
import torch

from animelm.errors import UserError
from animelm.model.lora.adapters import LoraSettings
from animelm.train.checkpoints.setup import (
    TrainingSetup,
    require_changeable,
    require_same_settings,
)
from animelm.train.initial_adapter import AdapterSource
from animelm.train.module import AdaptedLM
from animelm.train.optimizer import OptimizerSettings
from animelm.train.settings import ComputeSettings, MemorySettings, ModelSettings

OWN = TrainingSetup(1, False, {"a": 1, "model.lora.dropout": 0.1}, {"data.seed": 3})
HASH = "the hash of its articles"


def state(setup: TrainingSetup) -> dict:
    return {"settings": dict(setup.settings), "trained_on": dict(setup.trained_on)}


def test_the_same_settings_are_accepted() -> None:
    require_same_settings(state(OWN), OWN)


def test_all_differences_are_listed() -> None:
    other = replace(OWN, settings={"a": 2, "model.lora.dropout": 0.2}, trained_on={HASH: "ab"})
    with pytest.raises(UserError) as refused:
        require_same_settings(state(OWN), other)
    assert str(refused.value).splitlines()[1:5] == [
        "  a: 1 in the checkpoint, 2 here",
        "  model.lora.dropout: 0.1 in the checkpoint, 0.2 here",
        "  data.seed: 3 in the checkpoint, None here",
        f"  {HASH}: None in the checkpoint, ab here",
    ]
    assert str(refused.value).endswith("--model.allowed_changes=[data,model.lora.dropout]")


def test_settings_that_an_older_checkpoint_does_not_hold_are_not_compared() -> None:
    require_same_settings({"settings": {"a": 1}}, OWN)
    with pytest.raises(UserError, match="a: 5 in the checkpoint, 1 here"):
        require_same_settings({"settings": {"a": 5}}, OWN)


def test_a_change_on_purpose_is_warned_about() -> None:
    other = replace(OWN, settings={"a": 1, "model.lora.dropout": 0.2}, trained_on={HASH: "ab"})
    before = state(replace(other, settings=OWN.settings, trained_on={HASH: "cd"}))
    with pytest.warns(UserWarning, match="dropout: 0.1 in the checkpoint, 0.2 here"):
        require_same_settings(before, replace(other, allowed={"model.lora.dropout", "data"}))
    with pytest.raises(UserError, match="settings"):
        require_same_settings(before, replace(other, allowed={"data"}))


@pytest.mark.parametrize(
    "name", ["data.seed", "the hash of its base", "the hash of its frozen adapter"]
)
def test_base_and_split_cannot_be_changed_by_an_option(name: str) -> None:
    own = replace(OWN, settings={name: 1}, trained_on={}, allowed={"data"})
    with pytest.raises(UserError, match=f"{name}: 2 in the checkpoint"):
        require_same_settings({"settings": {name: 2}, "trained_on": own.trained_on}, own)


@pytest.mark.parametrize("name", ["model.lora.rank", "model.quantization", "anything"])
def test_only_some_settings_can_be_allowed_to_change(name: str) -> None:
    require_changeable(["data", "trainer.max_epochs"])
    with pytest.raises(
        UserError, match=f"names {name}, which cannot change within a run; expected"
    ):
        require_changeable(["data", name])


@pytest.fixture
def setup_of(tiny_base: str) -> Callable[..., TrainingSetup]:
    """The setup of a run with other settings than the default ones."""

    def make(trainer: dict | None = None, **changes: object) -> TrainingSetup:
        quiet = {"logger": False, "enable_checkpointing": False, "accelerator": "cpu"}
        made = L.Trainer(**quiet, **({"max_epochs": 1} | (trainer or {})))
        made.strategy.connect(AdaptedLM(tiny_base))
        settings = ModelSettings(
            tiny_base,
            "nf4",
            LoraSettings(),
            AdapterSource(),
            MemorySettings(),
            ComputeSettings(),
            False,
        )
        known = {name: value for name, value in changes.items() if hasattr(settings, name)}
        optimizer = changes.get("optimizer", OptimizerSettings())
        dtype = changes.get("dtype", torch.float32)
        return TrainingSetup.of(made, replace(settings, **known), optimizer, dtype, None)

    return make


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"quantization": "none"}, "model.quantization"),
        ({"lora": LoraSettings(alpha=7)}, "model.lora.alpha"),
        ({"lora": LoraSettings(dropout=0.3)}, "model.lora.dropout"),
        ({"lora": LoraSettings(target_modules=("q_proj",))}, "model.lora.target_modules"),
        ({"optimizer": OptimizerSettings(learning_rate=0.5)}, "model.optimizer.learning_rate"),
        ({"dtype": torch.bfloat16}, "model.compute.dtype"),
        ({"trainer": {"max_epochs": 2}}, "trainer.max_epochs"),
        ({"trainer": {"max_steps": 2}}, "trainer.max_steps"),
        ({"trainer": {"limit_train_batches": 5}}, "trainer.limit_train_batches"),
        ({"trainer": {"gradient_clip_val": 0.1}}, "trainer.gradient_clip_val"),
    ],
)
def test_what_decides_the_bits_is_compared(setup_of, changes: dict, name: str) -> None:
    before, after = setup_of(), setup_of(**changes)
    with pytest.raises(UserError, match=rf"other settings:\n  {name}: .*\nResume"):
        require_same_settings(state(before), after)


def test_another_base_of_the_same_shape_is_told_by_its_hash(
    setup_of, tiny_base: str, tmp_path
) -> None:
    other = tmp_path / "base"
    other.mkdir()
    for path in Path(tiny_base).iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    moved = setup_of(base=str(other))
    require_same_settings(state(setup_of()), moved)  # the same base in another place
    text = (other / "config.json").read_text(encoding="utf-8")
    (other / "config.json").write_text(text + " ", encoding="utf-8")
    with pytest.raises(UserError, match=r"  the hash of its base: "):
        require_same_settings(state(setup_of()), setup_of(base=str(other)))
