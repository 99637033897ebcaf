from pathlib import Path

import pytest
from peft import PeftModel

from animelm.errors import UserError
from animelm.model.checkpoint.load import load_base
from animelm.model.lora.adapters import STACKED, LoraSettings, add_adapter, save_adapter
from animelm.train.initial_adapter import AdapterSource

LORA = LoraSettings(rank=2, target_modules=("q_proj",))


@pytest.fixture
def earlier(tiny_base: str, tmp_path: Path) -> Path:
    """The adapter of a run before."""
    folder = tmp_path / "earlier"
    save_adapter(add_adapter(load_base(tiny_base), LORA), folder)
    return folder


def adapters(model: PeftModel) -> set[str]:
    return set(model.peft_config)


def trained_parameters(model: PeftModel) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_a_fresh_adapter_is_trained(tiny_base: str) -> None:
    source = AdapterSource()
    source.require_folder()
    model = source.load_onto(load_base(tiny_base), LORA)
    assert adapters(model) == {"default"} and trained_parameters(model)
    assert source.folder is None


def test_an_earlier_adapter_is_continued_or_stacked_on(tiny_base: str, earlier: Path) -> None:
    source = AdapterSource(earlier)
    continued = source.load_onto(load_base(tiny_base), LORA)
    stacked = AdapterSource(earlier, "stack").load_onto(load_base(tiny_base), LORA)
    assert adapters(continued) == {"default"}
    assert adapters(stacked) == {"default", STACKED}
    # What is stacked on stays as it is.
    assert trained_parameters(stacked) == trained_parameters(continued) > 0


def test_an_evaluated_adapter_is_loaded_instead_and_not_trained(
    tiny_base: str, earlier: Path, tmp_path: Path
) -> None:
    source = AdapterSource(tmp_path / "nowhere", evaluate=earlier)
    source.require_folder()
    assert source.folder == earlier
    assert not trained_parameters(source.load_onto(load_base(tiny_base), LORA))
    assert source.for_training().folder == tmp_path / "nowhere"


@pytest.mark.parametrize("setting", ["init_from", "evaluate"])
def test_the_error_about_a_missing_adapter_names_the_setting(tmp_path: Path, setting: str) -> None:
    source = AdapterSource(**{setting: tmp_path / "nowhere"})
    with pytest.raises(
        UserError,
        match=rf"^adapter\.{setting} .*nowhere: no such folder.*--model\.adapter\.{setting}",
    ):
        source.require_folder()
