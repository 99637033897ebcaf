import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import save_file

from animelm.errors import UserError
from animelm.model.lora.files import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    StoredAdapter,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An adapter of PEFT's format with one tensor."""
    LoraConfig(r=4, target_modules=["q_proj"]).save_pretrained(str(tmp_path))
    save_file({"q_proj.lora_A.weight": torch.ones(4, 8)}, tmp_path / WEIGHTS_FILE)
    return tmp_path


def test_an_adapters_settings_and_the_names_of_its_tensors_are_read(folder: Path) -> None:
    stored = StoredAdapter.from_folder(folder)
    assert stored.config.r == 4
    assert stored.tensors == {"q_proj.lora_A.weight"}


@pytest.mark.parametrize("file", [CONFIG_FILE, WEIGHTS_FILE])
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(UserError, match=f"no {file}; expected an adapter folder"):
        StoredAdapter.from_folder(folder)


@pytest.mark.parametrize("file", [CONFIG_FILE, WEIGHTS_FILE])
def test_a_file_that_is_cut_off_is_named(folder: Path, file: str) -> None:
    (folder / file).write_bytes((folder / file).read_bytes()[:-8])
    with pytest.raises(UserError, match=rf"{file}: not (valid JSON|a complete safetensors file)"):
        StoredAdapter.from_folder(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "LOHA"}, "found LOHA; expected an object with peft_type LORA"),
        ({"peft_type": "NEW"}, "found NEW; expected"),
        ({"peft_type": None}, "found None; expected"),
        ({"bias": "all"}, "bias is 'all', .* replace the base's own, .*train it with bias 'none'"),
        ({"bias": "lora_only"}, "bias is 'lora_only', .* replace the base's own"),
        ({"init_lora_weights": "pissa_niter_4"}, "changes the base's own weights; save the"),
        ({"init_lora_weights": "olora"}, "changes the base's own weights"),
        ({"task_type": "POETRY"}, "task_type is 'POETRY'; expected CAUSAL_LM"),
        ({"layers_pattern": "layers"}, "PEFT cannot read it"),
        ({"megatron_config": {"a": 1}, "megatron_core": "megatron.payload"}, "is not supported"),
    ],
)
def test_an_adapter_of_another_kind_is_refused(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    values = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    (folder / CONFIG_FILE).write_text(json.dumps(values | changes), encoding="utf-8")
    with pytest.raises(UserError, match=rf"{CONFIG_FILE}: .*{message}"):
        StoredAdapter.from_folder(folder)


def test_settings_that_are_no_object_are_refused(folder: Path) -> None:
    (folder / CONFIG_FILE).write_text("[]", encoding="utf-8")
    with pytest.raises(UserError, match=rf"{CONFIG_FILE}: found list; expected an object"):
        StoredAdapter.from_folder(folder)


def test_a_package_that_an_adapter_names_is_not_imported(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "megatron").mkdir()
    (tmp_path / "megatron" / "payload.py").write_text(
        f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    values = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    values |= {"megatron_config": {"a": 1}, "megatron_core": "megatron.payload"}
    (folder / CONFIG_FILE).write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(UserError, match="megatron_config is"):
        StoredAdapter.from_folder(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_adapter_that_is_not_finite_is_refused(folder: Path, value: float) -> None:
    weights = torch.ones(4, 8)
    weights[2, 3] = value
    save_file({"q_proj.lora_A.weight": weights}, folder / WEIGHTS_FILE)
    with pytest.raises(
        UserError, match=rf"{WEIGHTS_FILE}.*q_proj\.lora_A\.weight.* are not finite"
    ):
        StoredAdapter.from_folder(folder)
