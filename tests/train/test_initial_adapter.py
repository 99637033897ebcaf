from pathlib import Path

import pytest
from peft import PeftModel

from animelm.errors import UserError
from animelm.model.checkpoint.load import load_base
from animelm.model.lora.adapters import STACKED, LoraSettings, add_adapter, save_adapter
from animelm.train.initial_adapter import Start

LORA = LoraSettings(rank=2, target_modules=("q_proj",))


@pytest.fixture
def earlier(tiny_base: str, tmp_path: Path) -> Path:
    """The adapter of a run before."""
    folder = tmp_path / "earlier"
    save_adapter(add_adapter(load_base(tiny_base), LORA), folder, [{"step": "cpt"}])
    return folder


def adapters(model: PeftModel) -> set[str]:
    return set(model.peft_config)


def trained_parameters(model: PeftModel) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_a_fresh_adapter_is_trained_and_has_no_ancestry(tiny_base: str) -> None:
    start = Start(LORA)
    start.require_folder()
    model = start.put_on(load_base(tiny_base))
    assert adapters(model) == {"default"} and trained_parameters(model)
    assert (start.ancestry(), start.record()) == ([], {})


def test_an_earlier_adapter_is_continued_or_stacked_on(tiny_base: str, earlier: Path) -> None:
    start = Start(LORA, earlier)
    continued = start.put_on(load_base(tiny_base))
    stacked = Start(LORA, earlier, "stack").put_on(load_base(tiny_base))
    assert adapters(continued) == {"default"}
    assert adapters(stacked) == {"default", STACKED}
    # What is stacked on stays as it is.
    assert trained_parameters(stacked) == trained_parameters(continued) > 0
    assert start.ancestry() == [{"step": "cpt"}]
    assert start.record() == {"init_adapter": str(earlier), "init_mode": "continue"}


def test_an_evaluated_adapter_is_loaded_instead_and_not_trained(
    tiny_base: str, earlier: Path, tmp_path: Path
) -> None:
    start = Start(LORA, tmp_path / "nowhere", evaluated_adapter=earlier)
    start.require_folder()
    assert start.folder == earlier
    assert not trained_parameters(start.put_on(load_base(tiny_base)))
    assert start.of_training().folder == tmp_path / "nowhere"


@pytest.mark.parametrize("setting", ["init_adapter", "evaluated_adapter"])
def test_an_adapter_that_is_not_there_is_told_with_its_setting(
    tmp_path: Path, setting: str
) -> None:
    start = Start(LORA, **{setting: tmp_path / "nowhere"})
    with pytest.raises(
        UserError, match=rf"^{setting} .*nowhere: no such folder.*--model\.{setting}"
    ):
        start.require_folder()
